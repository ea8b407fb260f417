import pytest

from pneumo.errors import TrainingError
from pneumo.training.candidates.presets import PHANTOM, REAL, preset_specs


def test_every_preset_exists_for_real_and_for_drawn_images():
    assert set(REAL) == set(PHANTOM) == {"quick", "standard", "best"}


def test_the_phantom_set_starts_without_weights():
    assert {spec.weights for spec in preset_specs("standard", synthetic=True)} == {"none"}
    assert {spec.weights for spec in preset_specs("standard", synthetic=False)} == {"imagenet"}


def test_quick_is_a_head_on_frozen_features_and_best_has_folds():
    assert [spec.epochs for spec in preset_specs("quick", synthetic=False)] == [0]
    assert {spec.folds for spec in preset_specs("best", synthetic=False)} == {3}
    assert {(spec.folds, spec.views) for spec in preset_specs("standard", synthetic=False)} == {(1, 2)}


def test_what_is_given_goes_before_the_preset():
    (spec,) = preset_specs(
        "quick", synthetic=False, backbones=["MobileNet:0.5"], epochs=0, size=64, seed=3, learning_rate=1e-3, crop=None
    )
    assert (spec.name, spec.size, spec.seed, spec.learning_rate) == ("MobileNet 0.5", 64, 3, 1e-3)
    assert spec.crop == preset_specs("quick", synthetic=False)[0].crop


def test_an_option_out_of_bounds_is_refused_by_name():
    with pytest.raises(TrainingError, match="learning_rate"):
        preset_specs("standard", synthetic=False, learning_rate=7)
