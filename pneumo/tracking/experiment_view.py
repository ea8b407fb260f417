"""The view of the experiment on MLflow's page: which columns it shows of all runs, and in which order."""

import json

NAME = "leaderboard"
_METRICS = ("validation_auc", "test_auc", "test_sensitivity", "test_specificity", "minutes")
_COLUMNS = [*(f"metrics.`{name}`" for name in _METRICS), "tags.`decision`"]
# As MLflow's button "Share" keeps it, as a tag of the experiment: what it does not name is as by default.
TAG = {
    f"mlflow.sharedViewState.{NAME}": json.dumps(
        {"selectedColumns": _COLUMNS, "columnOrder": _COLUMNS, "groupBy": None}
    )
}
