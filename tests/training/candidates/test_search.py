import numpy as np
import pytest

from pneumo.errors import TrainingError
from pneumo.training.candidates import candidate as candidates
from pneumo.training.candidates import search as searching
from pneumo.training.candidates.search import search, search_once, with_searched
from pneumo.training.process.progress import Progress


def epoch(spec, score, number=1):
    return Progress(name=spec.name, stage="tuning", epoch=number, epochs=2, metrics={"score": score})


def test_it_finds_settings_that_are_better_than_the_usual(make_spec):
    tried = []

    def train(number, spec, follow):
        tried.append(spec)
        score = -abs(np.log10(spec.learning_rate / 1e-3))
        follow(epoch(spec, score))
        if len(tried) == 12:
            raise KeyboardInterrupt if number > 50 else TrainingError("enough")
        return score

    usual = make_spec(learning_rate=1e-4)
    found = search(usual, 0.02, train)
    assert tried[0] == usual
    assert abs(np.log10(found.learning_rate / 1e-3)) < 1
    assert {spec.size for spec in tried} <= {32, 64} and len({spec.augmentation for spec in tried}) > 1
    assert found.epochs == usual.epochs and found.backbone == usual.backbone


def test_one_that_is_worse_than_the_others_is_pruned(make_spec):
    ended = []

    def train(number, spec, follow):
        follow(epoch(spec, 0.9 - 0.1 * number))
        ended.append(number)
        return 0.9 - 0.1 * number

    assert search(make_spec(), 0.01, train) == make_spec()
    assert ended == [0, 1, 2]


def test_a_trial_that_fails_fails_alone(make_spec):
    tried = []

    def train(number, spec, follow):
        tried.append(number)
        if number == 1:
            raise TrainingError("no number")
        return 0.5

    search(make_spec(), 0.01, train)
    assert len(tried) > 2


def test_usual_settings_that_fail_end_the_search(make_spec):
    tried = []

    def train(number, spec, follow):
        tried.append(number)
        raise TrainingError("no weights")

    assert search(make_spec(), 1, train) == make_spec()
    assert tried == [0]


def test_the_trial_that_time_runs_out_on_is_given_up(make_spec):
    def train(number, spec, follow):
        while True:
            follow(epoch(spec, 0.5))

    assert search(make_spec(), 0.001, train) == make_spec()


def test_what_was_found_holds_for_every_backbone(make_spec):
    specs = with_searched([make_spec(seed=1), make_spec(seed=2)], make_spec(learning_rate=0.02, freeze=0.5, size=64))
    assert [(spec.seed, spec.learning_rate, spec.freeze, spec.size) for spec in specs] == [
        (1, 0.02, 0.5, 64), (2, 0.02, 0.5, 64),
    ]  # fmt: skip


def test_a_search_is_found_again_and_other_settings_or_another_length_are_another_search(
    make_spec, dataset, tmp_path, monkeypatch
):
    asked = []

    def search_for(spec, minutes, train):
        asked.append(minutes)
        return spec.model_copy(update={"learning_rate": 0.01 * len(asked), "epochs": 9})

    monkeypatch.setattr(searching, "search", search_for)
    known = (dataset[0], "squash", tmp_path, None)
    for spec, minutes in ((make_spec(), 1), (make_spec(), 1), (make_spec(), 2), (make_spec(seed=5), 1)):
        found = search_once(spec, minutes, *known)
    assert asked == [1, 2, 1] and (found.learning_rate, found.seed, found.epochs) == (0.03, 5, make_spec().epochs)


def test_weights_of_another_size_other_decoding_or_another_optuna_are_another_search(
    make_spec, dataset, tmp_path, monkeypatch
):
    asked = []
    monkeypatch.setattr(searching, "search", lambda spec, minutes, train: asked.append(spec) or spec)

    def searched():
        before = len(asked)
        search_once(make_spec(weights=str(tmp_path), size=128), 1, dataset[0], "squash", tmp_path, None)
        return len(asked) > before

    files = [tmp_path / f"MobileNet_0.25_{size}_no_top.weights.h5" for size in (128, 160)]
    for file in files:
        file.write_bytes(b"one")
    assert searched() and not searched()
    files[1].write_bytes(b"other")
    assert searched() and not searched()
    version = searching.code_version
    monkeypatch.setattr(
        searching, "code_version", lambda *parts: version(*parts) + str("data/dicom/__init__.py" in parts)
    )
    assert searched() and not searched()
    monkeypatch.setattr(searching, "installed", lambda package: f"{package} 99")
    assert searched() and not searched()


def test_trials_are_real_trainings(make_spec, dataset, tmp_path):
    """Images of one size only, so that the decoded ones serve every trial."""
    scores = []

    def train(number, spec, follow):
        if scores:
            raise KeyboardInterrupt
        done = candidates.train(spec.model_copy(update={"size": 32}), *dataset, "run", tmp_path, follow, threads=1)
        scores.append(done.selection_score)
        return done.selection_score

    with pytest.raises(KeyboardInterrupt):
        search(make_spec(epochs=0), 5, train)
    key = candidates.train_key(make_spec(epochs=0), *dataset, tmp_path)
    kept = candidates.read(candidates.result_folder(tmp_path, key), "run")
    assert scores == [(kept.validation_auc + kept.shifted_auc) / 2] and kept.validation_auc > 0.7
