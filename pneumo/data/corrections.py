"""Corrections: labels that a person corrected in the sheet of a label audit, as an inventory of their own."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from pneumo.cache import is_kept, stage_key, written_once
from pneumo.data.sources.names import subtype_of
from pneumo.data.sources.schemes import MANIFEST
from pneumo.data.tables.text_table import read_texts, title_like
from pneumo.errors import DataError
from pneumo.records.base import LABELS
from pneumo.records.data import DatasetVersion, Inventory
from pneumo.words import counted

NEEDED = ["sha256", "corrected"]
DROP = "DROP"
ANSWERS = (*LABELS, DROP)
SHOWN = 5


def read_corrections(sheet: Path, version: DatasetVersion) -> pd.DataFrame:
    """Rows of a version (path, sha256, label) that a sheet changes, with `corrected`: NORMAL, PNEUMONIA or DROP.

    Images are known by their content, so a sheet holds for a set that has grown since. Empty cells change nothing.

    Raises:
        DataError: it is no such sheet, answers nothing, contradicts itself, or names other images or those of test.
    """
    answers = _answers(sheet)
    rows = pd.read_parquet(version.manifest, columns=["path", "sha256", "label", "split"])
    _refuse(
        answers.index.difference(pd.Index(rows["sha256"])), sheet, "images of this data set", "that it does not have"
    )
    found = rows.assign(corrected=rows["sha256"].map(answers))
    found = found[found["corrected"].notna() & (found["corrected"] != found["label"])]
    # Whoever corrects test labels by what a model says makes the model look better than it is.
    _refuse(found.loc[found["split"] == "test", "path"], sheet, "images outside the test set", "in it")
    if found.empty:
        raise DataError(
            f"Expected labels that differ from those of the data set in {sheet}, but all {len(answers)} answers agree"
            " with it: there is nothing to correct."
        )
    return found.drop(columns="split")


def correct(inventory: Inventory, changes: pd.DataFrame, home: Path) -> Inventory:
    """The inventory with corrected labels and without what is dropped; its files stay as they are."""
    rows = pd.read_parquet(inventory.manifest)
    corrected = changes.set_index("path")["corrected"]
    rows = rows[~rows["path"].isin(corrected.index[corrected == DROP])].reset_index(drop=True)
    at = rows["path"].isin(corrected.index)
    rows.loc[at, "label"] = rows.loc[at, "path"].map(corrected)
    pairs = zip(rows.loc[at, "path"], rows.loc[at, "label"], strict=True)
    rows.loc[at, "subtype"] = [subtype_of(path, label) for path, label in pairs]
    content = hashlib.sha256(rows.to_json(orient="values").encode()).hexdigest()
    folder = home / "cache" / "ingest" / stage_key("corrected", content=content)
    if not is_kept(folder):
        with written_once(folder) as scratch:
            rows.to_parquet(scratch / MANIFEST, index=False)
    made = {"key": folder.name, "manifest": folder / MANIFEST, "images": len(rows), "version": None}
    return inventory.model_copy(update=made)


def _answers(sheet: Path) -> pd.Series:
    """Answers in capitals by sha256."""

    def choose(there: Sequence[str]) -> dict[str, str]:
        titles = {name: title for name in NEEDED if (title := title_like(name, there, sheet))}
        if missing := [name for name in NEEDED if name not in titles]:
            raise DataError(
                f"Expected the columns {' and '.join(NEEDED)} in {sheet}, but it lacks {' and '.join(missing)}: take"
                " label_audit/labels.csv of the training and fill in `corrected`."
            )
        return titles

    texts = read_texts(sheet, choose, "sheet").fillna("")
    table = texts.assign(sha256=texts["sha256"].str.strip(), corrected=texts["corrected"].str.strip().str.upper())
    filled = table[table["corrected"] != ""].drop_duplicates()
    if filled.empty:
        raise DataError(f"Expected {', '.join(ANSWERS)} in the column corrected of {sheet}, found none: fill some in.")
    wrong = filled.loc[~filled["corrected"].isin(ANSWERS), "corrected"]
    _refuse(wrong, sheet, f"only {', '.join(ANSWERS)} or nothing in the column corrected", "with something else")
    _refuse(filled.loc[filled["sha256"].duplicated(), "sha256"], sheet, "one answer for an image", "with two answers")
    answers: pd.Series = filled.set_index("sha256")["corrected"]
    return answers


def _refuse(values: Iterable[str], sheet: Path, expected: str, but: str) -> None:
    named = [repr(str(value)[:80]) for value in values]
    if named:
        shown = ", ".join(named[:SHOWN])
        raise DataError(
            f"Expected {expected} in {sheet}, but found {counted(len(named), 'row')} {but} ({shown}): correct it."
        )
