"""What a backup holds, file by file with its digest, and what it only lists."""

import shutil
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from pneumo.data.files import sha256_of
from pneumo.errors import ServiceError
from pneumo.records.base import Record

CONTENTS = "backup.json"
SERVICE = "service"  # folder of what a service elsewhere has answered
ANSWERED = ("answers", "feedback", "shadow")  # of a state folder: answers, with what readers said of them


class StoredFile(Record):
    """A file of the backup."""

    bytes: int
    sha256: str


class StoredObject(Record):
    """An object on S3 that the backup only lists; its content stays there."""

    key: str
    bytes: int


class Contents(Record):
    """A backup: when it was made and by which version, its files, and the objects that it needs on S3.

    `databases` has the kind of each, by name: sqlite or postgres.
    """

    made: datetime
    version: str
    databases: dict[str, str]
    artifacts: str
    files: dict[str, StoredFile]
    objects: tuple[StoredObject, ...] = ()


def copied(source: Path, target: Path) -> None:
    """Copy a file or a folder's files, none of which has to stay; what is gone meanwhile is left out.

    The folder is looked through until nothing is new: a log's lines of a day may have become a table meanwhile. A link
    that is named itself is followed, as Kubernetes puts secrets in place; one inside a folder is not.
    """
    seen: set[Path] = set()
    while new := [file for file in _found(source) if file not in seen]:
        seen.update(new)
        _copy(new, source, target)


def _found(source: Path) -> list[Path]:
    return [source] if source.is_file() else sorted(source.rglob("*"))


def _copy(files: Sequence[Path], source: Path, target: Path) -> None:
    for file in files:
        place = target / file.relative_to(source)
        if (file.is_symlink() and file != source) or not file.is_file():
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copy2(file, place)
        except FileNotFoundError:
            continue  # house-keeping took it away this moment


def listed(folder: Path) -> dict[str, StoredFile]:
    """Every file below a folder but the list itself."""
    return {
        name: StoredFile(bytes=file.stat().st_size, sha256=sha256_of(file))
        for name, file in _files(folder)
        if name != CONTENTS
    }


def read(folder: Path) -> Contents:
    """A backup's list, after every file was compared with it.

    Raises:
        ServiceError: it is no backup, or a file is missing, changed or too many.
    """
    try:
        contents = Contents.model_validate_json((folder / CONTENTS).read_bytes())
    except (OSError, ValidationError):
        raise ServiceError(
            f"Expected a backup in {folder}, found no {CONTENTS} that can be read: name its folder."
        ) from None
    found = listed(folder)
    wrong = sorted(name for name in {*found, *contents.files} if found.get(name) != contents.files.get(name))
    if wrong:
        raise ServiceError(
            f"Expected the files of the backup as they were written, but {len(wrong)} differ, first {wrong[0]}: "
            "use another backup."
        )
    return contents


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Files by their names; a link is none, since it would not come back with what it points to."""
    found = (file for file in sorted(folder.rglob("*")) if file.is_file() and not file.is_symlink())
    return ((file.relative_to(folder).as_posix(), file) for file in found)
