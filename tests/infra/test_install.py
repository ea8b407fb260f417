"""How `make` installs: with uv, told what pip's settings say, and with pip where that cannot be."""

import base64
import hashlib
import os
import shutil
import subprocess
import venv
import zipfile
from pathlib import Path

import pytest

from infra.dev import install

SCRIPT = Path(install.__file__)
METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
WHEEL = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """A folder that is an index of its own: `user` asks for an extra of `tiny`, and the lock is of tiny's older one."""
    folder = tmp_path_factory.mktemp("wheels")
    tiny = wheel(folder, "tiny", "1.0", "Provides-Extra: more\n")
    wheel(folder, "tiny", "2.0", "Provides-Extra: more\n")
    user = wheel(folder, "user", "1.0", "Requires-Dist: tiny[more]\n")
    (folder / "lock").write_text(f"tiny==1.0 --hash=sha256:{tiny}\nuser==1.0 --hash=sha256:{user}\n")
    (folder / "other").write_text(f"tiny==1.0 --hash=sha256:{'0' * 64}\n")
    return folder


def wheel(folder, name, version, more):
    """Make an empty package; the sha256 of its file."""
    known = f"{name}-{version}.dist-info"
    metadata = METADATA.format(name=name, version=version) + more
    contents = {f"{name}.py": "", f"{known}/METADATA": metadata, f"{known}/WHEEL": WHEEL}
    rows = [f"{path},sha256={digest(text.encode())},{len(text)}" for path, text in contents.items()]
    file = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for path, text in contents.items():
            archive.writestr(path, text)
        archive.writestr(f"{known}/RECORD", "\n".join([*rows, f"{known}/RECORD,,", ""]))
    return hashlib.sha256(file.read_bytes()).hexdigest()


def digest(content):
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, with_pip=True)
    return folder / "bin" / "python"


@pytest.fixture
def run(python, wheels, tmp_path):
    """Install from the folder alone, with the uv of `program` on PATH; gives the status, and who installed it."""

    def install(lock, program):
        (tmp_path / "uv").write_text(f"#!/bin/sh\n{program}\n")
        (tmp_path / "uv").chmod(0o755)
        environment = {
            "PATH": f"{tmp_path}{os.pathsep}{os.defpath}", "HOME": str(tmp_path), "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "TOLD": str(tmp_path / "told"),
        }  # fmt: skip
        subprocess.run([python, "-m", "pip", "uninstall", "-qy", "tiny", "user"], env=environment, capture_output=True)
        done = subprocess.run(
            [python, SCRIPT, "--require-hashes", "-r", wheels / lock], env=environment, capture_output=True, text=True
        )
        who = next(python.parents[1].glob("lib/*/site-packages/tiny-*/INSTALLER"), None)
        return done.returncode, who and who.read_text().strip()

    return install


def test_uv_is_told_where_pip_would_look(run, wheels, tmp_path):
    run("lock", 'echo "$UV_FIND_LINKS $*" >"$TOLD"')
    told = (tmp_path / "told").read_text()
    assert told.startswith(f"{wheels} pip install") and "--no-index --require-hashes" in told


@pytest.mark.parametrize("program", ["exit 2", "exec /nowhere/uv"])
def test_where_uv_fails_pip_installs_it(run, program):
    assert run("lock", program) == (0, "pip")


def test_what_has_another_hash_is_installed_by_neither(run):
    status, who = run("other", "exit 2")
    assert status != 0 and who is None


def test_uv_itself_installs_from_the_same_places(run):
    if not shutil.which("uv"):
        pytest.skip("no uv on this machine")
    program = f"PATH='{os.environ['PATH']}' HOME='{os.environ.get('HOME', '')}' exec uv \"$@\""
    assert run("lock", program) == (0, "uv")
    assert run("other", program)[0] != 0


def test_settings_that_uv_knows_are_told_and_others_are_left_to_pip():
    several = {"index-url": "https://a/simple", "extra-index-url": "https://b/simple\nhttps://c/simple", "timeout": "9"}
    told = {
        "UV_DEFAULT_INDEX": "https://a/simple",
        "UV_INDEX": "https://b/simple https://c/simple",
        "UV_FIND_LINKS": "/x,/y",
        "UV_HTTP_TIMEOUT": "9",
    }
    assert install.in_terms_of_uv(several | {"find-links": "/x /y", "retries": "9"}) == ([], told)
    assert install.in_terms_of_uv({"no-index": "true"}) == (["--no-index"], {})
    assert install.in_terms_of_uv({"trusted-host": "a"}) is None


def test_uv_is_fetched_at_the_hashes_of_the_lock(monkeypatch):
    asked = []
    monkeypatch.setattr(
        install.subprocess,
        "run",
        lambda command, **_: asked.append(Path(command[-1]).read_text() if "install" in command else ""),
    )
    install.fetch(install.LOCK)
    lines = asked[0].splitlines()
    assert lines[0].startswith("uv==") and all("--hash=sha256:" in line for line in lines[1:]) and len(lines) > 5
