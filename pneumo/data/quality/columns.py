"""Columns and figures that the gate's expectations check, computed from the manifest alone."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumo.data.quality import two_sample_test
from pneumo.data.quality.image_expectations import MARKER
from pneumo.data.quality.near_duplicates import picture_numbers
from pneumo.data.splits import groups

SHOWN = 4  # paths of copies that a row names


def image_columns(manifest: pd.DataFrame) -> pd.DataFrame:
    """The manifest with one more column for each derived check: a text where something is wrong, None elsewhere.

    Where a file is unreadable, measured columns are missing values, which Great Expectations skips.
    """
    table = manifest.copy()
    table[["width", "height"]] = table[["width", "height"]].where(table["error"].isna(), np.nan)
    table["aspect"] = table["width"] / table["height"]
    table["border_excess"] = table["border"] - table["mean"]
    table["name_conflict"] = _where(_names_pneumonia(table) & (table["label"] == "NORMAL"), "named as pneumonia")
    table["unreadable"] = table["error"].where(table["other_image"].isna(), None)
    readable = table[table["error"].isna()]
    twins = readable.groupby("pixels")
    table["label_conflict"] = _alike(readable, twins["label"].transform("nunique") > 1)
    table["duplicate"] = _alike(readable, twins["path"].transform("size") > 1)
    table["duplicate_across"] = _across(readable, "pixels", readable["split"])
    table["patient_unknown"] = _where(~table["patient_known"], "taken for a patient of its own")
    table["patient_across"] = _across(readable, "patient", readable["split"])
    pooled = readable[readable["split"] != "test"]
    table["patient_in_val"] = _across(pooled, "patient", pooled["path"].str.split("/").str[0])
    return _add_near_duplicates(table, readable)


def set_figures(manifest: pd.DataFrame, kept: pd.DataFrame) -> dict[str, float]:
    """Figures of the set as it will be used, by the columns of `set_expectations.FIGURES`.

    Args:
        manifest: all images.
        kept: those that are not in quarantine.
    """
    sick = kept["label"] == "PNEUMONIA"
    test = kept["split"] == "test"
    good = kept[kept["error"].isna()]
    return {
        "classes": float(kept["label"].nunique()),
        "classes_in_test": float(kept.loc[test, "label"].nunique()),
        "rarer_class": float(min(sick.mean(), 1 - sick.mean())),
        "patients_per_class": float(kept.groupby("label")["patient"].nunique().min()),
        "largest_group": _largest_group(good),
        "share_gap": abs(float(sick[test].mean() - sick[~test].mean())) if test.any() else 0.0,
        "colour_gap": _gap(good, ~good["mode"].isin(["L", "DICOM"]) & ~good["mode"].str.startswith("I")),
        "marker_gap": _gap(good, good["marker"] > MARKER),
        "size_auc": _auc(good, good["width"] * good["height"]),
        "aspect_auc": _auc(good, good["width"] / good["height"]),
        "brightness_auc": _auc(good, good["mean"]),
        "quarantined": 1 - len(kept) / len(manifest),
    }


def shift_figures(manifest: pd.DataFrame) -> tuple[dict[str, float], dict[str, str]]:
    """Whether the source's own test images can be told from the others, by class: AUC above chance, and a sentence.

    Both by the columns of `set_expectations.SHIFT`, without those for which there are no test images or few patients.
    """
    test = manifest["split"] == "test"
    rows = two_sample_test.audit_manifests("test", manifest[~test], manifest[test]).rows if test.any() else ()
    measured = {f"shift_{row.label.lower()}": row for row in rows if row.auc}
    figures = {column: two_sample_test.excess(row) for column, row in measured.items()}
    return figures, {column: two_sample_test.figures_in_words(row) for column, row in measured.items()}


def drift_figures(manifest: pd.DataFrame, reference: pd.DataFrame) -> dict[str, float]:
    """Population stability index of intensities and of sizes against a reference manifest; 0 means no drift.

    Sum of (p - q) ln(p / q) over bins; by custom 0.1 is small and 0.25 large. Nothing of unreadable images, and
    no intensities where the reference was made before manifests kept them.
    """
    now, then = manifest[manifest["error"].isna()], reference
    if now.empty:
        return {}
    edges = np.quantile(np.log(then["width"] * then["height"]), np.linspace(0, 1, 11)[1:-1])

    def sizes(table: pd.DataFrame) -> NDArray[np.float64]:
        places = np.searchsorted(edges, np.log(table["width"] * table["height"]))
        return np.bincount(places, minlength=10) / len(table)

    kept = {"intensity_drift": _stability(_histogram(now), _histogram(then))} if "histogram" in then else {}
    return kept | {"size_drift": _stability(sizes(now), sizes(then))}


def _histogram(table: pd.DataFrame) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = np.stack(table["histogram"].tolist()).mean(axis=0)
    return mean


def _stability(now: NDArray[np.float64], then: NDArray[np.float64]) -> float:
    p, q = now + 1e-4, then + 1e-4
    return float(((p - q) * np.log(p / q)).sum())


def _names_pneumonia(table: pd.DataFrame) -> pd.Series:
    return table["path"].str.contains(r"_(?:bacteria|virus)_|pneumonia_", case=False, regex=True)


def _where(rows: pd.Series, text: Any) -> pd.Series:
    return pd.Series(text, index=rows.index, dtype="object").where(rows, None)


def _alike(table: pd.DataFrame, bad: pd.Series) -> pd.Series:
    """For rows that are bad: the paths of all rows with the same pixels."""
    names = {pixels: _listed(paths) for pixels, paths in table[bad].groupby("pixels")["path"]}
    return _where(bad, table["pixels"].map(names).astype("object"))


def _listed(paths: pd.Series, sign: str = " = ") -> str:
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    return sign.join(paths.head(SHOWN)) + more


def _across(table: pd.DataFrame, key: str, place: pd.Series) -> pd.Series:
    places = place.groupby(table[key]).transform("nunique")
    return _where(places > 1, table[key])


def _add_near_duplicates(table: pd.DataFrame, readable: pd.DataFrame) -> pd.DataFrame:
    """Add a column that names, for each picture, those that are almost identical, directly or through others.

    `near_across` names them for pictures outside test that are almost one in test. Identical pixels are another check.
    """
    look = picture_numbers(readable)
    near = look[readable["pixels"].groupby(look).transform("nunique") > 1]
    paths = readable["path"][near.index]
    names = paths.groupby(near).agg(_listed, sign=" ~ ")
    in_test = (readable["split"] == "test")[near.index]
    leaked = near[~in_test & near.isin(near[in_test])]
    theirs = paths[in_test].groupby(near[in_test]).first()
    across = [f"{path} ~ {theirs[picture]}" for path, picture in zip(paths[leaked.index], leaked, strict=True)]
    return table.assign(
        near_duplicate=_texts([names[picture] for picture in near], near.index, table),
        near_across=_texts(across, leaked.index, table),
    )


def _texts(texts: list[str], rows: pd.Index, table: pd.DataFrame) -> pd.Series:
    """A column with texts in the given rows and None in the others."""
    column = pd.Series(None, index=table.index, dtype="object")
    column[rows] = texts
    return column


def _largest_group(good: pd.DataFrame) -> float:
    """Share of images, 0 to 1, in the largest group of patients who are joined by shared pictures."""
    if good.empty:
        return 0.0
    group = groups(good)
    joined = group[good["patient"].groupby(group).transform("nunique") > 1]
    return float(joined.value_counts().max() / len(good)) if len(joined) else 0.0


def _gap(table: pd.DataFrame, flag: pd.Series) -> float:
    shares = flag.groupby(table["label"]).mean()
    return float(shares.max() - shares.min())


def _auc(table: pd.DataFrame, score: pd.Series) -> float:
    """ROC AUC of a number as a classifier, in whichever direction is better (rank form, Mann and Whitney 1947)."""
    ranks, sick = score.rank(), table["label"] == "PNEUMONIA"
    positives, negatives = int(sick.sum()), int((~sick).sum())
    if not positives or not negatives:
        return 0.5
    area = (ranks[sick].sum() - positives * (positives + 1) / 2) / (positives * negatives)
    return float(max(area, 1 - area))
