import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from pneumo.evaluation.robustness.slices import measure_slices
from pneumo.evaluation.statistics.sample_size import area_error


@pytest.fixture
def rows():
    random = np.random.default_rng(0)
    label = np.where(np.arange(240) % 2, "PNEUMONIA", "NORMAL")
    subtype = np.where(label == "NORMAL", "none", np.where(np.arange(240) % 4 == 1, "bacteria", "virus"))
    probability = np.clip(0.4 + 0.2 * (subtype == "bacteria") + random.normal(0, 0.1, 240), 0, 1)
    side = random.integers(500, 2000, 240)
    return pd.DataFrame({
        "label": label, "subtype": subtype, "patient": np.arange(240), "probability": probability,
        "called": probability >= 0.5, "width": side, "height": side, "mode": "L", "mean": random.random(240),
    })  # fmt: skip


def test_a_kind_of_pneumonia_is_measured_against_all_normal_images(rows):
    slices = measure_slices(rows)
    mine = rows[rows["subtype"].isin(["none", "virus"])]
    assert slices["virus"]["auc"] == pytest.approx(roc_auc_score(mine["label"] == "PNEUMONIA", mine["probability"]))
    assert slices["virus"]["auc"] < slices["bacteria"]["auc"]
    assert slices["virus"]["images"] == 180


def test_sizes_and_statistics_are_cut_into_thirds(rows):
    slices = measure_slices(rows)
    for name in ("size", "brightness"):
        assert sum(slices[f"{name} {third}"]["images"] for third in ("low", "middle", "high")) == 240


def test_a_column_that_does_not_vary_gives_no_slice(rows):
    assert not [
        name for name in measure_slices(rows.assign(width=224, height=224)) if name.startswith(("size", "mode"))
    ]


def test_what_dicom_tells_is_cut_by_word_and_silence_is_no_slice(rows):
    told = rows.assign(view=np.where(np.arange(240) < 100, "PA", np.where(np.arange(240) < 200, "AP", "")), sex=None)
    named = {name: slice["images"] for name, slice in measure_slices(told).items() if name.startswith(("view", "sex"))}
    assert named == {"view AP": 100, "view PA": 100}
    assert not [name for name in measure_slices(told.assign(view="PA")) if name.startswith("view")]


def test_a_slice_tells_the_smallest_difference_that_its_patients_show(rows):
    slices = measure_slices(rows.assign(view=np.where(np.arange(240) < 60, "AP", "PA")))
    area = roc_auc_score(rows["label"] == "PNEUMONIA", rows["probability"])
    assert slices["view AP"]["shows"] == pytest.approx(2.8016 * area_error(area, 30, 30), abs=1e-4)
    assert slices["view PA"]["shows"] < slices["view AP"]["shows"]
    once = measure_slices(rows.assign(view=np.where(np.arange(240) < 60, "AP", "PA"), patient=np.arange(240) % 24))
    assert once["view AP"]["shows"] > slices["view AP"]["shows"]  # patients count, not their images
    perfect = rows.assign(probability=(rows["label"] == "PNEUMONIA").astype(float))
    assert "shows" not in measure_slices(perfect)["virus"]


def test_few_images_of_a_class_give_no_auc(rows):
    slices = measure_slices(rows.assign(mode=np.where(np.arange(240) < 10, "RGB", "L")))
    assert set(slices["mode RGB"]) == {"images", "sensitivity", "specificity"}
    assert "auc" in slices["mode L"]
