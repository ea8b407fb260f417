"""Names of flow runs: date, what is done, and with which data."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from prefect.runtime import flow_run


def dated(work: str) -> Callable[[], str]:
    """A function for `flow_run_name`, which gives 2026-11-25 04:39 watch chest_xray."""

    def name() -> str:
        source = short(flow_run.parameters.get("data"))
        return f"{datetime.now():%Y-%m-%d %H:%M} {work} {source}".rstrip()

    return name


def short(source: str | None) -> str:
    """The last part of a source: chest_xray of /data/chest_xray."""
    return Path(source).name or source if source else ""
