"""What is logged to a run: parameters, metrics, artifacts, figures, data sets."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pneumo.records.data import DatasetVersion
from pneumo.tracking.connection import as_tracking_errors
from pneumo.tracking.datasets import TEST, dataset_inputs, digest_in_mlflow, test_name
from pneumo.tracking.runs import Runs

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow import MlflowClient
    from mlflow.entities import Metric

LONGEST_PARAMETER = 6000
BATCH = 100  # parameters or tags in one request


class RunLog:
    """What is logged to the runs of one MLflow server."""

    def __init__(self, client: "MlflowClient", uri: str, runs: Runs) -> None:
        self.client, self.uri, self.runs = client, uri, runs

    @as_tracking_errors
    def params(self, run_id: str, params: Mapping[str, Any]) -> None:
        """Log parameters; what is no text is written as JSON; all are cut at MLflow's limit."""
        from mlflow.entities import Param

        items = [Param(name, _text(value)[:LONGEST_PARAMETER]) for name, value in params.items()]
        for start in range(0, len(items), BATCH):
            self.client.log_batch(run_id, params=items[start : start + BATCH])

    @as_tracking_errors
    def metrics(self, run_id: str, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers, at a step if one is given."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._log([Metric(name, float(value), now, step or 0) for name, value in metrics.items()], run_id)

    @as_tracking_errors
    def curve(self, run_id: str, steps: Mapping[int, Mapping[str, float]]) -> None:
        """Log the numbers of many steps at once."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._log([Metric(*item, now, step) for step, row in steps.items() for item in row.items()], run_id)

    @as_tracking_errors
    def model_metrics(
        self, run_id: str, model_uri: str, metrics: Mapping[str, float], version: DatasetVersion | None = None
    ) -> None:
        """Numbers of a logged model "models:/m-...", by which MLflow ranks models.

        With a `version`, those that begin with test_ are told to be of its test images.
        """
        from mlflow.entities import Metric

        now, model = int(time.time() * 1000), model_uri.removeprefix("models:/")
        name, digest = (test_name(version), digest_in_mlflow(version)) if version else (None, None)

        def of(key: str, value: float) -> Metric:
            on = {"dataset_name": name, "dataset_digest": digest} if key.startswith(f"{TEST}_") else {}
            return Metric(key, float(value), now, 0, model_id=model, run_id=run_id, **on)

        self._log([of(key, value) for key, value in metrics.items()], run_id)

    @as_tracking_errors
    def models(self, run_id: str, model_uris: Sequence[str]) -> None:
        """List logged models, be they of other runs, as what came of this run."""
        from mlflow.entities import LoggedModelOutput

        self.client.log_outputs(run_id, [LoggedModelOutput(uri.removeprefix("models:/"), step=0) for uri in model_uris])

    def _log(self, items: "list[Metric]", run_id: str) -> None:
        for start in range(0, len(items), BATCH):
            self.client.log_batch(run_id, metrics=items[start : start + BATCH])

    @as_tracking_errors
    def artifact(self, run_id: str, path: Path, folder: str | None = None) -> None:
        """Log a file under its own name."""
        self.client.log_artifact(run_id, str(path), folder)

    @as_tracking_errors
    def artifacts(self, run_id: str, folder: Path, target: str | None = None) -> None:
        """Log the content of a folder."""
        self.client.log_artifacts(run_id, str(folder), target)

    @as_tracking_errors
    def text(self, run_id: str, text: str, file: str) -> None:
        """Log a text as an artifact; `file` is its name, such as "promotion/card.html"."""
        self.client.log_text(run_id, text, file)

    @as_tracking_errors
    def figure(self, run_id: str, figure: "Figure", file: str) -> None:
        """Log a matplotlib figure as an artifact."""
        self.client.log_figure(run_id, figure, file)

    @as_tracking_errors
    def dataset(self, run_id: str, version: DatasetVersion) -> None:
        """Log the data set of a run, whole and its test images as inputs, with its digest as a tag."""
        self.client.log_inputs(run_id, dataset_inputs(version))
        self.runs.set_tags(run_id, {"dataset.digest": version.digest, "synthetic": str(version.synthetic).lower()})


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
