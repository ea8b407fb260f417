"""Keys of artifacts, by which Prefect shows how a page changed from run to run."""

import re


def key(text: str) -> str:
    """An artifact key: lowercase letters, digits and dashes only."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
