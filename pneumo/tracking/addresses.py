"""Addresses of MLflow's pages, in its mode for training models; without it, it opens with menus for language models."""

import json
from urllib.parse import urlencode

MODE = {"workflowType": "machine_learning"}  # MLflow's page reads it behind the #
VIEW = "leaderboard"
_METRICS = ("validation_auc", "test_auc", "test_sensitivity", "test_specificity", "minutes")
_COLUMNS = [*(f"metrics.`{name}`" for name in _METRICS), "tags.`decision`"]
# A view of the experiment's runs, as MLflow's button "Share" keeps it: what it does not name is as by default.
VIEW_TAG = {
    f"mlflow.sharedViewState.{VIEW}": json.dumps(
        {"selectedColumns": _COLUMNS, "columnOrder": _COLUMNS, "groupBy": None}
    )
}


def page(server: str, path: str, **more: str) -> str:
    """A page of the server, such as models/name/versions/1."""
    return f"{server}/#/{path}?{urlencode(MODE | more)}"


def artifact(run_page: str, path: str) -> str:
    """The page that shows an artifact of a run; MLflow opens it in a frame of its own, cut off from other files."""
    place, mark, mode = run_page.partition("?")
    return f"{place}/artifacts/{path}{mark}{mode}"
