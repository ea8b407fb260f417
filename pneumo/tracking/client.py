"""The tracker: runs, registered models and bundles of one MLflow server."""

from typing import Self

from pneumo.settings import Settings
from pneumo.tracking.bundles import Bundles
from pneumo.tracking.erase import Erasing
from pneumo.tracking.model_files import ModelFiles
from pneumo.tracking.run_log import RunLog


class Tracker(RunLog, ModelFiles, Bundles, Erasing):
    """One MLflow server and experiment; every method names its run, nothing uses MLflow's active run.

    What MLflow refuses, and a server that does not answer, raise TrackingError.
    """

    @classmethod
    def of(cls, settings: Settings, patience: float = 0) -> Self:
        """That of the settings; a server that does not answer is waited for, up to `patience` seconds."""
        names = settings.tracking_uri, settings.tracking.experiment
        return cls(*names, patience, settings.registry.unverified, settings.mlflow_page)
