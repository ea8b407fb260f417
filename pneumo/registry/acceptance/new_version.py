"""A new version with the same weights and another operating point: its evidence, card and history."""

import json
import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pneumo.cache import stage_key
from pneumo.errors import PromotionError
from pneumo.evaluation.measures import Operating
from pneumo.evaluation.statistics.calibration import probability
from pneumo.records.data import Inventory
from pneumo.records.model import Evaluation
from pneumo.registry import dossier as dossiers
from pneumo.registry import history, model_card
from pneumo.registry.acceptance import at_home
from pneumo.registry.acceptance.outcome import Acceptance, left_out_in_words, size_in_words
from pneumo.registry.acceptance.subject import Subject
from pneumo.registry.dossier import write as dossier
from pneumo.registry.promotion import alias_switch, load_check, promotion_lock, version_evidence
from pneumo.settings import Settings
from pneumo.tracking import ModelVersion, Tracker
from pneumo.tracking.addresses import artifact
from pneumo.tracking.models.bundles import SPEC
from pneumo.tracking.models.package import files_digest
from pneumo.tracking.system import REQUESTER

JUDGED = ("accept", "accept.source")  # tags that a later run with other limits may change


@dataclass(frozen=True)
class New:
    """An operating point, its share of pneumonia, and the images that fitted and that judged it."""

    operating: Operating
    share: float
    drawn: pd.DataFrame
    judged: pd.DataFrame
    inventory: Inventory


def register(
    tracker: Tracker,
    asked: Subject,
    new: New,
    found: Acceptance,
    run_id: str,
    settings: Settings,
    home: Path,
    undo: ExitStack,
) -> Acceptance:
    """Register the version, unless one with the same operating point exists; the outcome is noted on it in any case.

    An accepted version gets the alias, one that is not loses it. Until a new version is checked, described and in the
    history, it is marked as undone, and the alias moves last. So after a kill the next run finds a finished version or
    starts again.

    Raises:
        PromotionError: in a fresh process the version scores wrongly.
    """
    name, alias = asked.version.name, settings.registry.accepted
    key = stage_key(
        "accepted", files=asked.version.tags[version_evidence.FILES], images=new.inventory.key, point=new.operating
    )
    with promotion_lock.exclusive(home, name):
        same = [item for item in tracker.registry.versions(name) if item.tags.get(version_evidence.KEY) == key]
        known = [item for item in same if not item.tags.get(version_evidence.UNDONE)]
        if known:
            undo.callback(_judge_as_before, tracker, known[-1])
        number = known[-1].version if known else _add(tracker, asked, new, found, key, run_id, undo)
        done = found.model_copy(update={"version": number, "alias": alias if found.accepted else None})
        made = tracker.registry.resolve(done.uri)
        dossier.of_acceptance(tracker, made, asked.bundle, done, settings.promotion, run_id)
        tracker.registry.describe_version(name, number, _card(tracker, asked, done))
        _tell(tracker, asked, done, run_id, settings, home)
        tracker.registry.set_version_tags(name, number, {**_judged(found), version_evidence.UNDONE: ""})
        before = tracker.registry.alias(name, alias)
        if found.accepted or before == number:
            alias_switch.move(tracker, name, alias, before, number if found.accepted else None, undo)
    return done


def _judged(found: Acceptance) -> dict[str, str]:
    return dict(zip(JUDGED, ("accepted" if found.accepted else "not accepted", found.source), strict=True))


def _judge_as_before(tracker: Tracker, known: ModelVersion) -> None:
    """Put back card and tags as they were; the history is never changed."""
    tracker.registry.describe_version(known.name, known.version, known.description)
    tracker.registry.set_version_tags(known.name, known.version, {name: known.tags[name] for name in JUDGED})


def _add(tracker: Tracker, asked: Subject, new: New, found: Acceptance, key: str, run_id: str, undo: ExitStack) -> str:
    """Log bundle and evidence to the run, register the version and score with it once; returns its number."""
    with tempfile.TemporaryDirectory(prefix="pneumo-") as scratch:
        bundle, kept = Path(scratch) / "bundle", Path(scratch) / version_evidence.FOLDER
        shutil.copytree(asked.bundle, bundle)
        spec = json.loads((bundle / SPEC).read_bytes()) | new.operating._asdict()
        spec["conformal"] = None  # its limits are probabilities of the operating point before
        (bundle / SPEC).write_text(json.dumps(spec, indent=2) + "\n", encoding="utf-8")
        uri = tracker.bundles.log(run_id, bundle, asked.evaluation.name, asked.example)
        evaluation = at_home.at_point(asked.kept, asked.evaluation, new.operating, new.share)
        evaluation = evaluation.model_copy(update={"key": key, "run_id": run_id, "model_uri": uri})
        shutil.copytree(asked.kept, kept)
        (kept / version_evidence.EVALUATION).write_text(evaluation.model_dump_json(indent=1), encoding="utf-8")
        before = version_evidence.calibrated_on(asked.kept)
        used = pd.concat([part for part in (before, new.drawn) if not part.empty] or [before], ignore_index=True)
        used.to_parquet(kept / version_evidence.CALIBRATION, index=False)
        tracker.log.artifacts(run_id, kept, version_evidence.FOLDER)
        tags = _tags(asked, new, found, evaluation, key, files_digest(bundle))
    number = tracker.registry.register(uri, asked.version.name, found.reason, tags)
    undo.callback(version_evidence.mark_undone, tracker, asked.version.name, number, run_id)
    _ask(tracker, f"models:/{asked.version.name}/{number}", new)
    return number


def _tags(asked: Subject, new: New, found: Acceptance, evaluation: Evaluation, key: str, files: str) -> dict[str, str]:
    numbers = {
        **new.operating._asdict(),
        version_evidence.PREVALENCE: new.share,
        "accept.calibrated_on": len(new.drawn),
    }
    numbers |= {name: getattr(evaluation, name).value for name in ("sensitivity", "specificity")}
    return {
        **asked.version.tags,
        version_evidence.KEY: key,
        version_evidence.FILES: files,
        version_evidence.PROPOSED: evaluation.run_id,
        version_evidence.UNDONE: version_evidence.unfinished(evaluation.run_id),
        version_evidence.BARRED: "",
        **{name: repr(value) for name, value in numbers.items()},
        **_judged(found),
        "accept.parent": asked.version.version,
    }


def _ask(tracker: Tracker, uri: str, new: New) -> None:
    rows = new.judged[: load_check.IMAGES]
    expected = probability(rows["logit"], new.operating.temperature, new.operating.offset)
    agrees, words = load_check.says(tracker, uri, [new.inventory.root / path for path in rows["path"]], expected)
    if not agrees:
        raise PromotionError(
            f"Expected {uri} to give its probabilities in a fresh process within {load_check.TOLERANCE:g}, "
            f"but {words}: it is marked as undone and has no alias, run again with the packages of requirements.lock."
        )


def _card(tracker: Tracker, asked: Subject, done: Acceptance) -> str:
    from jinja2 import Environment, PackageLoader

    # Markdown is not escaped here, because MLflow escapes it when it shows it.
    pages = Environment(loader=PackageLoader("pneumo.registry"), trim_blocks=True)
    parent = tracker.registry.version_url(asked.version.name, asked.version.version)
    facts = {
        "words": model_card.WORDS,
        "size": size_in_words(done.needs),
        "parent": parent,
        "left_out": left_out_in_words(done),
        "not_measured": at_home.LEFT_OUT,
        "dossier": artifact(done.run_url, dossiers.AT),
    }
    return pages.get_template("accepted_version_description.md.j2").render(done=done, **facts)


def _tell(tracker: Tracker, asked: Subject, done: Acceptance, run_id: str, settings: Settings, home: Path) -> None:
    """Write the outcome to the history; the champion does not change."""
    name = asked.version.name
    now = history.registry_state(tracker, name, settings.registry)
    what = f"new operating point for version {asked.version.version}. {done.reason}"
    entry = history.new_entry(
        now.number,
        history.by(home, tracker.runs.tags(run_id).get(REQUESTER)),
        "calibration",
        str(done.version),
        done.candidate,
        now.champion,
        what,
        f"runs:/{run_id}/accept/report.json",
    )
    history.append(tracker, name, entry)
