"""The team server's files: no privilege, doors shut, secrets by name only, and no file of secrets in git."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

INFRA = Path(__file__).parents[2] / "infra"


def services():
    return yaml.safe_load((INFRA / "compose.yaml").read_text())["services"]


def test_containers_have_no_privilege_and_are_watched():
    for name, service in services().items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service.get("cap_add", []) == (["CHOWN"] if name == "storage-folder" else []), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "restart" in service, name
        assert "privileged" not in service, name


def test_ports_are_published_on_loopback_and_stores_not_at_all():
    for name, service in services().items():
        for port in service.get("ports", []):
            assert port.startswith(("127.0.0.1:", "${PROXY_ADDRESS:-127.0.0.1}:")), (name, port)
    assert not [name for name in ("postgres", "storage") if services()[name].get("ports")]


def test_compose_refuses_to_start_without_each_secret():
    text = (INFRA / "compose.yaml").read_text()
    example = (INFRA / "team.env.example").read_text()
    needed = set(re.findall(r"\$\{(\w+):\?", text))
    given = set(re.findall(r"^(\w+)=$", example, re.MULTILINE))
    assert needed == given
    assert not re.search(r"(PASSWORD|SECRET\w*|KEY|LOGIN)\w*: (?!\$\{)[^\s]+", text)


def test_images_are_built_in_stages_for_a_user_that_is_not_root():
    text = (INFRA / "images/Dockerfile").read_text()
    final = {
        name: block
        for name, block in re.findall(r"FROM \S+ AS (server|worker|worker-gpu|backup)\n(.*?)(?=FROM|\Z)", text, re.S)
    }
    assert final.keys() == {"server", "worker", "worker-gpu", "backup"}
    for name, block in final.items():
        assert block.rfind("USER 10001:10001") > block.rfind("COPY"), name
    assert "--require-hashes" in text


def test_no_file_names_a_package_registry():
    for path in INFRA.rglob("*"):
        if path.is_file():
            found = re.search(r"(?i)\b(pypi|docker\.io|quay\.io|gcr\.io|ghcr\.io)\b|index-url\W+http", path.read_text())
            assert found is None, (path, found)


@pytest.mark.skipif(not (INFRA.parent / ".git").exists(), reason="no git tree")
def test_git_takes_no_file_of_secrets_that_the_manuals_have_people_write():
    root = INFRA.parent
    manuals = [root / "infra/README.md", *(root / "docs").rglob("*.md")]
    named = {name for file in manuals for name in re.findall(r"env-file[ =](\S+\.env)", file.read_text())}
    assert named == {"servers.env", "run.env", "serve.env", "infra/team.env"}
    command = ["git", "-C", root, "check-ignore", *sorted(named), "infra/kubernetes/base/environment.env"]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.stderr == ""
    assert set(told.stdout.split()) == named
