"""Old files of the state folder: caches, checkpoints, reports, logs, and leftovers of killed processes."""

import os
import re
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path

from pneumo.data.store.versions import list_versions, version_folder
from pneumo.operations.retention.item import DAY, YOUNGEST, Item, Kind, Removal
from pneumo.settings.unattended import Retention

Digests = Callable[[], Collection[str]]  # gives the digests of the data sets that are needed now
KEY = "[0-9a-f]{12}(?:[0-9a-f]{4})?"
RUN = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# Where files are, and how pneumo names them: others may keep a cache or runs in the same folder.
PLACES: tuple[tuple[Kind, str, str], ...] = (
    ("cache", "cache/[!.]*/[!.]*", rf"{KEY}(?:\.parquet)?"),
    ("cache", "cache/kagglehub/datasets/*/*", ".+"),
    ("cache", "cache/reference/*.parquet", rf"predictions-{KEY}\.parquet"),
    ("cache", "cache/dicomweb/*/*.dcm", r"dicomweb-[0-9a-f]{24}\.dcm"),
    ("checkpoint", "checkpoints/*", KEY),
    ("report", "runs/*", rf"{RUN}|predict-{KEY}"),
    ("log", "logs/*.log", rf"train-{KEY}\.log"),
    ("cache", "prefect/storage/*", ".+"),
)
LEFT_OVER = (
    "cache/*/.*", "cache/.*", "cache/s3/**/.*.part", "cache/dicomweb/*/.*", "cache/pulled/**/.*.part", "runs/*/.*.part",
)  # fmt: skip
UNFINISHED = r"\.(?:.+\.)?(?:[0-9a-f]{8}(?:\.part)?|part|removed)"


def old_files(home: Path, limits: Retention, digests: Digests) -> Iterator[Removal]:
    """Whatever of pneumo's was not used for `retention.days` and is no part of the data sets with these digests.

    Lock files stay: if one is deleted while somebody holds it, another can take it as well.
    """
    needed = _needed(home, digests())
    for kind, pattern, name in PLACES:
        for place in _called(home, pattern, name):
            if _is_old(place, limits.days, needed):
                yield _removal(kind, place, home, limits.days, digests)
    for pattern in LEFT_OVER:
        for place in _called(home, pattern, UNFINISHED):
            if _is_old(place, YOUNGEST, []):
                yield _removal("left-over", place, home, YOUNGEST, tuple)


def _called(home: Path, pattern: str, name: str) -> list[Path]:
    return [place for place in sorted(home.glob(pattern)) if re.fullmatch(name, place.name)]


def _is_old(place: Path, days: float, needed: list[Path]) -> bool:
    """Whether it is unused for longer than `days`, not needed, and not of a claimed flow run."""
    return not _holds(place, needed) and not (place / "process.json").exists() and _days(place) > days


def long_logs(home: Path, limits: Retention) -> Iterator[Removal]:
    """Logs of the servers that are too long; their beginning is cut off while the servers go on writing."""
    most = int(limits.log_mb * 2**20)
    for file in sorted(home.glob("services/*.log")):
        size = file.stat().st_size
        if size > most:
            name, cut = str(file.relative_to(home)), size - most // 2
            yield Item(kind="log's beginning", name=name, days=_days(file), bytes=cut), partial(_cut, file, most)


def size_of(place: Path) -> int:
    """Bytes of a file or of all files below a folder."""
    files = place.rglob("*") if place.is_dir() else [place]
    return sum(file.lstat().st_size for file in files if not file.is_dir())


def _needed(home: Path, digests: Collection[str]) -> list[Path]:
    """Folders of data sets: the manifest, and the images if they are in the cache."""
    folders = [version_folder(home, digest) for digest in digests]
    roots = [version.root for version in list_versions(home) if version.digest in digests]
    return [*folders, *roots]


def _holds(place: Path, needed: list[Path]) -> bool:
    return any(folder.is_relative_to(place) or place.is_relative_to(folder) for folder in needed)


def _days(place: Path) -> float:
    """Days since the newest change of a file, or of a folder and all that is below it."""
    below = place.rglob("*") if place.is_dir() else ()
    newest: float = max(entry.lstat().st_mtime for entry in (place, *below))
    return (time.time() - newest) / DAY


def _removal(kind: Kind, place: Path, home: Path, days: float, digests: Digests) -> Removal:
    item = Item(kind=kind, name=str(place.relative_to(home)), days=_days(place), bytes=size_of(place))
    return item, partial(_remove, place, home, days, digests)


def _remove(place: Path, home: Path, days: float, digests: Digests) -> bool:
    """Delete a folder; it is renamed first, so that a kill leaves nothing incomplete under its name."""
    if not place.exists() or not _is_old(place, days, _needed(home, digests())):
        return False
    doomed = place.with_name(f".{place.name}.removed")
    os.replace(place, doomed)
    shutil.rmtree(doomed) if doomed.is_dir() else doomed.unlink()
    return True


def _cut(file: Path, most: int) -> bool:
    """Keep the end of a log; the server goes on writing at the end, because it opened the file to append."""
    if file.stat().st_size <= most:
        return False
    with file.open("r+b") as stream:
        stream.seek(-(most // 2), os.SEEK_END)
        end = stream.read()
        stream.seek(0)
        stream.truncate()
        stream.write(end)
    return True
