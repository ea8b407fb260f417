"""A container engine, podman or Docker, and pneumo's images built with it; skipped with the reason without either."""

import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
IMAGES = {"server": "pneumo-server:0.1.0", "worker": "pneumo-worker:0.1.0"}
BACKUP = {"backup": "pneumo-backup:0.1.0"}
BUILD_SECONDS = 150  # of an image whose packages are in the engine's cache: some
UNREACHABLE = re.compile(
    r"(?i)max retries|name resolution|timed? ?out|no route|unreachable|certificate|could not find a version"
)


@dataclass(frozen=True)
class Engine:
    """A container engine and its compose."""

    command: tuple[str, ...]
    compose: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def is_podman(self):
        return "podman" in Path(self.command[0]).name

    def call(self, *words, timeout=300):
        return subprocess.run(
            [*self.command, *map(str, words)], env=self.environment, capture_output=True, text=True, timeout=timeout
        )

    def has(self, image):
        return self.call("image", "inspect", image).returncode == 0

    def image(self, name):
        """An image that is here, or could be pulled; skips otherwise."""
        if not self.has(name) and self.call("pull", "--quiet", name, timeout=120).returncode != 0:
            pytest.skip(f"the image {name} is neither here nor to be had: infra/dev/bases.sh makes a stand-in")
        return name


def find_engine(tmp_path_factory):
    """The engine that ENGINE names, or the one that answers."""
    given = shlex.split(os.environ.get("ENGINE", ""))
    found = [given] if given else [[name] for name in ("podman", "docker") if shutil.which(name)]
    answering = [words for words in found if _answers(words)]
    if not answering:
        pytest.skip("no container engine answers: podman or Docker")
    command = answering[0]
    environment = os.environ | {"BUILDAH_FORMAT": "docker"}  # podman's own format has no health checks
    if "podman" in Path(command[0]).name:
        program = shutil.which("podman-compose")
        if given:  # podman-compose calls `podman`, which is to have the same options
            folder = tmp_path_factory.mktemp("bin")
            (folder / "podman").write_text(f'#!/bin/sh\nexec {shlex.join(_absolute(command))} "$@"\n')
            (folder / "podman").chmod(0o755)
            environment["PATH"] = f"{folder}:{environment['PATH']}"
        return Engine(tuple(command), (program,) if program else (), environment)
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0
    return Engine(tuple(command), ("docker", "compose") if plugin else ())


def _absolute(command):
    return [shutil.which(command[0]) or command[0], *command[1:]]


def _answers(command):
    try:
        return subprocess.run([*command, "info"], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def build_images(engine, images=IMAGES):
    """Images by target and tag, built from what is here."""
    version = re.search(r"^ARG PYTHON_IMAGE=(\S+)$", (PROJECT / "infra/images/Dockerfile").read_text(), re.MULTILINE)
    engine.image(version[1])
    options = shlex.split(os.environ.get("BUILD_OPTIONS", ""))
    for target, tag in images.items():
        file = PROJECT / "infra" / "images" / "Dockerfile"
        words = (*options, "--file", file, "--target", target, "--tag", tag)
        try:
            done = engine.call("build", *words, PROJECT, timeout=BUILD_SECONDS)
        except subprocess.TimeoutExpired:
            pytest.skip(f"the image {tag} was not built within {BUILD_SECONDS} s: build it once (infra/README.md)")
        if done.returncode != 0 and UNREACHABLE.search(done.stdout + done.stderr):
            pytest.skip(f"the package index cannot be reached from a build: {(done.stderr or done.stdout)[-300:]}")
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return images
