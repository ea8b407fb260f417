"""How often decisions were made on the same test images; counted off the history, so that there is no second store."""

import hashlib
from collections.abc import Iterable, Sequence

from pneumo.evaluation.statistics.significance import significance
from pneumo.records.decision import DecisionCount
from pneumo.registry.history import HistoryRow
from pneumo.sections import Promotion

DECISIONS = ("promotion", "rejection")
SKETCH, ALIKE = 32, 0.5  # images kept of a test set; share of common images beyond which two wear out together


def digest(images: Iterable[str]) -> str:
    """sha256 over the test images' own sha256, in whatever order they come."""
    return hashlib.sha256("\n".join(sorted(images)).encode()).hexdigest()


def sketch(images: Iterable[str]) -> tuple[str, ...]:
    """The images whose sha256 are smallest, 8 characters each: a random choice that is the same in every set."""
    return tuple(sorted({image[:8] for image in images})[:SKETCH])


def overlap(one: tuple[str, ...], other: tuple[str, ...]) -> float:
    """Share of common images among all of two sets, estimated from their sketches (Broder 1997, bottom-k)."""
    smallest = sorted({*one, *other})[: max(len(one), len(other))]
    return len({*smallest} & {*one} & {*other}) / len(smallest)


def count_decision(
    rows: Sequence[HistoryRow], images: Sequence[str], evaluation: str, champion: str | None, policy: Promotion
) -> DecisionCount:
    """What deciding now on test images (their sha256) is: a new look, or one that was had already.

    The same evaluation against the same champion is the same look, and has its number again. Significance is spent
    only to find a challenger better; with `tie: promote` it is the worse one that has to be found, at 95 % every time.

    Looks are counted, and whoever compares announces the look before it counts. So of several at once, who counts as
    the k-th sees at least k: two may get the same number, but never one that is too small, and no level is spent twice.

    Args:
        rows: history of the registered model; for a look that was announced, as it is after that.
        images: sha256 of each test image.
        evaluation: its key.
        champion: version that is compared with, None without one.
        policy: `tie` and `maximum_comparisons`.
    """
    few = sketch(images)
    others = looks(rows, few)
    again = others.pop((evaluation, champion), None)
    compares = champion is not None and policy.tie == "keep"
    number, comparison = 1 + len(others), 1 + sum(compared(row) for row in others.values())
    if again and again.look and again.action in DECISIONS:
        number, comparison = again.look.number, again.look.comparison or comparison
    within = compares and comparison <= policy.maximum_comparisons
    return DecisionCount(
        test_set=digest(images),
        sketch=few,
        images=len(images),
        number=number,
        promotions=sum(row.action == "promotion" and row.took_effect for row in others.values()),
        comparison=comparison if compares else 0,
        most=policy.maximum_comparisons if compares else 0,
        significance=significance(comparison) if within else 0.0,
    )


def looks(rows: Sequence[HistoryRow], few: tuple[str, ...]) -> dict[tuple[str, str | None], HistoryRow]:
    """All looks at a set of test images (its sketch) or at one of mostly the same, by evaluation and champion.

    Of each the decision, or its announcement if it never came to one.
    """
    found = [row for row in rows if row.look and overlap(row.look.sketch, few) > ALIKE]
    return {(row.evaluation, row.champion): row for row in found}


def compared(row: HistoryRow) -> bool:
    """Whether a look compared with a champion, which spends significance."""
    return row.look is not None and row.look.most > 0
