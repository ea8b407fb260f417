"""Trainings as the flow runs them, each in a real process."""

import json
import os
from contextlib import suppress

import numpy as np
import pandas as pd
import psutil
import pytest

from pneumo.errors import TrainingError, WeightsError
from pneumo.training.candidates import candidate as candidates

EPOCHS = 10  # so many that a process is still at it when the signal comes


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def spec(make_spec):
    return make_spec(epochs=EPOCHS, learning_rate=3e-3, patience=EPOCHS)


@pytest.fixture(scope="module")
def events():
    return []


@pytest.fixture(scope="module")
def trained(spec, dataset, home, events):
    """A training that nothing disturbed."""
    return candidates.train(spec, *dataset, "run", home, events.append, threads=1)


def weights_of(candidate):
    import keras

    return keras.saving.load_model(candidate.model, safe_mode=True).get_weights()


def variables_of(candidate):
    """Arrays by the name of their layer and their own."""
    import keras

    model = keras.saving.load_model(candidate.model, safe_mode=True)
    return {"/".join(found.path.split("/")[-2:]): np.asarray(found) for found in model.variables}


class Killer:
    """Follows a training and kills its process (SIGKILL) once an epoch is over."""

    def __init__(self, epoch):
        self.epoch = epoch

    def __call__(self, event):
        if event.metrics and event.epoch >= self.epoch:
            for child in psutil.Process().children():
                with suppress(psutil.ZombieProcess):  # killed by the event before this one
                    if "pneumo.training" in child.cmdline():
                        child.kill()


def test_predictions_are_of_validation_and_test_images(trained, images):
    rows = pd.read_parquet(trained.predictions)
    expected = images.rows[images.rows["split"] != "train"]
    assert rows["path"].tolist() == expected["path"].tolist()
    assert np.isfinite(rows["logit"]).all()


def test_its_figures_are_those_of_its_predictions(trained):
    from sklearn.metrics import roc_auc_score

    rows = pd.read_parquet(trained.predictions).query("split == 'validation'")
    assert trained.validation_auc == roc_auc_score(rows["label"] == "PNEUMONIA", rows["logit"])
    assert trained.selection_score == (trained.validation_auc + trained.shifted_auc) / 2
    facts = json.loads(trained.model.with_name("history.json").read_text())
    assert [row["epoch"] for row in facts["epochs"]] == list(range(1, EPOCHS + 1))
    assert {"posterised", "overlaid"} <= set(facts["shifts"])


def test_it_learns(trained):
    assert trained.validation_auc > 0.8


def test_fine_tuning_changes_the_backbone_after_its_first_layers_and_no_statistics_of_its_normalisation(
    trained, make_spec, dataset, home
):
    head_alone = candidates.train(make_spec(epochs=0), *dataset, "run", home)
    before, after = variables_of(head_alone), variables_of(trained)
    shifts = {name for name in before if name.endswith("bias") and name != "logit/bias"}  # of the folded normalisation
    kernels = [name for name in before if name.endswith("kernel") and name != "logit/kernel"]
    assert before.keys() == after.keys() and shifts and len(kernels) > 20
    assert all(np.array_equal(before[name], after[name]) for name in shifts)
    moved = [not np.allclose(before[name], after[name], atol=1e-5) for name in kernels]
    first = moved.index(True)  # layers before it stay frozen
    assert 0 < first < len(moved) / 2 and all(moved[first:])


def test_its_progress_is_told_from_start_to_end(trained, events):
    assert [event.stage for event in events[:2]] == ["start", "features"]
    assert [event.epoch for event in events if event.stage == "tuning" and event.metrics] == list(range(1, EPOCHS + 1))
    assert events[-1].stage == "done" and events[-1].metrics["validation_auc"] == trained.validation_auc


@pytest.mark.slow
def test_killed_twice_it_goes_on_to_the_same_weights(trained, spec, dataset, tmp_path):
    """To the bit; and since this is another home, it shows as well that the same seed gives the same weights."""
    for epoch in (1, 2):  # the process is an epoch further at times when the signal comes
        with pytest.raises(TrainingError, match="killed"):
            candidates.train(spec, *dataset, "run", tmp_path, Killer(epoch), threads=1)
        assert list((tmp_path / "checkpoints").rglob("checkpoint.npz"))
    events = []
    resumed = candidates.train(spec, *dataset, "run", tmp_path, events.append, threads=1)
    assert 1 not in {event.epoch for event in events if event.metrics and event.stage == "tuning"}
    assert all(map(np.array_equal, weights_of(resumed), weights_of(trained)))
    assert not list((tmp_path / "checkpoints").rglob("*.npz"))


def test_a_finished_one_is_never_trained_again(trained, spec, dataset, home):
    events = []
    again = candidates.train(spec, *dataset, "another run", home, events.append)
    assert events == []
    assert again == trained.model_copy(update={"run_id": "another run"})
    assert candidates.is_trained(trained.key, home)


@pytest.mark.parametrize("change", [{"learning_rate": 1e-5}, {"seed": 1}, {"augmentation": 0.5}])
def test_other_settings_are_another_training(trained, make_spec, spec, dataset, home, change):
    other = spec.model_copy(update=change)
    assert candidates.train_key(other, *dataset, home) != trained.key


def test_folds_that_know_of_like_pictures_are_another_training_and_other_facts_are_not(
    make_spec, dataset, home, tmp_path
):
    version, store = dataset
    rows, keys = pd.read_parquet(version.manifest), {}
    for name, said in {"sex": {"sex": "F"}, "pictures": {"pixels": "a", "phash": "b" * 64}}.items():
        rows.assign(**said).to_parquet(tmp_path / f"{name}.parquet")
        told = version.model_copy(update={"manifest": tmp_path / f"{name}.parquet"})
        keys[name] = [candidates.train_key(make_spec(folds=folds), told, store, home) for folds in (1, 2)]
    plain = [candidates.train_key(make_spec(folds=folds), version, store, home) for folds in (1, 2)]
    assert keys["sex"] == plain
    assert keys["pictures"][0] == plain[0] and keys["pictures"][1] != plain[1]


def test_another_backend_is_another_training(trained, spec, dataset, home, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert candidates.train_key(spec, *dataset, home) != trained.key


def test_missing_weights_fail_before_a_process_starts(make_spec, dataset, home):
    events = []
    with pytest.raises(WeightsError, match="no-such"):
        candidates.train(make_spec(weights="no-such"), *dataset, "run", home, events.append)
    assert events == []


def test_images_of_another_size_are_refused(make_spec, dataset, home):
    with pytest.raises(TrainingError, match="images of 64 pixels"):
        candidates.train(make_spec(size=64), *dataset, "run", home)


def test_an_error_in_the_process_reaches_the_caller_as_it_is(make_spec, dataset, home):
    with pytest.raises(TrainingError, match="epochs above 0"):
        candidates.train(make_spec(weights="none", epochs=0), *dataset, "run", home)


def test_a_process_that_dies_is_told_with_its_last_words(make_spec, dataset, home, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "no_such_backend")
    with pytest.raises(TrainingError, match=r"(?s)exit code 1.*train-.*\.log.*no_such_backend"):
        candidates.train(make_spec(), *dataset, "run", home)


def test_the_ensemble_is_the_mean_of_its_members_scores(trained, make_spec, dataset, home, monkeypatch):
    other = candidates.train(make_spec(epochs=0), *dataset, "run", home)
    other = other.model_copy(update={"name": "other"})
    monkeypatch.setattr("keras.Model.predict_on_batch", None)  # no image is scored again
    both = candidates.combine([trained, other], *dataset, "run", home)
    for name in ("predictions.parquet", "shifted.parquet"):
        logits = [pd.read_parquet(item.model.with_name(name)) for item in (trained, other, both)]
        logits = [rows.sort_values([*rows.columns[:-1]])["logit"].to_numpy() for rows in logits]
        np.testing.assert_allclose(logits[2], (logits[0] + logits[1]) / 2, rtol=1e-6)
    with pytest.raises(TrainingError, match="two or more"):
        candidates.combine([trained], *dataset, "run", home)


@pytest.mark.slow
def test_half_precision_trains_the_same_network(trained, make_spec, dataset, home):
    found = candidates.train(make_spec(epochs=1, learning_rate=3e-3, precision="mixed_bfloat16"), *dataset, "run", home)
    assert found.validation_auc > 0.8
    assert [array.shape for array in weights_of(found)] == [array.shape for array in weights_of(trained)]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_run_the_same_training(backend, trained, make_spec, dataset, home, monkeypatch):
    pytest.importorskip(backend)
    monkeypatch.setenv("KERAS_BACKEND", backend)
    found = candidates.train(make_spec(epochs=1, learning_rate=3e-3), *dataset, "run", home)
    assert found.validation_auc > 0.8
    assert os.environ["KERAS_BACKEND"] == backend
