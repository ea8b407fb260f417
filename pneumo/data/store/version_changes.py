"""What changed between two dataset versions."""

import pandas as pd

from pneumo.records.base import Record
from pneumo.records.data import DatasetVersion


class Comparison(Record):
    """Differences between two versions; images are compared by content, so a renamed file is no change.

    `relabelled` and `moved` name images whose label or split differs; `counts` are images by split and label.
    """

    before: str
    after: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    relabelled: tuple[str, ...]
    moved: tuple[str, ...]
    counts_before: dict[str, dict[str, int]]
    counts_after: dict[str, dict[str, int]]
    pneumonia_share_before: float
    pneumonia_share_after: float


def compare(before: DatasetVersion, after: DatasetVersion) -> Comparison:
    """Compare two versions; the path of an image is that of the version that has it."""
    old, new = _read(before), _read(after)
    kept = old.index.intersection(new.index)
    same = new.loc[kept]
    return Comparison(
        before=before.digest,
        after=after.digest,
        added=tuple(sorted(new.loc[new.index.difference(old.index), "path"])),
        removed=tuple(sorted(old.loc[old.index.difference(new.index), "path"])),
        relabelled=tuple(sorted(same.loc[same["label"] != old.loc[kept, "label"], "path"])),
        moved=tuple(sorted(same.loc[same["split"] != old.loc[kept, "split"], "path"])),
        counts_before=before.counts,
        counts_after=after.counts,
        pneumonia_share_before=_share(old),
        pneumonia_share_after=_share(new),
    )


def _read(version: DatasetVersion) -> pd.DataFrame:
    """Rows by content; copies of one file are numbered."""
    rows = pd.read_parquet(version.manifest, columns=["path", "sha256", "label", "split"])
    return rows.set_index(rows["sha256"] + "-" + rows.groupby("sha256").cumcount().astype(str))


def _share(rows: pd.DataFrame) -> float:
    return float((rows["label"] == "PNEUMONIA").mean())
