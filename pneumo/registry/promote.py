"""The stage `promote`: the best candidate by validation becomes champion if it passes every gate."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from pneumo.errors import PromotionError
from pneumo.registry import records, switch
from pneumo.registry.course import Approve, Course, decide
from pneumo.registry.rules import require_known
from pneumo.registry.steps import STEPS
from pneumo.settings import Settings
from pneumo.stages import ENSEMBLE, DatasetVersion, Decision, Evaluation, External, ShiftAudit
from pneumo.tracking import Tracker

NOISE = 0.002  # of a selection score, between two seeds of the same settings


def promote(
    evaluations: list[Evaluation],
    version: DatasetVersion,
    settings: Settings,
    home: Path,
    parent_run: str,
    approve: Approve | None = None,
    external: Sequence[External] = (),
    audits: Sequence[ShiftAudit] = (),
) -> Decision:
    """Register the best candidate as challenger, and make it champion if no gate refuses.

    The candidate is chosen by validation images (`choose`), never by test figures. A challenger that is refused
    is a result, not an error. On an error or a cancellation everything is put back as it was.

    Args:
        evaluations: the candidates' figures; their models are logged (`model_uri`).
        version: the data set they were trained and tested on.
        settings: policy and names.
        home: state folder, for the lock.
        parent_run: MLflow run that keeps the decision.
        approve: asked for a person's word when promotion.approval is set and every other gate holds.
        external: the candidate on sets from elsewhere, for the model card; nothing is decided by them.
        audits: whether test and external images are from where the training images are; for card and evidence.

    Raises:
        SettingsError: promotion.severity names a gate that does not exist.
        PromotionError: no candidate, somebody else promoted at the same time, or nobody to ask.
        TrackingError: MLflow does not answer.
    """
    require_known(settings.promotion)
    best = choose(evaluations, settings.promotion.embeddings_may_win)
    given = {item.name: item.vectors for item in evaluations if item.vectors}
    if settings.promotion.approval and approve is None:
        raise PromotionError(
            "Expected somebody to ask, because promotion.approval is true, but nobody can approve here: "
            "run the Prefect deployment, or set promotion.approval to false in mlflow.yaml."
        )
    name = settings.model_name(version.synthetic)
    tracker = Tracker(settings.tracking_uri, settings.tracking.experiment, unverified=settings.registry.unverified)
    with switch.exclusive(home, name) as lock, ExitStack() as undo:
        standing = switch.standing(tracker, name, settings.registry, home)
        course = Course(
            tracker, settings, home, best, version, parent_run, approve, lock, undo, name, standing, external, audits,
            given,
        )  # fmt: skip
        decision = _already_champion(course) or _run(course)
        undo.pop_all()
    return decision


def choose(evaluations: list[Evaluation], embeddings_may_win: bool = False) -> Evaluation:
    """The candidate with the best selection score, which comes from validation images.

    Scores within `NOISE` of each other choose nothing. Then the ensemble is taken if it is among them: the mean of
    several networks holds better under change than one of them (Ovadia et al. 2019).

    Of a candidate on embeddings it is not known what simulated change does to it, so it has no such score and is not
    chosen. With `embeddings_may_win` the best of the others meets it on what was measured of both: validation AUC.
    """
    if not evaluations:
        raise PromotionError("Expected at least one evaluated candidate, got none: train one first.")
    ranked = rank(evaluations)
    known = [item for item in ranked if item.selection_score is not None]
    level = [item for item in known if (item.selection_score or 0) >= (known[0].selection_score or 0) - NOISE]
    first = [item for item in level if item.name == ENSEMBLE] or known[:1]
    if known and not embeddings_may_win:
        return first[0]
    return max([*first, *ranked[len(known) :]], key=lambda item: (item.validation_auc, item in known))


def rank(evaluations: list[Evaluation]) -> list[Evaluation]:
    """Candidates by selection score, the best first; then those without one, by validation AUC."""

    def order(item: Evaluation) -> tuple[bool, float, str]:
        score = item.selection_score
        return score is not None, item.validation_auc if score is None else score, item.name

    return sorted(evaluations, key=order, reverse=True)


def _run(course: Course) -> Decision:
    for step in STEPS:
        step(course)
    return decide(course)


def _already_champion(course: Course) -> Decision | None:
    champion = course.standing.champion
    found = course.tracker.version(course.name, champion) if champion else None
    if found is None or found.tags.get(records.KEY) != course.evaluation.key:
        return None
    course.version = found.version
    reason = f"{course.evaluation.name} is already the champion (version {found.version}): nothing has changed."
    return decide(course).model_copy(update={"promoted": False, "reason": reason})
