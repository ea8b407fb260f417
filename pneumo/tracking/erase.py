"""Taking runs away for good: files first, then models, then the run itself."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pneumo.stages import Record
from pneumo.tracking.connection import MISSING, asks, pages

if TYPE_CHECKING:
    from mlflow import MlflowClient

# Where MLflow puts files below its artifact root: <experiment>/<run>/... and <experiment>/models/<model>/...
OWNED = re.compile(r"^(?P<folder>\d+/(?:(?P<run>[0-9a-f]{32})|models/(?P<model>m-[0-9a-f]{32})))/")


class Owner(Record):
    """Who a file in an artifact store belongs to; `folder` is below the store's root."""

    folder: str
    run_id: str | None
    model_id: str | None


def owner_of(path: str) -> Owner | None:
    """The run or logged model that a path below the artifact root belongs to; None for what is not MLflow's."""
    found = OWNED.match(path)
    return Owner(folder=found["folder"], run_id=found["run"], model_id=found["model"]) if found else None


class Erasing:
    """Removal on one MLflow server; what is gone already is no error, so a removal that was killed can be repeated."""

    uri: str
    client: "MlflowClient"

    @asks
    def models_of_runs(self, experiment_ids: list[str]) -> Mapping[str, list[str]]:
        """Ids of the logged models by the run that logged them."""
        found: dict[str, list[str]] = {}
        for model in pages(lambda token: self.client.search_logged_models(experiment_ids, page_token=token)):
            found.setdefault(str(model.source_run_id), []).append(model.model_id)
        return found

    @asks
    def erase_run(self, run_id: str, model_ids: list[str]) -> None:
        """Delete a run's files, the models it logged with theirs, and the run.

        The server keeps the rows, as deleted, until `mlflow gc`.
        """
        for model_id in model_ids:
            self._erase_files(self.client.get_logged_model(model_id).artifact_location)
            self.client.delete_logged_model(model_id)
        self._erase_files(self.client.get_run(run_id).info.artifact_uri)
        self.client.delete_run(run_id)

    @asks
    def exists(self, owner: Owner) -> bool:
        """Whether the server still has the run or model, and not as a deleted one."""
        from mlflow.exceptions import MlflowException

        try:
            if owner.run_id:
                return bool(self.client.get_run(owner.run_id).info.lifecycle_stage == "active")
            return self.client.get_logged_model(str(owner.model_id)) is not None
        except MlflowException as error:
            if error.error_code == MISSING:
                return False
            raise

    def _erase_files(self, place: Any) -> None:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        repository: Any = get_artifact_repository(str(place), tracking_uri=self.uri)
        repository.delete_artifacts()
