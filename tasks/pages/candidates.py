"""Pages on candidates: how far a training is, and all of them side by side."""

from uuid import UUID

from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact

from pneumo.operations.flow_runs.summary import CandidateRow
from pneumo.training.process.progress import OnProgress, Progress, describe
from tasks.pages.keys import key


def progress_bar(name: str) -> OnProgress:
    """A progress bar for a training, which follows its events."""
    bar = create_progress_artifact(progress=0.0, key=key(f"progress-{name}"), description=f"{name}: start")
    assert isinstance(bar, UUID)  # noqa: S101 - in a synchronous task the call is synchronous

    def follow(event: Progress) -> None:
        update_progress_artifact(artifact_id=bar, progress=share(event), description=f"{name}: {describe(event)}")

    return follow


def share(event: Progress) -> float:
    """Percentage of a training that is done, 0 to 100."""
    if event.stage == "done":
        return 100.0
    over = event.epoch - 1 + event.step / event.steps if event.steps else event.epoch
    return min(99.0, 100.0 * over / max(event.epochs, 1))


def leaderboard(rows: tuple[CandidateRow, ...]) -> None:
    """The candidates side by side."""
    create_table_artifact(key="leaderboard", table=[_plain(row) for row in rows], description="Ranked by validation.")


def _plain(row: CandidateRow) -> dict[str, object]:
    return {
        "candidate": row.name,
        "validation AUC": row.validation_auc,
        "selection score": "not measured" if row.unmeasured else row.selection_score,
        "test AUC": row.test_auc and format(row.test_auc, ".4f"),
        "sensitivity": row.sensitivity and round(row.sensitivity.value, 3),
        "specificity": row.specificity and round(row.specificity.value, 3),
        "minutes": row.minutes and round(row.minutes, 1),
        "failed because": row.reason,
    }
