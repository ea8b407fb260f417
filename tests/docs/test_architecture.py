"""What the documentation says of the code is there under that name."""

import importlib
import re
from functools import reduce

import pytest

from tests.docs.blocks import FILES, PROJECT

DOTTED = re.compile(r"`((?:pneumo|tasks|flows)(?:\.\w+)+)(?:\([^`]*\)[^`]*)?`")
PATHS = re.compile(r"`((?:pneumo|tasks|flows|bench|tests|infra)/[\w/.]+)`")
MADE = "infra/team.env"  # by whoever sets up a team server
TAGS = (
    "pneumo.history",
    "pneumo.key",
    "pneumo.requester",
    "pneumo.retrain",
    "pneumo.erased",
)  # of MLflow and Prefect, no modules


def said(pattern):
    return sorted({(file.name, name) for file in FILES for name in pattern.findall(file.read_text(encoding="utf-8"))})


def find(name):
    """The module, or what is in one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            module = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        return reduce(getattr, parts[length:], module)
    raise ModuleNotFoundError(name)


@pytest.mark.parametrize(("file", "name"), [item for item in said(DOTTED) if not item[1].startswith(TAGS)])
def test_a_name_is_found(file, name):
    find(name)


@pytest.mark.parametrize(("file", "path"), [item for item in said(PATHS) if item[1] != MADE])
def test_a_file_is_found(file, path):
    assert (PROJECT / path).exists()


def test_the_walks_are_long_enough_to_be_walks():
    text = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for title in ("## One image's way", "## One run's way"):
        walk = text.partition(title)[2].partition("\n## ")[0]
        assert len(DOTTED.findall(walk)) >= 8
