"""The tracker: all parts of one MLflow server."""

from typing import Self

from pneumo.settings import Settings
from pneumo.tracking.connection import connect
from pneumo.tracking.erase import Eraser
from pneumo.tracking.models.bundles import Bundles
from pneumo.tracking.models.files import ModelFiles
from pneumo.tracking.models.registry import ModelRegistry
from pneumo.tracking.run_log import RunLog
from pneumo.tracking.runs import Runs


class Tracker:
    """One MLflow server and experiment, by its parts; run ids are always given, nothing uses MLflow's active run.

    What MLflow refuses, and a server that does not answer, raise TrackingError.

    Attributes:
        runs: runs started, found, tagged and ended.
        log: what is logged to a run: parameters, metrics, files.
        bundles: models logged to a run.
        registry: registered models, their versions, aliases and tags.
        files: the files of models and runs, downloaded and checked.
        eraser: runs deleted for good.
    """

    def __init__(
        self, uri: str, experiment: str, patience: float = 0, unverified: bool = False, page: str = ""
    ) -> None:
        """Connect, within `patience` seconds; the experiment is created when it is first needed.

        `unverified`: whether models may be run whose files have no known digest.
        `page`: where a browser opens the server, if not at `uri`.

        Raises:
            TrackingError: nothing answers at the address.
        """
        self.uri, self.experiment = uri.rstrip("/"), experiment
        self.client = connect(self.uri, patience)
        self.runs = Runs(self.client, self.uri, experiment, page or self.uri)
        self.log = RunLog(self.client, self.uri, self.runs)
        self.bundles = Bundles(self.client, self.uri)
        self.registry = ModelRegistry(self.client, self.uri, page or self.uri)
        self.files = ModelFiles(self.client, self.uri, self.registry, unverified)
        self.eraser = Eraser(self.client, self.uri)

    @classmethod
    def of(cls, settings: Settings, patience: float = 0) -> Self:
        """The tracker of the settings; a server that does not answer is waited for, up to `patience` seconds."""
        names = settings.tracking_uri, settings.tracking.experiment
        return cls(*names, patience, settings.registry.unverified, settings.mlflow_page)
