"""Taking runs away for good: files first, then models, then the run itself, and a day later its rows."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from pneumo.errors import TrackingError
from pneumo.records.base import Record
from pneumo.tracking.connection import MISSING, as_tracking_errors, pages

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Where MLflow puts files below its artifact root: <experiment>/<run>/... and <experiment>/models/<model>/...
OWNED = re.compile(r"^(?P<folder>\d+/(?:(?P<run>[0-9a-f]{32})|models/(?P<model>m-[0-9a-f]{32})))/")
ERASED = "pneumo.erased"  # tag of a run that pneumo deleted: the models that went with it, which nothing else tells


class Owner(Record):
    """Who a file in an artifact store belongs to, by the id of a run or model; `folder` is below the store's root."""

    folder: str
    id: str


def owner_of(path: str) -> Owner | None:
    """The run or logged model that a path below the artifact root belongs to; None for what is not MLflow's."""
    found = OWNED.match(path)
    return Owner(folder=found["folder"], id=found["run"] or found["model"]) if found else None


class Eraser:
    """Removal on one MLflow server; what is gone already is no error, so a removal that was killed can be repeated."""

    def __init__(self, client: "MlflowClient", uri: str) -> None:
        self.client, self.uri = client, uri

    @as_tracking_errors
    def models_of_runs(self, experiment_ids: list[str]) -> Mapping[str, list[str]]:
        """Ids of the logged models by the run that logged them."""
        found: dict[str, list[str]] = {}
        for model in pages(lambda token: self.client.search_logged_models(experiment_ids, page_token=token)):
            found.setdefault(str(model.source_run_id), []).append(model.model_id)
        return found

    @as_tracking_errors
    def erase_run(self, run_id: str, model_ids: list[str]) -> None:
        """Delete a run's files, the models it logged with theirs, and the run.

        The server keeps the rows, as deleted, until `forget_erased`; the run's tag says who deleted it.
        """
        run = self.client.get_run(run_id)
        noted = {*run.data.tags.get(ERASED, "").split(","), *model_ids} - {""}  # of a removal that was killed, too
        self.client.set_tag(run_id, ERASED, ",".join(sorted(noted)))
        for model_id in model_ids:
            self._erase_files(self.client.get_logged_model(model_id).artifact_location)
            self.client.delete_logged_model(model_id)
        self._erase_files(run.info.artifact_uri)
        self.client.delete_run(run_id)

    @as_tracking_errors
    def erased(self, experiment_ids: list[str]) -> Mapping[str, list[str]]:
        """Models by the run that `erase_run` deleted with them; runs that somebody else deleted are not here."""
        from mlflow.entities import ViewType

        bin_only = ViewType.DELETED_ONLY
        found = pages(lambda token: self.client.search_runs(experiment_ids, "", bin_only, 1000, page_token=token))
        noted = {run.info.run_id: run.data.tags.get(ERASED) for run in found}
        return {run_id: tag.split(",") if tag else [] for run_id, tag in noted.items() if tag is not None}

    @as_tracking_errors
    def forget_erased(self, experiment_ids: list[str], database: str, seconds: float) -> None:
        """Remove from the server's database what `erase_run` deleted at least so many seconds ago, and nothing else.

        Not by `mlflow gc`: given run ids it still takes all other people's deleted experiments and models with them.

        Raises:
            TrackingError: the database cannot be read or written.
        """
        from mlflow.store.tracking import sqlalchemy_store
        from sqlalchemy.exc import SQLAlchemyError

        erased, age = self.erased(experiment_ids), int(seconds * 1000)
        if not erased:
            return
        try:
            store = cast(Any, sqlalchemy_store).SqlAlchemyStore(database, "mlflow-artifacts:/")
            old_runs, old_models = store._get_deleted_runs(age), set(store._get_deleted_logged_models(age))
            for run_id in erased.keys() & set(old_runs):
                for model_id in old_models.intersection(erased[run_id]):
                    store._hard_delete_logged_model(model_id)
                store._hard_delete_run(run_id)
        except SQLAlchemyError as error:
            reason = getattr(error, "orig", None) or error  # without the statement, which repeats the rows
            raise TrackingError(f"Expected to forget deleted runs in MLflow's database, but {reason}.") from None

    @as_tracking_errors
    def knows(self, owner: Owner) -> bool:
        """Whether the server has the run or model, be it as a deleted one that can still be restored."""
        from mlflow.exceptions import MlflowException

        try:
            if owner.id.startswith("m-"):
                store: Any = self.client._tracking_client.store  # the client itself has no door to deleted models
                return store.get_logged_model(owner.id, allow_deleted=True) is not None
            return self.client.get_run(owner.id) is not None
        except MlflowException as error:
            if error.error_code == MISSING:
                return False
            raise

    def _erase_files(self, place: Any) -> None:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        repository: Any = get_artifact_repository(str(place), tracking_uri=self.uri)
        repository.delete_artifacts()
