"""Every command in the documentation is one that exists, with options that it has; the cheap ones are run."""

import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from operator import attrgetter
from pathlib import Path

import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner

from pneumo import cli
from tests.docs.blocks import PROJECT, blocks, commands

BIN = Path(sys.executable).parent
GROUP = get_command(cli.app)
FILE = attrgetter("file")
MAKEFILE = (PROJECT / "Makefile").read_text()


def words(line):
    """The words of a command without what redirects it or what follows it."""
    found = shlex.split(line.replace(" | ", " \0 ", 1) if line.startswith("pneumo up | down") else line)
    return found[: next((place for place, word in enumerate(found) if word in {"&&", "|", ">", ";", "\0"}), None)]


@pytest.mark.parametrize(("file", "line"), commands("pneumo"))
def test_a_command_of_pneumo_is_understood(file, line):
    parts = words(line)[1:]
    command = GROUP.commands[parts[0]]
    wanted = [parameter.name for parameter in command.params if parameter.required]
    if len(parts) == 1 and wanted:
        return  # named in running text, without its arguments
    with command.make_context(parts[0], parts[1:]):
        pass


@pytest.mark.parametrize(("file", "line"), commands("make"))
def test_a_target_of_make_is_there_with_its_variables(file, line):
    parts = shlex.split(line)
    targets = [part for part in parts[parts.index("make") + 1 :] if "=" not in part]
    for target in targets or ["train"]:
        assert re.search(rf"^[\w. -]*\b{re.escape(target)}\b[\w -]*:", MAKEFILE, re.MULTILINE), target
    for variable in (part.partition("=")[0] for part in parts[parts.index("make") + 1 :] if "=" in part):
        assert re.search(rf"\$\({variable}\)|^{variable} \?=", MAKEFILE, re.MULTILINE), variable
    done = subprocess.run(["make", "--dry-run", *parts[parts.index("make") + 1 :]], cwd=PROJECT, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_a_shell_finds_every_program_of_the_readme_once_it_did_what_the_readme_says(tmp_path):
    text = "\n".join(block.text for block in blocks() if block.file == "README.md" and not block.language)
    (activation,) = re.findall(r"^(\. \S+)", text, re.MULTILINE)
    programs = set(re.findall(r"^(?:\w+=\S* )*(pneumo|prefect|make|printf|curl)\b", text, re.MULTILINE)) | {"base64"}
    assert {"pneumo", "prefect", "make"} <= programs
    (tmp_path / ".venv").symlink_to(BIN.parent)
    script = "\n".join([activation, *(f"command -v {name} || exit" for name in sorted(programs))])
    bare = {"PATH": os.defpath, "HOME": str(tmp_path)}
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, env=bare, capture_output=True, text=True)
    assert done.returncode == 0 and str(BIN / "pneumo") in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(("file", "line"), commands("prefect deployment run"))
def test_a_deployment_is_there_and_takes_the_parameters(file, line):
    parts = words(line)
    deployments = yaml.safe_load((PROJECT / "flows" / "prefect.yaml").read_text())["deployments"]
    entrypoint = {item["name"]: item["entrypoint"] for item in deployments}[parts[3].partition("/")[2]]
    module, _, name = entrypoint.partition(":")
    flow = getattr(importlib.import_module(module.removesuffix(".py").replace("/", ".")), name)
    assert flow.name == parts[3].partition("/")[0]
    given = dict(word.split("=", 1) for before, word in pairwise(parts) if before == "--param")
    flow.validate_parameters({key: parsed(text) for key, text in given.items()})


def parsed(text):
    """A value as `prefect deployment run --param` reads it: JSON if it is some, else a text."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


@pytest.mark.parametrize("command", sorted(GROUP.commands))
def test_every_command_explains_itself(command):
    shown = CliRunner().invoke(cli.app, [command, "--help"])
    assert shown.exit_code == 0 and GROUP.commands[command].help.split(".")[0] in " ".join(shown.output.split())


def test_what_needs_no_server_runs_as_written(tmp_path):
    home = os.environ | {"PNEUMO_HOME": str(tmp_path)}
    for command in (["pneumo", "versions"], ["pneumo", "versions", "--json"], ["pneumo", "status", "--json"]):
        done = subprocess.run([BIN / command[0], *command[1:]], cwd=PROJECT, env=home, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "--json" not in command or isinstance(json.loads(done.stdout), list)


@pytest.mark.parametrize(
    "block", [block for block in blocks() if block.language == "python"], ids=lambda block: block.file
)
def test_python_is_valid_and_its_names_of_pneumo_exist(block):
    compile(block.text, block.file, "exec")
    for module, names in re.findall(r"^from (pneumo[\w.]*) import ([\w, ]+)$", block.text, re.MULTILINE):
        for name in names.split(", "):
            found = importlib.import_module(module)
            assert hasattr(found, name) or importlib.import_module(f"{module}.{name}")


@pytest.mark.parametrize(
    "block",
    [block for block in blocks() if block.language == "yaml" and block.file != "CONTRIBUTING.md"],
    ids=lambda block: block.file,
)
def test_yaml_is_a_part_of_the_settings(block):
    from pneumo.settings import Settings

    Settings.model_validate(yaml.safe_load(block.text))


def test_the_snippets_of_how_to_add_a_gate_run():
    for block in blocks():
        if block.file == "docs/how-to/gate.md" and block.language == "python":
            exec(compile(block.text, block.file, "exec"), {})


def test_the_french_readme_gives_the_same_commands():
    def given(file):
        return [without_comments(block.text) for block in blocks() if block.file == file]

    assert given("README.fr.md") == given("README.md")


def without_comments(text):
    return [line.partition("#")[0].rstrip() for line in text.splitlines()]


def test_the_pipeline_of_the_readme_runs_without_servers(tmp_path):
    (block,) = (block for block in blocks() if block.file == "README.md" and "candidate_specs" in block.text)
    environment = os.environ | {"PNEUMO_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", block.text], cwd=PROJECT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert list((tmp_path / "cache" / "evaluate").glob("*/bundle/model.keras"))
