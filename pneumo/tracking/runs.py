"""Runs with explicit ids: started, found, tagged, ended. Nothing uses MLflow's active run."""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, cast

from pneumo.records.base import Record
from pneumo.tracking import experiment_view
from pneumo.tracking.addresses import page
from pneumo.tracking.connection import EXISTS, MISSING, as_tracking_errors, pages, quoted
from pneumo.tracking.system import system_tags

if TYPE_CHECKING:
    from mlflow import MlflowClient

Status = Literal["FINISHED", "FAILED", "KILLED"]
PARENT = "mlflow.parentRunId"
IDENTITY = "pneumo.identity"


class Run(Record):
    """One run; `started` in seconds since 1970. Parameters are texts."""

    run_id: str
    name: str
    started: float
    ended: bool
    tags: dict[str, str]
    params: dict[str, str]


class Runs:
    """The runs of one experiment on one MLflow server."""

    def __init__(self, client: "MlflowClient", uri: str, experiment: str, page: str) -> None:
        self.client, self.uri, self.experiment, self.page = client, uri, experiment, page

    @cached_property
    @as_tracking_errors
    def experiment_id(self) -> str:
        """The experiment's id; created when there is none."""
        found = self.client.get_experiment_by_name(self.experiment)
        return str(found.experiment_id) if found else self._create_experiment()

    @property
    @as_tracking_errors
    def identity(self) -> str:
        """What tells this experiment from those of all other servers; a tag that is made once."""
        tags: Mapping[str, str] = self.client.get_experiment(self.experiment_id).tags
        if IDENTITY not in tags:
            self.client.set_experiment_tag(self.experiment_id, IDENTITY, uuid.uuid4().hex)
            return self.identity  # two processes may have set one at once: what is there now counts
        return tags[IDENTITY]

    @contextmanager
    def watched(self, run_id: str) -> Iterator[None]:
        """Log this machine's load (processor, memory, disk, network, GPU) to a run during the block, every 10 s."""
        from mlflow.system_metrics import system_metrics_monitor as library

        monitor: Any = cast(Any, library).SystemMetricsMonitor(run_id, tracking_uri=self.uri)
        monitor.start()
        try:
            yield
        finally:
            monitor.finish()

    @as_tracking_errors
    def start(self, name: str, parent: str | None = None, tags: Mapping[str, str] | None = None) -> str:
        """Start a run; returns its id."""
        every = {**system_tags(), **(tags or {}), **({PARENT: parent} if parent else {})}
        return str(self.client.create_run(self.experiment_id, tags=every, run_name=name).info.run_id)

    @as_tracking_errors
    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Add tags or change them."""
        from mlflow.entities import RunTag

        self.client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])

    @as_tracking_errors
    def tags(self, run_id: str) -> dict[str, str]:
        """All tags of a run."""
        return dict(self.client.get_run(run_id).data.tags)

    @as_tracking_errors
    def find(self, run_id: str) -> Run | None:
        """One run; None if there is none with that id."""
        from mlflow.exceptions import MlflowException

        try:
            return _record(self.client.get_run(run_id))
        except MlflowException as error:
            if error.error_code == MISSING:
                return None
            raise

    @as_tracking_errors
    def unfinished(self, tags: Mapping[str, str]) -> list[str]:
        """Ids of runs with these tags that have not ended."""
        return [run.run_id for run in self.newest(tags, "RUNNING", limit=1000)]

    @as_tracking_errors
    def newest(self, tags: Mapping[str, str], status: str = "FINISHED", limit: int = 1) -> list[Run]:
        """Runs with these tags and this status, newest first."""
        return self._first([f"attributes.status = '{status}'", *_with(tags)], "DESC", limit)

    @as_tracking_errors
    def all(self) -> list[Run]:
        """Every run of the experiment, newest first."""
        return self._matching("")

    @as_tracking_errors
    def active(self, run_id: str) -> Run | None:
        """One run of the experiment that nobody has deleted."""
        return next(iter(self._matching(f"attributes.run_id = {quoted(run_id)}")), None)

    @as_tracking_errors
    def below(self, run_id: str) -> list[Run]:
        """The runs whose parent this is."""
        return self._matching(f"tags.`{PARENT}` = {quoted(run_id)}")

    @as_tracking_errors
    def after(self, started: float, tags: Mapping[str, str], limit: int) -> list[Run]:
        """The first runs with these tags that began later than so many seconds since 1970."""
        return self._first([f"attributes.start_time > {round(started * 1000)}", *_with(tags)], "ASC", limit)

    @as_tracking_errors
    def series(self, run_id: str, metric: str) -> list[tuple[float, float]]:
        """History of a metric as pairs of seconds since 1970 and value, oldest first."""
        found = self.client.get_metric_history(run_id, metric)
        return sorted((item.timestamp / 1000, item.value) for item in found)

    @as_tracking_errors
    def files(self, run_id: str, folder: str) -> list[str]:
        """Paths of the files that a run keeps in a folder; none where there is no such folder."""
        return [item.path for item in self.client.list_artifacts(run_id, folder) if not item.is_dir]

    @as_tracking_errors
    def finish(self, run_id: str, status: Status = "FINISHED", reason: str | None = None) -> None:
        """End a run; a reason becomes a tag."""
        if reason:
            self.set_tags(run_id, {"reason": reason})
        self.client.set_terminated(run_id, status)

    def url(self, run_id: str) -> str:
        """Address of the run's page."""
        return page(self.page, f"experiments/{self.experiment_id}/runs/{run_id}")

    @as_tracking_errors
    def leaderboard(self) -> str:
        """The page of all runs, with the columns that tell which is best; the experiment keeps that view as a tag."""
        for key, value in experiment_view.TAG.items():
            self.client.set_experiment_tag(self.experiment_id, key, value)
        return page(self.page, f"experiments/{self.experiment_id}/runs", viewStateShareKey=experiment_view.NAME)

    def _first(self, words: list[str], order: str, limit: int) -> list[Run]:
        where = ([self.experiment_id], " and ".join(words))
        by = [f"attributes.start_time {order}"]
        return [_record(run) for run in self.client.search_runs(*where, order_by=by, max_results=limit)]

    def _matching(self, words: str) -> list[Run]:
        """All runs that a filter takes, newest first."""
        where = ([self.experiment_id], words)
        newest = ["attributes.start_time DESC"]
        found = pages(
            lambda token: self.client.search_runs(*where, max_results=1000, order_by=newest, page_token=token)
        )
        return [_record(run) for run in found]

    def _create_experiment(self) -> str:
        from mlflow.exceptions import MlflowException

        try:
            return str(self.client.create_experiment(self.experiment))
        except MlflowException as error:
            # Another process was faster.
            found = self.client.get_experiment_by_name(self.experiment) if error.error_code == EXISTS else None
            if found is None:
                raise
            return str(found.experiment_id)


def _with(tags: Mapping[str, str]) -> list[str]:
    return [f"tags.`{name}` = {quoted(value)}" for name, value in tags.items()]


def _record(found: Any) -> Run:
    info = found.info
    return Run(
        run_id=info.run_id,
        name=info.run_name,
        started=info.start_time / 1000,
        ended=info.status != "RUNNING",
        tags=dict(found.data.tags),
        params=dict(found.data.params),
    )
