"""The tracker: runs, registered models and bundles of one MLflow server."""

from pneumo.tracking.bundles import Bundles
from pneumo.tracking.erase import Erasing
from pneumo.tracking.models import Models
from pneumo.tracking.runs import Runs


class Tracker(Runs, Models, Bundles, Erasing):
    """One MLflow server and experiment; every method names its run, nothing uses MLflow's active run.

    What MLflow refuses, and a server that does not answer, raise TrackingError.
    """
