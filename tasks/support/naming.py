"""Names and tags of flow runs: date, what is done, with which data; then what the images are, and what came of it."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from uuid import UUID

from prefect.runtime import flow_run


def dated(work: str) -> Callable[[], str]:
    """A function for `flow_run_name`, which gives 2026-11-25 04:39 watch chest_xray."""

    def name() -> str:
        source = short(flow_run.parameters.get("data"))
        return f"{datetime.now():%Y-%m-%d %H:%M} {work} {source}".rstrip()

    return name


def without_source() -> str:
    """Name of this flow run without its source, which may name a person: for messages that leave the machine."""
    return str(flow_run.name or "").removesuffix(short(flow_run.parameters.get("data"))).rstrip()


def tag_run(*tags: str) -> None:
    """Add tags to this flow run, by which Prefect's list of runs can be narrowed; nothing outside of a flow run."""
    from prefect.client.orchestration import get_client

    if flow_run.id:
        run_id = UUID(flow_run.id)
        with get_client(sync_client=True) as client:
            known = client.read_flow_run(run_id).tags
            client.update_flow_run(run_id, tags=list(dict.fromkeys([*known, *tags])))


def short(source: str | None) -> str:
    """The last part of a source: chest_xray of /data/chest_xray."""
    return Path(source).name or source if source else ""
