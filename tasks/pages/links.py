"""Links from a run's page to what MLflow has of it."""

from prefect.artifacts import create_markdown_artifact

from pneumo.tracking.addresses import artifact

DATA_DOCS, EXPLORATION = "data_docs/index.html", "exploration/report.html"
EVIDENCE = "promotion/decision.json"


def links(mlflow_url: str, leaderboard_url: str) -> None:
    """Links to the MLflow page of this run, to what it keeps there, and to all runs side by side."""
    places = {
        "This run in MLflow": mlflow_url,
        "All runs and candidates in MLflow, side by side": leaderboard_url,
        "Data Docs: what was expected of the data, and found": artifact(mlflow_url, DATA_DOCS),
        "What is in this data set": artifact(mlflow_url, EXPLORATION),
        "The decision's evidence": artifact(mlflow_url, EVIDENCE),
    }
    lines = [f"- [{words}]({url})" for words, url in places.items()]
    create_markdown_artifact(key="links", markdown="\n".join(lines), description="Where to read on.")


def link(mlflow_url: str) -> None:
    """Link to the MLflow page of this run, from its start on."""
    words = f"[This run in MLflow]({mlflow_url})"
    create_markdown_artifact(key="mlflow", markdown=words, description=words)
