"""Evidence that is kept with a registered version, so that a later promotion can compare with it fairly."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pandas as pd

from pneumo.errors import PromotionError
from pneumo.records.base import EMBEDDING, IMAGE
from pneumo.records.data import DatasetVersion
from pneumo.records.model import Evaluation
from pneumo.tracking import ModelVersion, Tracker
from pneumo.tracking.models.bundles import SPEC, find_bundle
from pneumo.tracking.models.package import files_digest
from pneumo.tracking.models.registry import REGISTERED

FOLDER = "registered"  # artifact folder of the version's run
MANIFEST, PREDICTIONS, EVALUATION = "manifest.parquet", "predictions.parquet", "evaluation.json"
CALIBRATION = "calibration.parquet"  # for a version calibrated at a place: the images of its calibration
DECISION = "promotion/decision.json"  # artifact of the parent run
KEY, DIGEST, FILES, INPUT = REGISTERED, "dataset.digest", "files.sha256", "input"
WEIGHTS = "model.sha256"  # tag: sha256 of the weights, whatever the operating point; old versions lack it
PROPOSED, UNDONE, BARRED = "proposed.by", "undone", "barred"  # tags: the run that proposed it; notes for people, or ""
PREVALENCE = "prevalence"  # tag: share of pneumonia among the images that fitted the operating point
USED = ["path", "sha256", "patient"]


def keep(tracker: Tracker, evaluation: Evaluation, version: DatasetVersion) -> None:
    """Log manifest, predictions and figures to the candidate's run."""
    tracker.log.text(evaluation.run_id, evaluation.model_dump_json(indent=1), f"{FOLDER}/{EVALUATION}")
    with tempfile.TemporaryDirectory(prefix="pneumo-") as folder:
        for name, path in ((MANIFEST, version.manifest), (PREDICTIONS, evaluation.predictions)):
            copy = Path(folder) / name
            copy.write_bytes(path.read_bytes())
            tracker.log.artifact(evaluation.run_id, copy, FOLDER)


@contextmanager
def evidence_of(tracker: Tracker, found: ModelVersion) -> Iterator[Path | None]:
    """The folder that `keep` logged for a version, removed after the block; None if other software registered it."""
    if KEY not in found.tags:
        yield None
        return
    with own_evidence(tracker, found) as folder:
        yield folder


def own_evidence(tracker: Tracker, found: ModelVersion) -> AbstractContextManager[Path]:
    """The same for a version that pneumo registered, so that there is a folder."""
    return tracker.files.downloaded(f"runs:/{found.run_id}/{FOLDER}")


def used(folder: Path) -> pd.DataFrame:
    """Rows of the images on which a version was trained, tuned or calibrated, from its evidence."""
    manifest = pd.read_parquet(folder / MANIFEST)
    return pd.concat([manifest[manifest["split"] != "test"], calibrated_on(folder)], ignore_index=True)


def calibrated_on(folder: Path) -> pd.DataFrame:
    """Images of a place on which a version was calibrated; none if it was calibrated only on its own data set."""
    file = folder / CALIBRATION
    return pd.read_parquet(file) if file.is_file() else pd.DataFrame(columns=USED)


def version_tags(evaluation: Evaluation, version: DatasetVersion, parent_run: str) -> dict[str, str]:
    """Tags of a version: what it is, and the numbers that `pneumo champion` shows."""
    numbers = {
        "auc": evaluation.test_auc.value,
        "auc.low": evaluation.test_auc.low,
        "auc.high": evaluation.test_auc.high,
        "sensitivity": evaluation.sensitivity.value,
        "specificity": evaluation.specificity.value,
        "threshold": evaluation.threshold,
        "temperature": evaluation.temperature,
        "offset": evaluation.offset,
    }
    if "fitted_prevalence" in evaluation.metrics:
        numbers[PREVALENCE] = evaluation.metrics["fitted_prevalence"]
    return {
        KEY: evaluation.key,
        "candidate": evaluation.name,
        INPUT: EMBEDDING if evaluation.vectors else IMAGE,
        DIGEST: version.digest,
        "dataset.source": version.source,
        "synthetic": json.dumps(version.synthetic),
        "pipeline.run": parent_run,
        PROPOSED: parent_run,
        FILES: files_digest(evaluation.bundle),
        WEIGHTS: json.loads((evaluation.bundle / SPEC).read_bytes())["model_sha256"],
        **{name: repr(value) for name, value in numbers.items()},
    }


def content(tags: Mapping[str, str]) -> tuple[str, ...]:
    """Digests in a version's tags by which it is recognised under another number."""
    return tuple(tags[name] for name in (WEIGHTS, FILES) if name in tags)


def take_up(tracker: Tracker, found: ModelVersion, run_id: str) -> None:
    """Note that a run continues with a version that an earlier run left."""
    tracker.registry.set_version_tags(found.name, found.version, {PROPOSED: run_id, UNDONE: ""})


def mark_undone(tracker: Tracker, name: str, version: str, run_id: str) -> None:
    """Mark a version as undone, unless another run has taken it up; it is never deleted."""
    found = tracker.registry.version(name, version)
    if found and found.tags.get(PROPOSED) == run_id:
        tracker.registry.set_version_tags(name, version, {UNDONE: unfinished(run_id)})


def unfinished(run_id: str) -> str:
    """The note on a version whose run did not end."""
    return f"run {run_id} ended before its decision"


def check_files(tracker: Tracker, found: ModelVersion) -> None:
    """Check that the registry still holds the bytes that were registered.

    Raises:
        PromotionError: a file was changed, added or removed.
    """
    with tracker.files.downloaded(found.uri) as folder:
        check_bundle(found, find_bundle(folder))


def check_bundle(found: ModelVersion, bundle: Path) -> None:
    """Check that a version's downloaded bundle is the one that was registered.

    Raises:
        PromotionError: a file was changed, added or removed.
    """
    digest = files_digest(bundle)
    if digest != found.tags.get(FILES):
        raise PromotionError(
            f"{found.name} version {found.version}: expected the files with sha256 {found.tags.get(FILES)} that were "
            f"registered, found {digest}: it was changed in the artifact store, choose another version."
        )
