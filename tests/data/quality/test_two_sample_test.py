"""Synthetic features: a difference of acquisition in one class only, none at all, few patients, many images of each."""

import numpy as np
import pandas as pd
import pytest

from pneumo.data.quality.two_sample_test import FEWEST, MOST, Group, audit, excess, sample, sentences
from pneumo.records.base import LABELS, Interval
from pneumo.records.data import ShiftAudit, ShiftRow


def group(seed, patients=60, images=1, own=0.0, moved=None, share=0.5):
    """Noise, with a direction per class and one per patient (`own`); the class `moved` is shifted in some features."""
    random = np.random.default_rng(seed)
    sick = np.repeat(np.arange(patients * 2) >= 2 * patients * (1 - share), images)
    rows = pd.DataFrame(
        {
            "label": np.where(sick, LABELS[1], LABELS[0]),
            "patient": [f"{seed}-{patient}" for patient in range(patients * 2) for _ in range(images)],
        }
    )
    features = random.normal(0, 1, (len(rows), 40))
    features += own * np.repeat(random.normal(0, 1, (patients * 2, 40)), images, axis=0)
    features[sick] += 2.0
    features[rows["label"] == moved, :8] += 1.0
    return Group(rows, features)


def rows_of(training, others):
    return {row.label: row for row in audit("test", "drawn", training, others).rows}


def test_a_shift_of_one_class_is_found_in_that_class_alone():
    found = rows_of(group(0, 150), group(1, moved="NORMAL"))
    assert found["NORMAL"].auc.value > 0.85 and excess(found["NORMAL"]) > 0.3
    assert 0.35 < found["PNEUMONIA"].auc.value < 0.65 and excess(found["PNEUMONIA"]) == 0


def test_without_a_shift_both_are_near_a_half():
    for row in rows_of(group(0, 150), group(1)).values():
        assert abs(row.auc.value - 0.5) < 0.12 and abs(row.random.value - 0.5) < 0.06
        assert row.auc.low < 0.5 < row.auc.high
        assert row.random.low < 0.5 < row.random.high


def test_another_share_of_pneumonia_is_no_shift():
    assert all(excess(row) == 0 for row in rows_of(group(0, 150), group(1, 80, share=0.75)).values())


def test_to_know_a_patient_again_is_no_shift():
    """Ten almost equal images of each patient: a model that could learn the patient would tell the groups apart."""
    for row in rows_of(group(0, 30, images=10, own=5.0), group(1, 25, images=10, own=5.0)).values():
        assert row.auc.value < 0.7 and excess(row) == 0
        assert (row.images, row.patients) == (250, 25)


def test_many_images_of_few_patients_are_few():
    found = rows_of(group(0, 60), group(1, FEWEST - 1, images=20, own=1.0))
    assert all(row.auc is None and row.random is None and row.patients == FEWEST - 1 for row in found.values())
    assert rows_of(group(0, FEWEST - 1), group(1))["NORMAL"].auc is None


def test_a_group_without_a_class_has_a_row_that_says_so():
    found = audit("test", "drawn", group(0), group(1, 30, share=0.0))
    assert (found.rows[1].images, found.rows[1].auc) == (0, None)
    words = "Where the test pneumonia images are from cannot be told: at least 20 patients are needed"
    assert sentences(found)[1].startswith(words)


def test_a_sample_is_bounded_and_does_not_depend_on_the_order():
    digests = [f"{number * 7919 % 2000:064x}" for number in range(1000)]
    manifest = pd.DataFrame({"sha256": digests, "label": [LABELS[number % 4 > 0] for number in range(1000)]})
    chosen = sample(manifest)
    assert chosen["label"].value_counts().to_dict() == {"PNEUMONIA": MOST, "NORMAL": 250}
    assert set(sample(manifest[::-1])["sha256"]) == set(chosen["sha256"])


def row(value, low, random=0.5, label="NORMAL"):
    chance = Interval(value=random, low=random - 0.06, high=random + 0.06)
    return ShiftRow(label=label, images=9, patients=9, auc=Interval(value=value, low=low, high=1), random=chance)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            row(0.89, 0.85),
            "The test normals are from elsewhere: AUC 0.89 (0.50 between random halves); expect less than on valid",
        ),
        (
            row(0.89, 0.55),
            "With 9 patients it is not certain that the test normals differ from those of training",
        ),
        (row(0.59, 0.57), "A small difference was found between the test normals and those of training: AUC 0.59"),
        (
            row(0.55, 0.5, 0.47),
            "No difference was found between the test normals and those of training: AUC 0.55 (0.47",
        ),
    ],
)
def test_the_sentence_follows_the_numbers(found, words):
    assert sentences(ShiftAudit(name="test", features="drawn", rows=(found,)))[0].startswith(words)
