"""Everything that is done with data before a training: ingest, validate, split, describe, push."""

from collections.abc import Callable
from pathlib import Path

from pneumo.data.quality import gate
from pneumo.data.report import exploration
from pneumo.data.sources import schemes
from pneumo.data.store import packs, versions
from pneumo.records.base import Record
from pneumo.records.data import DatasetVersion, GateReport, Inventory
from pneumo.settings.data import Data, Gate


class Prepared(Record):
    """`version` and `report` (a page) are None where the gate stopped the data; `sent` is None without a storage."""

    inventory: Inventory
    gate: GateReport
    version: DatasetVersion | None = None
    report: Path | None = None
    sent: int | None = None


def prepare(
    source: str,
    home: Path,
    data: Data,
    limits: Gate,
    reference: Callable[[Inventory], Path | None] = lambda _: None,
) -> Prepared:
    """Make a dataset version of a source, with its gate report and its page; push it if a storage is set.

    Args:
        source: as for `schemes.ingest`.
        home: state folder.
        data: storage, endpoint, columns of label files.
        limits: of the gate.
        reference: gives the manifest against which drift is measured, or None.

    Raises:
        DataError: the source holds nothing usable. A failed expectation raises nothing: see `gate.require`.
    """
    return prepare_inventory(schemes.ingest(source, home, data), home, data, limits, reference)


def prepare_inventory(
    inventory: Inventory,
    home: Path,
    data: Data,
    limits: Gate,
    reference: Callable[[Inventory], Path | None] = lambda _: None,
) -> Prepared:
    """`prepare` from what was ingested on."""
    report = gate.validate(inventory, home, limits, reference(inventory))
    if not report.passed:
        return Prepared(inventory=inventory, gate=report)
    made = versions.make_version(inventory, report, home)
    page = exploration.report(made, report, home)
    sent = packs.push(made, data) if data.storage else None
    return Prepared(inventory=inventory, gate=report, version=made, report=page, sent=sent)
