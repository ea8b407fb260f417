"""A candidate of folds: every image outside the test set is scored by the one network that did not learn from it."""

import numpy as np
import pandas as pd
import pytest

from pneumo.training.candidates import candidate as candidates
from pneumo.training.dataset_images import Fold, open_images

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folded(make_spec, dataset, tmp_path_factory):
    events = []
    home = tmp_path_factory.mktemp("folds")
    spec = make_spec(epochs=1, folds=2, views=2)
    return candidates.train(spec, *dataset, "run", home, events.append), events, spec, home


def test_each_fold_holds_out_patients_of_its_own_and_never_touches_the_test_set(dataset):
    parts = [open_images(*dataset, Fold(number=number, count=3)) for number in range(3)]
    held = [set(part.rows["patient"].iloc[part.of("validation")]) for part in parts]
    for number, part in enumerate(parts):
        learnt = set(part.rows["patient"].iloc[part.of("train")])
        assert not learnt & held[number]
        assert not (learnt | held[number]) & set(part.rows["patient"].iloc[part.of("test")])
        assert set(part.targets(part.of("validation"))) == {0, 1}
    assert sum(len(part) for part in held) == len(set.union(*held))


def test_out_of_fold_logits_are_there_for_every_image_outside_the_test_set(folded, dataset):
    rows = pd.read_parquet(folded[0].predictions)
    manifest = pd.read_parquet(dataset[0].manifest)
    assert sorted(rows["path"]) == sorted(manifest["path"])
    assert (rows["split"] == "test").sum() == (manifest["split"] == "test").sum()


def test_the_network_is_the_mean_of_its_folds_and_its_test_logits_say_so(folded, dataset):
    import keras

    candidate, _, _, home = folded
    assert candidate.folds == 2
    rows = pd.read_parquet(candidate.predictions).set_index("path")
    folds = [
        pd.read_parquet(path).set_index("path") for path in home.glob("cache/train/*/predictions.parquet")
        if path != candidate.predictions
    ]  # fmt: skip
    assert len(folds) == 2
    test = rows.index[rows["split"] == "test"]
    np.testing.assert_allclose(
        rows.loc[test, "logit"], np.mean([fold.loc[test, "logit"] for fold in folds], axis=0), atol=1e-5
    )
    model = keras.saving.load_model(candidate.model, safe_mode=True)
    images = open_images(*dataset)
    positions = images.of("test")
    said = np.asarray(model(images.pixels[positions][..., None].astype("float32")))[:, 0]
    np.testing.assert_allclose(said, rows.loc[images.rows["path"].iloc[positions], "logit"], atol=1e-3)


def test_its_epochs_are_told_as_those_of_one_training_and_a_finished_one_is_not_trained_again(folded, dataset):
    candidate, events, spec, home = folded
    assert [event.epoch for event in events if event.stage == "tuning" and event.metrics] == [1, 2]
    assert [event.stage for event in events if event.stage in ("start", "done")] == ["start", "done"]
    assert [event.epoch for event in events if event.stage == "features"] == [0, 1]
    assert [event.epoch for event in events if event.stage == "scoring"] == [1, 2]
    first, last = [event.seconds_left for event in events if event.metrics and event.stage == "tuning"]
    assert first > 0 == last, "after the first fold there is another one to train"
    again = []
    assert candidates.train(spec, *dataset, "run", home, again.append) == candidate
    assert again == []
