"""Find labelled images in a folder tree; what does not belong is skipped and counted."""

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pneumo.data.sources.names import split_of, split_of_folders
from pneumo.data.store.decode import SUFFIXES
from pneumo.errors import DataError
from pneumo.records.base import LABELS
from pneumo.words import counted

LABEL_FILES = ("labels.csv", "labels.parquet")
LAYOUT = f"folders {{train,val,test}}/{{{','.join(LABELS)}}} or {{{','.join(LABELS)}}}"


@dataclass(frozen=True)
class Entry:
    """A labelled image file; `path` is relative to the root, posix; `split` is that of its folder, or empty.

    `patient_known` is False where an earlier manifest made up the patient, since the file's name told none; `unissued`,
    see `dicom_identity.Identity`, is what it says.
    """

    path: str
    label: str
    split: str = ""
    subtype: str | None = None
    patient: str | None = None
    patient_known: bool = True
    unissued: str = ""


@dataclass
class Listing:
    """Labelled files below `root`, sorted by path, and how many files were skipped, by reason.

    `source` is set where it is more exact than what was asked for; `version` as in `Inventory`.
    """

    root: Path
    entries: list[Entry] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    synthetic: bool = False
    source: str | None = None
    version: str | None = None


def list_folder(root: Path) -> Listing:
    """Labelled images of a folder in Kaggle's layout, or with two class folders, which may themselves hold splits.

    Raises:
        DataError: no such folder, no image, one class only, an unknown class folder, or a split inside a split.
    """
    listing = Listing(layout_root(root))
    for parts in walk(listing.root, listing.skipped):
        if _belongs(parts[-1], listing.skipped) and (place := _place(parts[:-1], listing)):
            listing.entries.append(Entry("/".join(parts), *place))
    listing.entries.sort(key=lambda entry: entry.path)
    require_both_classes(listing)
    return listing


def layout_root(root: Path) -> Path:
    """The folder that holds the layout: `root`, or, as in many archives, the only folder inside it."""
    if not root.is_dir():
        raise DataError(f"Expected a folder with {LAYOUT}, but {root} is not a folder: check the path.")
    current = root
    for _ in range(4):
        folders = [item for item in _scan(current) if item.is_dir() and _is_text(item.name) and not _foreign(item.name)]
        labelled = any((current / name).is_file() for name in LABEL_FILES)
        if labelled or len(folders) != 1 or any(_is_layout_name(item.name) for item in folders):
            return current
        current = current / folders[0].name
    return root


def walk(root: Path, skipped: Counter[str]) -> Iterator[list[str]]:
    """Parts of the relative paths of all files below a folder; files whose names are not text are only counted."""
    for parts in walk_all(root, skipped):
        if all(_is_text(name) for name in parts):
            yield parts
        else:
            skipped["name is not printable text"] += 1


def walk_all(root: Path, skipped: Counter[str]) -> Iterator[list[str]]:
    """Parts of the relative paths of all files below a folder, whatever their names; each folder is entered once."""
    pending: list[tuple[Path, list[str]]] = [(root, [])]
    seen: set[tuple[int, int]] = set()
    while pending:
        folder, parts = pending.pop()
        identity = folder.stat()
        if (identity.st_dev, identity.st_ino) in seen:
            skipped["directory loop"] += 1
            continue
        seen.add((identity.st_dev, identity.st_ino))
        for item in _scan(folder):
            if item.is_dir():
                pending.append((folder / item.name, [*parts, item.name]))
            else:
                yield [*parts, item.name]


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as items:
            return sorted(items, key=lambda item: item.name)
    except OSError as error:
        raise DataError(f"Expected a readable folder, but {folder} gives: {error.strerror}; check it.") from error


def _place(folders: list[str], listing: Listing) -> tuple[str, str] | None:
    """Label and split by the folders above a file; None for a file that does not belong to the data set."""
    if any(_foreign(name) for name in folders):
        listing.skipped["system file"] += 1
        return None
    split = split_of(folders[0]) if folders else None
    below = folders[1:] if split else folders
    if not below:
        listing.skipped["file outside class folders"] += 1
        return None
    if below[0].upper() in LABELS:
        return below[0].upper(), split_of_folders(folders) or ""
    if not split and _is_second_copy(folders[1:], listing.root):
        listing.skipped["nested second copy"] += 1
        return None
    raise DataError(
        f"Expected {LAYOUT}, but {listing.root} has a folder {'/'.join(folders)!r}: rename it or take it out."
    )


def _is_second_copy(folders: list[str], root: Path) -> bool:
    """Whether folders are a second copy of the root's layout, as some archives hold one.

    Class folders in a folder beside splits are no copy: they are a split of unknown name.
    """
    if any(split_of(name) for name in folders):
        return True
    cut = any(item.is_dir() and split_of(item.name) for item in _scan(root))
    return not cut and any(_is_layout_name(name) for name in folders)


def _belongs(name: str, skipped: Counter[str]) -> bool:
    if _foreign(name):
        skipped["system file"] += 1
    elif os.path.splitext(name)[1].lower() not in SUFFIXES:
        skipped["not an image file"] += 1
    else:
        return True
    return False


def _is_text(name: str) -> bool:
    """Whether a name has neither control characters nor surrogates, which stand for bytes that are not UTF-8."""
    return all(sign.isprintable() or unicodedata.category(sign) == "Zs" for sign in name)  # Zs: spaces of any width


def _foreign(name: str) -> bool:
    return name.startswith(".") or name.lower() in ("__macosx", "thumbs.db", "desktop.ini")


def _is_layout_name(name: str) -> bool:
    return split_of(name) is not None or name.upper() in LABELS


def require_both_classes(listing: Listing) -> None:
    """Raise DataError unless a listing has images of both classes."""
    if not listing.entries:
        skipped = ", ".join(f"{count} {reason}" for reason, count in listing.skipped.items()) or "nothing"
        raise DataError(f"Expected images in {LAYOUT}, but {listing.root} has none (skipped: {skipped}): check it.")
    missing = set(LABELS) - {entry.label for entry in listing.entries}
    if missing:
        raise DataError(
            f"Expected images of both classes, but {listing.root} has {counted(len(listing.entries), 'image')} and no"
            f" {missing.pop()}: add that class."
        )
