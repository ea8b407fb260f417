"""Install into this Python what pip's arguments name: with uv, which takes a quarter of the time, else with pip.

`make` runs it by the Python of .venv, before anything is installed there. uv is taken from PATH, or fetched as a
package at the version and hashes of requirements.lock. It does not read pip's settings, so it is told those it
understands; pip does it where there is another one, where uv cannot be had, and where uv fails, such as at an index
that it cannot reach.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

LOCK = Path(__file__).parents[2] / "requirements.lock"
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
TOLD = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
}
NO_INDEX = "no-index"  # uv has a word for it on the command line alone
BETWEEN = {"UV_FIND_LINKS": ","}  # of several places; else a space
# What changes neither which file is installed nor where it comes from; a lock leaves nothing to constrain.
WITHOUT_EFFECT = {
    "disable-pip-version-check", "no-input", "no-color", "quiet", "verbose", "progress-bar", "retries", "cache-dir",
    "no-cache-dir", "config-file", "constraint", "root-user-action", "require-virtualenv", "prefer-binary",
}  # fmt: skip


def main(arguments: list[str]) -> int:
    """Install; returns the exit status."""
    told = in_terms_of_uv(pip_settings())
    if told is not None and (uv := find_uv()):
        flags, environment = told
        # The hashes say which file is meant, so that every index may be looked at, as pip does.
        same = ["--quiet", "--python", sys.executable, "--compile-bytecode", "--index-strategy", "unsafe-best-match"]
        command = [uv, "pip", "install", *same, *flags, *arguments]
        if subprocess.run(command, env=environment | os.environ, check=False).returncode == 0:  # noqa: S603 - our own command
            return 0
        sys.stderr.write("uv could not install it, so pip does\n")
    command = [*PIP, "install", "--quiet", *arguments, *constrained(arguments)]
    return subprocess.run(command, check=False).returncode  # noqa: S603 - as above


def constrained(arguments: list[str]) -> list[str]:
    """A lock as its own constraint: before 24, pip takes the newest of a package whose extra another one asks for."""
    locks = [lock for option, lock in pairwise(arguments) if option == "-r"]
    return [word for lock in locks for word in ("-c", lock)]


def pip_settings() -> dict[str, str]:
    """What pip's files and PIP_... say, in pip's own order of precedence."""
    listed = subprocess.run(  # noqa: S603 - our own command
        [*PIP, "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    found = re.findall(r"^(global|install|:env:)\.([\w-]+)=(.+)$", listed, re.MULTILINE)
    order = ("global", "install", ":env:")
    return {name: str(ast.literal_eval(text)) for _, name, text in sorted(found, key=lambda row: order.index(row[0]))}


def in_terms_of_uv(settings: dict[str, str]) -> tuple[list[str], dict[str, str]] | None:
    """The options and the environment that tell uv the same; None where a setting has no equal there.

    Addresses go by the environment: they may hold a password, and a command line is seen by all.
    """
    if settings.keys() - TOLD.keys() - WITHOUT_EFFECT - {NO_INDEX}:
        return None
    told: dict[str, str] = {}
    for name, text in settings.items():
        if variable := TOLD.get(name):
            told[variable] = BETWEEN.get(variable, " ").join(text.split())
    none = settings.get(NO_INDEX, "0").lower() in {"1", "true", "yes", "on"}
    return [f"--{NO_INDEX}"] if none else [], told


def find_uv() -> str | None:
    """The uv of PATH, the one beside this Python, or one fetched to there; None where it cannot be had."""
    beside = Path(sys.executable).with_name("uv")
    if found := shutil.which("uv"):
        return found
    if not beside.exists():
        fetch(LOCK)
    return str(beside) if beside.exists() else None


def fetch(lock: Path) -> None:
    """Install uv by pip, at the version and hashes of a lock that has it; says nothing where it cannot be had."""
    block = re.search(r"^uv==.*\n(?:[ \t]+--hash=.*\n?)+", lock.read_text(encoding="utf-8"), re.MULTILINE)
    if not block:
        return
    with tempfile.TemporaryDirectory() as folder:
        only = Path(folder) / "uv.txt"
        only.write_text(block[0].rstrip("\\\n ") + "\n", encoding="utf-8")
        words = ["install", "--quiet", "--no-deps", "--require-hashes", "--requirement", str(only)]
        subprocess.run([*PIP, *words], capture_output=True, check=False)  # noqa: S603 - our own command


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
