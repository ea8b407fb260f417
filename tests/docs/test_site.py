"""The documentation builds without a warning, and names every dependency."""

import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

from tests.docs.blocks import PROJECT


def test_the_site_builds_without_a_warning_and_asks_no_other_host(tmp_path):
    command = [Path(sys.executable).with_name("mkdocs"), "build", "--strict", "--site-dir", tmp_path]
    command += ["--config-file", PROJECT / "infra" / "docs" / "mkdocs.yml"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "promotion.minimum_auc" in (tmp_path / "reference" / "settings.html").read_text()
    assert "Folder, archive" in (tmp_path / "reference" / "flows.html").read_text()
    fetched = re.compile(r"<(?:script|img|iframe)[^>]* src=.?https?:|<link[^>]* rel=.?stylesheet[^>]* href=.?https?:")
    assert [file.name for file in tmp_path.rglob("*.html") if fetched.search(file.read_text())] == []


def test_every_dependency_is_named_with_its_reason():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"].values()
    wanted = [*project["project"]["dependencies"], *chain(*extras), *project["dependency-groups"]["dev"]]
    names = {re.match(r"[\w-]+", text)[0].lower() for text in wanted}
    table = (PROJECT / "docs" / "dependencies.md").read_text().lower()
    named = {name for row in re.findall(r"^\|(.+)\|$", table, re.MULTILINE) for name in re.findall(r"[\w-]+", row)}
    assert names - named == set()
