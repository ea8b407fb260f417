"""Addresses of MLflow's pages, each of which asks for the menus for training instead of those for language models."""

from urllib.parse import urlencode

MODE = {"workflowType": "machine_learning"}  # MLflow's page reads it behind the #


def page(server: str, path: str, **more: str) -> str:
    """A page of the server, such as models/name/versions/1."""
    return f"{server}/#/{path}?{urlencode(MODE | more)}"


def artifact(run_page: str, path: str) -> str:
    """The page that shows an artifact of a run; MLflow opens it in a frame of its own, cut off from other files."""
    place, mark, mode = run_page.partition("?")
    return f"{place}/artifacts/{path}{mark}{mode}"
