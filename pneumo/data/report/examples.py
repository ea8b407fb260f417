"""Pictures for the exploration report: examples, the oddest ones, duplicates."""

import io
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from PIL import Image

from pneumo.data.quality.near_duplicates import near_pairs
from pneumo.data.report.charts import data_address
from pneumo.data.store.decode import decode

EDGE = 176  # pixels of a picture on the page
# Column, whether its largest values are the odd ones, how many are shown, and what the reader is told.
ODDITIES = (
    ("marker", True, 3, "Bright letters or arrows at the edge"),
    ("symmetry", False, 3, "Left and right differ most: turned, cropped, or one side opaque"),
    ("excess", True, 2, "Border brighter than the picture: inverted?"),
    ("mean", False, 2, "Darkest"),
    ("mean", True, 2, "Brightest"),
    ("std", False, 2, "Least contrast"),
    ("aspect", True, 1, "Widest"),
    ("aspect", False, 1, "Tallest"),
)


@dataclass(frozen=True)
class Example:
    """A picture on the page and the words below it."""

    picture: str
    name: str
    note: str


def examples(manifest: pd.DataFrame, root: Path, each: int = 6) -> dict[str, list[Example]]:
    """Pictures of different patients by kind, chosen by their content alone, so the same on any machine."""
    kinds = manifest["label"].where(manifest["label"] == "NORMAL", "PNEUMONIA, " + manifest["subtype"])
    shuffled = manifest.assign(kind=kinds).sort_values("sha256").drop_duplicates(["kind", "patient"])
    return {
        str(kind).replace(", none", "").lower(): [_shown(path, root, "") for path in rows["path"].head(each)]
        for kind, rows in shuffled.groupby("kind")
    }


def oddest(manifest: pd.DataFrame, root: Path) -> dict[str, list[Example]]:
    """The most extreme pictures of every measure, by what is odd about them; each picture once."""
    table = manifest.assign(excess=manifest["border"] - manifest["mean"], aspect=manifest["width"] / manifest["height"])
    found: dict[str, list[str]] = {}
    for column, largest, number, note in ODDITIES:
        if table[column].nunique() > 1:
            ordered = table.sort_values([column, "path"], ascending=not largest)
            known = {path for paths in found.values() for path in paths}
            found[note] = [path for path in ordered["path"].head(number) if path not in known]
    return {note: [_shown(path, root, _label(table, path)) for path in paths] for note, paths in found.items() if paths}


def duplicates(manifest: pd.DataFrame, root: Path, most: int = 4) -> tuple[list[list[Example]], int, int]:
    """Groups of identical and pairs of almost identical pictures to show, and how many of each there are."""
    groups = [rows for _, rows in manifest.groupby("pixels")["path"] if len(rows) > 1]
    hashes = manifest.drop_duplicates("pixels")
    pairs = near_pairs(hashes["phash"].tolist())
    shown = [list(rows) for rows in groups[:most]]
    shown += [[hashes["path"].iloc[first], hashes["path"].iloc[second]] for first, second in pairs[:most]]
    pictures = [[_shown(path, root, _label(manifest, path)) for path in paths[:3]] for paths in shown]
    return pictures, len(groups), len(pairs)


def _label(table: pd.DataFrame, path: str) -> str:
    return str(table.loc[table["path"] == path, "label"].iloc[0]).lower()


def _shown(path: str, root: Path, note: str) -> Example:
    buffer = io.BytesIO()
    Image.fromarray(decode(root / path, EDGE, "pad", path)).save(buffer, "JPEG", quality=80)
    return Example(data_address(buffer.getvalue(), "image/jpeg"), path.rpartition("/")[2], note)
