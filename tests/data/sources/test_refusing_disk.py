"""Folders without permission and disks that refuse."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from pneumo.data.sources.schemes import ingest
from pneumo.errors import DataError
from pneumo.settings.data import Data

TARGET = "train/NORMAL/IM-0042-0001.jpeg"
INGEST = """
import json, sys
from pathlib import Path
import pandas as pd
from pneumo.data.sources.schemes import ingest
from pneumo.errors import DataError
from pneumo.settings.data import Data
try:
    rows = pd.read_parquet(ingest(sys.argv[1], Path(sys.argv[2]), Data()).manifest)
    print(json.dumps(dict(rows.loc[rows["error"].notna(), ["path", "error"]].values.tolist())))
except DataError as error:
    print(json.dumps(str(error)))
"""


def ingest_with_rights(source: Path, home: Path) -> str | dict[str, str]:
    """Errors by path, or the one that stopped it, as a user sees them to whom rights apply, also where root tests."""
    bound = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.getuid() == 0 else []
    command = [*bound, sys.executable, "-c", INGEST, str(source), str(home)]
    found: str | dict[str, str] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return found


needs_rights = pytest.mark.skipif(
    os.getuid() == 0 and not shutil.which("setpriv"), reason="rights do not apply to root without setpriv"
)


@needs_rights
def test_a_file_without_permission_is_a_row_with_the_reason(place, home):
    place.put(TARGET, place.jpeg())
    (place.root / TARGET).chmod(0)
    found = ingest_with_rights(place.root, home)
    assert list(found) == [TARGET]
    assert f"{TARGET} gives: Permission denied" in found[TARGET]


def test_a_file_that_a_disk_refused_once_is_read_the_next_time(place, home, monkeypatch):
    place.put(TARGET, place.jpeg())
    read = Path.read_bytes

    def hiccup(path):
        if path.name == Path(TARGET).name:
            raise OSError(errno.EIO, "Input/output error")
        return read(path)

    with monkeypatch.context() as disk:
        disk.setattr(Path, "read_bytes", hiccup)
        first = pd.read_parquet(ingest(str(place.root), home, Data()).manifest).set_index("path")
    again = pd.read_parquet(ingest(str(place.root), home, Data()).manifest).set_index("path")
    assert "Input/output error" in first.loc[TARGET, "error"] and again.loc[TARGET, "error"] is None


@needs_rights
def test_a_folder_without_permission_is_refused_by_name(place, home):
    (place.root / "train").chmod(0)
    found = ingest_with_rights(place.root, home)
    (place.root / "train").chmod(0o700)
    assert f"Expected a readable folder, but {place.root / 'train'} gives: Permission denied" in found


@needs_rights
def test_a_state_folder_without_permission_is_named(place, home):
    home.mkdir()
    home.chmod(0o500)
    assert f"the disk refuses at {home}" in ingest_with_rights(place.root, home)


def test_a_state_folder_that_cannot_be_written_is_named(place):
    blocked = place.make.write(place.top / "a file", b"x")
    with pytest.raises(DataError, match=r"the disk refuses at .*a file.* move the state folder with PNEUMO_HOME"):
        ingest(str(place.root), blocked, Data())


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from pneumo.data.sources.schemes import ingest
from pneumo.errors import DataError
from pneumo.settings.data import Data
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
try:
    ingest(sys.argv[1], Path(sys.argv[2]), Data())
except DataError as error:
    print(error)
"""


def test_a_full_disk_is_told_and_leaves_nothing_half_written(place, home):
    """The limit on file size stands for the end of the disk: a write fails midway."""
    command = [sys.executable, "-c", FULL_DISK, str(place.root), str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "the disk refuses" in done.stdout
    assert "free space" in done.stdout
    assert not list((home / "cache").glob("pixels/*"))
    assert ingest(str(place.root), home, Data()).images == 48
