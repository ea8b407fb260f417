from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pneumo.evaluation.robustness import selection
from pneumo.evaluation.robustness.selection import ROUNDS, auc, auc_by_shift, judge, shifted_auc, validation_auc
from pneumo.evaluation.robustness.simulated_shift import SHIFTS, mixture
from pneumo.training.dataset_images import Images


class Brightness:
    """Stands for a network: the mean of each image as its logit; remembers what it was shown."""

    def __init__(self):
        self.shown = []

    def predict_on_batch(self, batch):
        self.shown.append(np.asarray(batch))
        return np.asarray(batch).mean(axis=(1, 2, 3))[:, None]


@pytest.fixture
def judging(images):
    return judge(images)


def test_it_scores_validation_images_only(images, judging):
    """Test images are made white: a network that was shown one would have seen white."""
    pixels = np.array(images.pixels)
    pixels[images.of("test")], pixels[images.of("train")] = 255, 254
    blind, network = judge(Images(images.rows, pixels)), Brightness()
    blind.epoch(network)
    blind.shifted(network)
    assert all(image.min() < 254 for batch in network.shown for image in batch)
    assert set(judging.sample) <= set(images.of("validation"))


def test_images_are_shifted_once_for_all_epochs(judging, monkeypatch):
    network, kinds = Brightness(), []
    monkeypatch.setattr(selection, "mixture", lambda *given: kinds.append(given) or mixture(*given))
    assert judging.epoch(network) == judging.epoch(network) and len(kinds) == 1
    judging.shifted(network)
    assert len(kinds) == ROUNDS


def test_the_score_is_the_mean_of_clean_and_shifted(judging, images):
    found = judging.epoch(Brightness())
    validation = images.of("validation")
    assert found["validation_auc"] == auc(images.targets(validation), images.pixels[validation].mean(axis=(1, 2)))
    assert found["score"] == (found["validation_auc"] + found["shifted_auc"]) / 2


def test_the_sample_has_as_many_of_each_class_as_can_be(images, monkeypatch):
    monkeypatch.setattr(selection, "SAMPLE", 10)
    assert images.targets(judge(images).sample).sum() == 5
    rows = images.rows.copy()
    rows.loc[(rows["label"] == "NORMAL") & (rows.index > 6), "split"] = "train"
    few = Images(rows, images.pixels)
    normal = int((few.targets(few.of("validation")) == 0).sum())
    assert 0 < normal < 5
    assert few.targets(judge(few).sample).tolist() == [0] * normal + [1] * (10 - normal)


def test_every_class_goes_through_every_shift_and_no_image_twice_through_one(judging, images):
    targets = images.targets(judging.sample)
    for value in (0, 1):
        assert set(judging.kinds[:, targets == value].ravel()) == set(SHIFTS)
    assert all(len(set(column)) == ROUNDS for column in judging.kinds.T)


def test_shifts_that_move_the_logit_cost_more_together_than_apart(judging):
    kinds = judging.kinds.ravel()
    rows = pd.DataFrame({"kind": kinds, "round": np.repeat(np.arange(ROUNDS), len(judging.sample))})
    rows["label"] = np.tile(judging.images.rows["label"].iloc[judging.sample], ROUNDS)
    moves = {name: 4.0 * place for place, name in enumerate(SHIFTS)}  # each shift moves all logits its own way
    rows["logit"] = (rows["label"] == "PNEUMONIA").astype(float) + rows["kind"].map(moves)
    apart = auc_by_shift(rows)
    assert set(apart) == set(SHIFTS) and set(apart.values()) == {1.0}
    assert shifted_auc(rows) < 0.9


def test_the_table_of_shifts_has_a_row_for_each_image_and_round(judging, images):
    table = judging.shifted(Brightness())
    assert len(table) == ROUNDS * len(judging.sample)
    first = table.iloc[0]
    moved = mixture(images.pixels[judging.sample], judging.kinds[0], 0)[0]
    assert (first["kind"], first["path"]) == (judging.kinds[0, 0], images.rows["path"].iloc[judging.sample[0]])
    assert first["logit"] == pytest.approx(moved.mean(), rel=1e-6)


def test_all_candidates_are_judged_alike(images):
    first, second = judge(images), judge(images)
    assert np.array_equal(first.sample, second.sample) and np.array_equal(first.kinds, second.kinds)


def test_a_table_of_predictions_is_judged_by_its_validation_rows():
    rows = pd.DataFrame({"split": ["validation"] * 3 + ["test"], "label": ["NORMAL", "PNEUMONIA"] * 2})
    assert validation_auc(rows.assign(logit=[0.0, 2.0, 1.0, -9.0])) == 1.0


def test_auc_is_the_share_of_pairs_in_order():
    case = SimpleNamespace(targets=np.array([0, 0, 1, 1]), logits=np.array([0.1, 0.5, 0.4, 0.9]))
    assert auc(case.targets, case.logits) == 0.75
