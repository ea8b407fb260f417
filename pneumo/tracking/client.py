"""The tracker: runs, registered models and bundles of one MLflow server."""

from typing import Self

from pneumo.settings import Settings
from pneumo.tracking.bundles import Bundles
from pneumo.tracking.connection import connect
from pneumo.tracking.erase import Eraser
from pneumo.tracking.model_files import ModelFiles
from pneumo.tracking.models import ModelRegistry
from pneumo.tracking.run_log import RunLog
from pneumo.tracking.runs import Runs


class Tracker:
    """One MLflow server and experiment, by its parts; every method names its run, nothing uses MLflow's active run.

    What MLflow refuses, and a server that does not answer, raise TrackingError.

    Attributes:
        runs: runs started, found, tagged and ended.
        log: what is logged to a run: parameters, metrics, files.
        bundles: models logged to a run.
        registry: registered models, their versions, aliases and tags.
        files: the files of models and runs, downloaded and checked.
        eraser: runs deleted for good.
    """

    def __init__(self, uri: str, experiment: str, patience: float = 0, unverified: bool = False) -> None:
        """Connect, within `patience` seconds; the experiment is created when it is first needed.

        `unverified`: whether models of whose files no digest is known may be run.

        Raises:
            TrackingError: nothing answers at the address.
        """
        self.uri, self.experiment = uri.rstrip("/"), experiment
        self.client = connect(self.uri, patience)
        self.runs = Runs(self.client, self.uri, experiment)
        self.log = RunLog(self.client, self.uri, self.runs)
        self.bundles = Bundles(self.client, self.uri)
        self.registry = ModelRegistry(self.client, self.uri)
        self.files = ModelFiles(self.client, self.uri, self.registry, unverified)
        self.eraser = Eraser(self.client, self.uri)

    @classmethod
    def of(cls, settings: Settings, patience: float = 0) -> Self:
        """That of the settings; a server that does not answer is waited for, up to `patience` seconds."""
        return cls(settings.tracking_uri, settings.tracking.experiment, patience, settings.registry.unverified)
