"""Data stages: ingest, validate, split, describe, decode."""

from collections.abc import Sequence
from pathlib import Path

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from pneumo.data.quality import gate
from pneumo.data.report import exploration
from pneumo.data.sources import embeddings, schemes
from pneumo.data.store import image_store, packs, versions
from pneumo.evaluation.external import validation as elsewhere
from pneumo.evaluation.external.verdict import require_different_names
from pneumo.records.base import Fit
from pneumo.records.data import DatasetVersion, GateReport, ImageStore, Inventory, Vectors
from pneumo.registry.dossier.facts import QUARANTINED
from pneumo.settings import Settings
from pneumo.settings.data import Data, Gate
from tasks import pages
from tasks.support.naming import tag_run
from tasks.support.stage import stage
from tasks.support.tracking import name_run, tracker


# Never cached: only the files tell whether they have changed; an unchanged file is not read again.
@task(name="ingest", task_run_name="ingest", cache_policy=NO_CACHE)
def ingest(source: str, home: Path, settings: Data) -> Inventory:
    """Read what the source holds and list it, including bad files."""
    found = schemes.ingest(source, home, settings)
    get_run_logger().info("%d images from %s", found.images, found.source)
    return found


@stage("validate")
def validate(inventory: Inventory, home: Path, settings: Gate, reference: Path | None) -> GateReport:
    """Check the manifest against every expectation; a failed row is in the report, not an exception."""
    return gate.validate(inventory, home, settings, reference)


@task(name="gate", task_run_name="gate", cache_policy=NO_CACHE)
def require(report: GateReport, run_id: str) -> None:
    """Show the gate's rows in Prefect and MLflow, then stop the run if one of severity error failed."""
    tracker().log.artifacts(run_id, report.docs, "data_docs")
    tracker().log.artifact(run_id, report.quarantine, "data")
    tracker().runs.set_tags(run_id, {QUARANTINED: str(report.quarantined)})
    pages.gate_table(report, tracker().runs.url(run_id))
    for row in report.rows:
        if not row.passed:
            get_run_logger().warning("%s: expected %s, found %s", row.name, row.expected, row.observed)
    gate.require(report)


@stage("split")
def split(inventory: Inventory, report: GateReport, home: Path) -> DatasetVersion:
    """Split by patient and write the dataset version."""
    return versions.make_version(inventory, report, home)


@task(name="share data", task_run_name="share data", cache_policy=NO_CACHE)
def share(version: DatasetVersion, settings: Data) -> None:
    """Push the version to where the machines of a cluster find it."""
    packs.push(version, settings)


@stage("explore")
def explore(version: DatasetVersion, report: GateReport, home: Path) -> Path:
    """Draw the exploration report."""
    return exploration.report(version, report, home)


@task(name="describe data", task_run_name="describe data", cache_policy=NO_CACHE)
def describe(version: DatasetVersion, report: Path, run_id: str) -> None:
    """Log the data set, its manifest and its report to the run, and show its counts in Prefect."""
    name_run(run_id, version.source, version.digest)
    tag_run("synthetic images" if version.synthetic else "real images")
    tracker().log.dataset(run_id, version)
    tracker().log.artifact(run_id, version.manifest, "data")
    tracker().log.artifact(run_id, report, "exploration")
    pages.data_summary(version, tracker().runs.url(run_id))


@task(name="push", task_run_name="push", cache_policy=NO_CACHE)
def push(version: DatasetVersion, settings: Data) -> None:
    """Push the data set to the storage, if one is set and it is not there yet."""
    if settings.storage:
        packs.mark_used(version.digest, tracker().runs.identity, settings)
        packs.push(version, settings)


@task(name="bring in external sets", task_run_name="bring in external sets", cache_policy=NO_CACHE)
def external_sets(version: DatasetVersion, settings: Settings) -> list[Inventory]:
    """Ingest the external sets, which are scored at the end, so that a wrong one stops the run before any training."""
    found = [elsewhere.bring_in(source, version, settings.home, settings.data) for source in settings.external]
    require_different_names([inventory.source for inventory in found])
    return found


@stage("preprocess")
def preprocess(version: DatasetVersion, home: Path, size: int, fit: Fit) -> ImageStore:
    """Decode every image once."""
    return image_store.decode_all(version, home, size, fit)


@task(name="bring in embeddings", task_run_name="bring in embeddings", cache_policy=NO_CACHE)
def bring_in_embeddings(places: Sequence[str], version: DatasetVersion, settings: Settings) -> list[Vectors]:
    """Join embeddings made elsewhere to the data set, so that a wrong file stops the run before any training."""
    found = embeddings.bring_in(places, version, settings.home, settings.data)
    for item in found:
        words = "%s: %d numbers of each of %d images; %d others in %s are not of this data set"
        get_run_logger().info(words, item.name, item.width, item.images, item.others, item.source)
    return found
