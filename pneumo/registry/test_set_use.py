"""How often decisions were made on the same test images, counted from the history alone."""

import hashlib
from collections.abc import Iterable, Sequence

from pneumo.evaluation.statistics.significance import significance
from pneumo.records.decision import DecisionCount
from pneumo.registry.history import HistoryRow
from pneumo.settings.promotion import Promotion

DECISIONS = ("promotion", "rejection")
SKETCH, ALIKE = 32, 0.5  # images kept of a test set; two sets that share more than this part count as one


def digest(images: Iterable[str]) -> str:
    """sha256 over the sha256 of the test images, whatever their order."""
    return hashlib.sha256("\n".join(sorted(images)).encode()).hexdigest()


def sketch(images: Iterable[str]) -> tuple[str, ...]:
    """The smallest sha256 of the images, 8 characters each: a random choice that is the same in every set."""
    return tuple(sorted({image[:8] for image in images})[:SKETCH])


def overlap(one: tuple[str, ...], other: tuple[str, ...]) -> float:
    """Share of common images among all of two sets (Jaccard), estimated from sketches (Broder 1997, bottom-k)."""
    smallest = sorted({*one, *other})[: max(len(one), len(other))]
    return len({*smallest} & {*one} & {*other}) / len(smallest)


def count_decision(
    rows: Sequence[HistoryRow], images: Sequence[str], evaluation: str, champion: str | None, policy: Promotion
) -> DecisionCount:
    """The number of a decision on test images made now: a new look, or one that was taken before.

    The same evaluation against the same champion is the same look and keeps its number. Significance is spent only to
    show that a challenger is better; with `tie: promote` it must be shown to be worse, at 95 % every time.

    Every comparison announces its look before it counts the looks. So of several at once the k-th counts at least k:
    two may get the same number, but none a number that is too small, and no level is spent twice.

    Args:
        rows: history of the registered model, read after the look was announced.
        images: sha256 of each test image.
        evaluation: key of the evaluation.
        champion: version to compare with, or None.
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
    """All looks at a test set (by its sketch) or at one with mostly the same images, by evaluation and champion.

    For each look the entry of its decision, or of its announcement if there was no decision.
    """
    found = [row for row in rows if row.look and overlap(row.look.sketch, few) > ALIKE]
    return {(row.evaluation, row.champion): row for row in found}


def compared(row: HistoryRow) -> bool:
    """Whether a look compared with a champion, which spends significance."""
    return row.look is not None and row.look.most > 0
