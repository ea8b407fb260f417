"""Write a version's dossier: files for machines, and a page that people read."""

import tempfile
from pathlib import Path

from pneumo.records.decision import Decision
from pneumo.records.model import Evaluation
from pneumo.registry.acceptance.outcome import Acceptance
from pneumo.registry.dossier import AT, chai
from pneumo.registry.dossier.checklists import CHECKLISTS, NOTE, fill
from pneumo.registry.dossier.facts import Facts, bundle_spec, data_facts, training_facts
from pneumo.registry.dossier.item_answers import NEGATIVE, OPEN, Answers
from pneumo.registry.promotion import version_evidence
from pneumo.registry.promotion.proposal import Proposal
from pneumo.settings.promotion import Promotion
from pneumo.tracking import ModelVersion, Tracker

CHAI = "chai-model-card.xml"


def of_decision(tracker: Tracker, proposal: Proposal, decision: Decision, policy: Promotion) -> None:
    """Log the dossier of a version that was decided on to the version's run."""
    best, data = proposal.evaluation, proposal.data
    facts = Facts(
        model=decision.registered_model,
        version=decision.version,
        run=best.run_id,
        pipeline=proposal.parent_run,
        data=data_facts(data.manifest, data.source, data.synthetic, data.digest),
        training=training_facts(tracker, proposal.parent_run, best.name),
        evaluation=best,
        spec=bundle_spec(best.bundle),
        policy=policy,
        rows=decision.rows,
        decision=decision,
        external=proposal.external,
        audits=proposal.audits,
    )
    _log(tracker, facts, best.run_id)


def of_acceptance(
    tracker: Tracker, version: ModelVersion, bundle: Path, done: Acceptance, policy: Promotion, run_id: str
) -> None:
    """Log the dossier of a version with an operating point of a place to the run of its acceptance test.

    Args:
        tracker: where the version and the runs are.
        version: with the tags of the version whose weights it has.
        bundle: a bundle with these weights.
        done: the test's outcome.
        policy: the limits in force.
        run_id: run of the test.
    """
    tags = version.tags
    with version_evidence.own_evidence(tracker, version) as kept:
        evaluation = Evaluation.model_validate_json((kept / version_evidence.EVALUATION).read_bytes())
        told = tags["dataset.source"], tags.get("synthetic") == "true", tags[version_evidence.DIGEST]
        facts = Facts(
            model=version.name,
            version=version.version,
            run=run_id,
            pipeline=tags["pipeline.run"],
            data=data_facts(kept / version_evidence.MANIFEST, *told),
            training=training_facts(tracker, tags["pipeline.run"], evaluation.name),
            evaluation=evaluation,
            spec=bundle_spec(bundle),
            policy=policy,
            rows=done.rows,
            place=done,
        )
    _log(tracker, facts, run_id)


def write(facts: Facts, folder: Path) -> None:
    """Write all files of a dossier to a folder; the same facts give the same bytes."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    answers = Answers(facts)
    card, lists = chai.write(facts, answers), {name: fill(name, facts, answers) for name in CHECKLISTS}
    (folder / CHAI).write_text(card, encoding="utf-8")
    for name, filled in lists.items():
        (folder / f"{name}.json").write_text(filled.model_dump_json(indent=1) + "\n", encoding="utf-8")
    pages = Environment(
        loader=PackageLoader("pneumo.registry"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    known = {"lists": lists, "fields": chai.fields(card), "note": NOTE, "negative": tuple(NEGATIVE), "open": OPEN}
    page = pages.get_template("dossier.html.j2").render(f=facts, answers=answers, **known)
    (folder / Path(AT).name).write_text(page, encoding="utf-8")


def _log(tracker: Tracker, facts: Facts, run_id: str) -> None:
    with tempfile.TemporaryDirectory(prefix="pneumo-") as scratch:
        write(facts, Path(scratch))
        tracker.log.artifacts(run_id, Path(scratch), str(Path(AT).parent))
