"""Label files: a CSV or Parquet table beside the images, for data sets that are not sorted into folders."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from pneumo.data.sources.folders import Entry, Listing, require_both_classes, walk
from pneumo.data.sources.names import split_of, split_of_folders
from pneumo.data.store.decode import SUFFIXES as IMAGE_SUFFIXES
from pneumo.data.tables.text_table import first_row, read_texts, require_titles, title_like
from pneumo.errors import DataError
from pneumo.settings.data import Column
from pneumo.words import counted

SUFFIXES = (".csv", ".parquet")
REQUIRED: tuple[Column, ...] = ("path", "label")
OPTIONAL: tuple[Column, ...] = ("subtype", "patient", "split")
MEANING = {"normal": "NORMAL", "0": "NORMAL", "pneumonia": "PNEUMONIA", "1": "PNEUMONIA"}


def list_labels(file: Path, columns: Mapping[Column, str]) -> Listing:
    """Images that a label file names; the file lies in the folder of the images.

    Args:
        file: CSV with a header, or Parquet; it holds paths relative to its folder, or file names that occur once there.
        columns: names of the columns path, label, subtype, patient and split, where they are called otherwise. Without
            a column split, the folders of an image tell its split.

    Raises:
        DataError: it is no table, lacks a column, or has doubled rows, unknown labels, or rows without an image.
    """
    table = read_labels(file, columns)
    skipped: Counter[str] = Counter()
    below = {"/".join(parts) for parts in walk(file.parent, skipped)}
    by_name = Counter(PurePosixPath(path).name for path in below)
    unique = {PurePosixPath(path).name: path for path in below if by_name[PurePosixPath(path).name] == 1}
    table["file"] = [path if path in below else unique.get(path) for path in table["path"]]
    refuse(table.loc[table["file"].isna(), "path"], file, "row", "whose image is not there")
    refuse(table.loc[table["file"].duplicated(), "file"], file, "image", "named twice")
    listing = Listing(file.parent, [entry_of(row) for row in table.to_dict("records")], skipped)
    listing.entries.sort(key=lambda entry: entry.path)
    images = {path for path in below if path.lower().endswith(IMAGE_SUFFIXES)}
    if unlabelled := len(images - set(table["file"])):
        skipped["image without a row in the label file"] = unlabelled
    require_both_classes(listing)
    return listing


def read_labels(file: Path, columns: Mapping[Column, str]) -> pd.DataFrame:
    """The rows of a label file, with labels as in `LABELS`, and in `path` what names an image.

    Raises:
        DataError: it is no table, lacks a column, or has unknown labels or splits.
    """
    raw = read_texts(file, lambda there: _titles(file, there, columns), "label file").astype("object")
    table = raw.where(raw.notna(), None)
    empty = table.index[table[["path", "label"]].isna().any(axis=1)] + first_row(file)
    refuse(empty, file, "row", "without path or label")
    table["label"] = table["label"].map(str).str.strip().str.lower().map(MEANING)
    refuse(raw.loc[table["label"].isna(), "label"], file, "label", "other than NORMAL (0) and PNEUMONIA (1)")
    if "split" in table:
        _require_splits(table["split"].map(_text).dropna(), file, columns.get("split", "split"))
    table["path"] = table["path"].map(lambda path: str(path).replace("\\", "/"))
    outside = table["path"].map(lambda path: PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts)
    refuse(table.loc[outside, "path"], file, "path", "leading outside its folder")
    return table


def _titles(file: Path, there: Sequence[str], columns: Mapping[Column, str]) -> dict[str, str]:
    """Titles of the wanted columns in the file, found without regard to case and surrounding spaces."""
    found: dict[str, str] = {}
    for name in (*REQUIRED, *OPTIONAL):
        title = columns.get(name, name)
        if alike := title_like(title, there, file):
            found[name] = alike
        elif name in REQUIRED or name in columns:
            require_titles(file, there, "path, label and the other titles")
            raise DataError(
                f"Expected a column {title} in {file}, but it has {', '.join(map(str, there))}: rename it, or name it"
                " under data.columns in mlflow.yaml."
            )
    return found


def entry_of(row: Mapping[Hashable, Any]) -> Entry:
    """The image of a row, whose path is in `file`."""
    split, subtype, patient = (_text(row.get(name)) for name in ("split", "subtype", "patient"))
    path = str(row["file"])
    known_split = split_of(split or "") if "split" in row else split_of_folders(path.split("/")[:-1])
    return Entry(path, str(row["label"]), known_split or "", subtype and subtype.lower(), patient)


def _text(value: Any) -> str | None:
    """A cell without the spaces around it; None where it is empty."""
    return None if value is None else str(value).strip() or None


def _require_splits(names: pd.Series, file: Path, column: str) -> None:
    unknown = names[names.map(split_of).isna()]
    if len(unknown):
        shown = ", ".join(repr(name) for name in unknown.unique()[:5])
        raise DataError(
            f"Expected train, validation or test in the column {column} of {file}, but it has"
            f" {counted(len(unknown), 'row')} with {shown}: rename them, or leave the cells empty to have these images"
            " cut by patient."
        )


def refuse(values: "pd.Series | pd.Index", file: Path, noun: str, rest: str) -> None:
    """Raise DataError if there are any values that a label file should not have: `noun` names one, `rest` says why."""
    if len(values):
        shown = ", ".join(repr(str(value)[:200]) for value in values[:5])
        found = f"{counted(len(values), noun)} {rest} ({shown})"
        raise DataError(f"Expected one row per image in {file}, but it has {found}: correct it.")
