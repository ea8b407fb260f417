import numpy as np
import pandas as pd
import pytest

from pneumo.evaluation.label_audit.out_of_fold import cross_validated
from pneumo.evaluation.label_audit.suspects import COLUMNS, sheet

PATIENTS, EACH = 60, 2


@pytest.fixture
def rows():
    """Images of patients, two each, all with hashes of their own."""
    count = PATIENTS * EACH
    hashes = np.random.default_rng(1).bytes(32 * count).hex()
    return pd.DataFrame({
        "path": [f"{number:03d}.png" for number in range(count)],
        "label": np.repeat(["NORMAL", "PNEUMONIA"], count // 2),
        "patient": [f"p{number // EACH}" for number in range(count)],
        "split": "train", "sha256": [f"{number:064x}" for number in range(count)],
        "pixels": [f"{number}" for number in range(count)],
        "phash": [hashes[64 * number : 64 * number + 64] for number in range(count)],
    })  # fmt: skip


def features(rows, noise=0.3):
    ill = (rows["label"] == "PNEUMONIA").to_numpy(float)
    return pd.DataFrame(ill[:, None] + np.random.default_rng(0).normal(0, noise, (len(rows), 8)), index=rows.index)


def test_flipped_labels_are_first_in_the_sheet(rows):
    known = features(rows)
    flipped = [5, 40, 70, 110]
    rows.loc[flipped, "label"] = ["PNEUMONIA", "PNEUMONIA", "NORMAL", "NORMAL"]
    found = sheet(rows, cross_validated(known, rows, 5))
    assert len(found) >= 3
    assert set(found["path"]) <= set(rows.loc[flipped, "path"])
    assert list(found.columns) == COLUMNS
    assert found["rank"].tolist() == list(range(1, len(found) + 1))
    assert (found["corrected"] == "").all()


def test_an_image_is_scored_without_its_patient(rows):
    """Features that tell the patient and nothing else would give every label away if one of its images were learnt."""
    of_patients = np.random.default_rng(2).normal(0, 1, (PATIENTS, 300))
    mixed = rows.assign(label=np.random.default_rng(3).permutation(["NORMAL", "PNEUMONIA"] * 30).repeat(EACH))
    told = pd.DataFrame(np.repeat(of_patients, EACH, axis=0), index=rows.index)
    right = (cross_validated(told, mixed, 5) >= 0.5).to_numpy() == (mixed["label"] == "PNEUMONIA").to_numpy()
    assert right.mean() < 0.7


def test_almost_the_same_picture_with_two_labels_comes_before_all_others(rows):
    rows.loc[7, "phash"] = f"{int(rows.loc[100, 'phash'], 16) ^ 1:064x}"  # one bit, and the other label
    probabilities = pd.Series(np.where(rows["label"] == "PNEUMONIA", 0.9, 0.1), index=rows["path"])
    probabilities["050.png"] = 0.99
    found = sheet(rows, probabilities)
    assert found["path"].tolist() == ["100.png", "007.png", "050.png"]
    assert found["reason"][1] == "almost the same picture as 100.png, which is labelled PNEUMONIA"


def test_a_path_is_no_formula_for_a_spreadsheet(rows):
    rows.loc[3, "path"] = "=cmd|' /C calc'!A0.png"
    probabilities = pd.Series(np.where(rows["label"] == "PNEUMONIA", 0.9, 0.1), index=rows["path"])
    probabilities.iloc[3] = 0.99
    assert sheet(rows, probabilities)["path"].tolist() == ["./=cmd|' /C calc'!A0.png"]
