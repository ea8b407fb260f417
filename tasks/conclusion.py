"""The end of a run: its summary for the terminal, its leaderboard for both pages."""

import json
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from pneumo.data.quality.two_sample_test import sentences
from pneumo.operations.flow_runs import summary
from pneumo.operations.flow_runs.summary import CandidateRow, Outcome, Summary
from pneumo.records.data import DatasetVersion, ShiftAudit
from pneumo.records.decision import Decision
from pneumo.records.model import Evaluation, External
from pneumo.registry.promotion.proposal import rank
from tasks import pages
from tasks.support.tracking import tracker


@task(name="summarize", task_run_name="summarize", cache_policy=NO_CACHE)
def summarize(  # noqa: PLR0913 - what every stage found
    evaluations: list[Evaluation],
    failures: dict[str, str],
    version: DatasetVersion,
    external: list[External],
    decision: Decision,
    home: Path,
    run_id: str,
    audits: list[ShiftAudit] | None = None,
    labels: str = "",
) -> Summary:
    """Write the run's outcome for the terminal, Prefect's page and MLflow's page."""
    ranked = rank(evaluations)
    failed = (CandidateRow(name=name, reason=reason) for name, reason in failures.items())
    rows = (*(_row(evaluation) for evaluation in ranked), *failed)
    tracking = tracker()
    result = Summary(
        flow_run_id=flow_run.id or "",
        source=version.source,
        synthetic=version.synthetic,
        digest=version.digest,
        images=version.images,
        candidates=rows,
        external=tuple(f"{item.name}: {item.verdict}" for item in external),
        shift=tuple(sentence for audit in audits or () for sentence in sentences(audit)),
        labels=labels,
        decision=_outcome(decision),
        prefect_url=flow_run.ui_url or "",
        mlflow_url=tracking.runs.url(run_id),
    )
    summary.write(result, home)
    tracking.log.text(run_id, result.model_dump_json(indent=2), summary.FILE)
    tracking.log.text(run_id, json.dumps([row.model_dump(mode="json") for row in rows], indent=2), "leaderboard.json")
    everything = tracking.runs.leaderboard()
    tracking.log.models(run_id, [row.model_uri for row in ranked])
    best = next(row for row in ranked if row.name == decision.name)
    tracking.log.metrics(run_id, _figures(best))
    tracking.runs.set_tags(run_id, {"mlflow.note.content": _note(result, everything), "decision": _verdict(result)})
    for row in ranked:
        tracking.runs.set_tags(row.run_id, {"decision": _verdict(result) if row is best else "not chosen"})
    pages.links(result.mlflow_url, everything)
    return result


def _figures(best: Evaluation) -> dict[str, float]:
    """What a run is known by, under the names that its candidates' figures have."""
    return {
        "validation_auc": best.validation_auc,
        "test_auc": best.test_auc.value,
        "test_sensitivity": best.sensitivity.value,
        "test_specificity": best.specificity.value,
        "minutes": best.minutes,
    }


def _outcome(decision: Decision) -> Outcome:
    said = decision.model_dump(include={"promoted", "reason", "registered_model", "version"})
    return Outcome(**said, remedies=decision.remedies, look=str(decision.look or ""))


def _verdict(result: Summary) -> str:
    return "promoted" if result.decision.promoted else "not promoted"


def _note(result: Summary, everything: str) -> str:
    """The description of the MLflow run: what was decided, the leaderboard, why."""
    head = "| candidate | validation AUC | test AUC (95 %) | sensitivity | specificity | minutes |"
    body = "\n".join(f"| {' | '.join(summary.cells(row))} |" for row in result.candidates)
    warning = (
        "**Synthetic images, drawn by pneumo: the figures say nothing about patients.**\n\n" if result.synthetic else ""
    )
    remedies = "".join(f"What to do about {remedy}\n\n" for remedy in result.decision.remedies)
    decision = f"**{_verdict(result).capitalize()}:** {result.decision.reason}"
    unmeasured = "".join(f"{words}\n\n" for words in summary.unmeasured(result))
    external = "".join(f"External validation: {line}\n\n" for line in result.external)
    shift = "".join(f"{line}\n\n" for line in result.shift)
    table = f"{head}\n{'|---' * 6}|\n{body}"
    words = f"{remedies}{result.decision.look}\n\n{unmeasured}{external}{shift}{result.labels}\n\n"
    links = f"[Prefect run]({result.prefect_url}), [all runs and candidates side by side]({everything})"
    return f"{warning}{decision}\n\n{table}\n\n{words}{links}"


def _row(evaluation: Evaluation) -> CandidateRow:
    return CandidateRow(
        name=evaluation.name,
        minutes=evaluation.minutes,
        validation_auc=evaluation.validation_auc,
        test_auc=evaluation.test_auc,
        sensitivity=evaluation.sensitivity,
        specificity=evaluation.specificity,
        selection_score=evaluation.selection_score,
        unmeasured=evaluation.unmeasured,
    )
