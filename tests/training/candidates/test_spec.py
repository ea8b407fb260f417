import pytest

from pneumo.errors import TrainingError
from pneumo.training.candidates.spec import candidate_specs, parse_backbones


def test_a_backbone_is_a_name_and_a_width():
    assert [str(item) for item in parse_backbones("MobileNetV2:0.35, EfficientNetB0")] == [
        "MobileNetV2 0.35",
        "EfficientNetB0",
    ]


def test_a_backbone_with_widths_has_width_one_by_default():
    assert parse_backbones(["MobileNet"])[0].alpha == 1.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "at least one backbone"),
        ("MobileNet,MobileNet:1", "MobileNet 1.0 more than once"),
        ("MobilNet", "did you mean MobileNet"),
        ("EfficientNetB0:0.5", "without a width multiplier"),
        ("MobileNet:wide", "MobileNet:1.0"),
        ("MobileNet:0", "above 0"),
    ],
)
def test_a_wrong_backbone_is_refused_with_the_right_one_named(text, words):
    with pytest.raises(TrainingError, match=words):
        parse_backbones(text)


def test_an_option_out_of_bounds_is_named():
    with pytest.raises(TrainingError, match="learning_rate"):
        candidate_specs("MobileNet", "none", 96, 1, learning_rate=-1)


def test_an_unknown_option_is_named():
    with pytest.raises(TrainingError, match="learning_rat"):
        candidate_specs("MobileNet", "none", 96, 1, learning_rat=1)


def test_from_scratch_learns_faster_unless_told_otherwise():
    scratch, pretrained = candidate_specs("MobileNet", "none", 96, 1)[0], candidate_specs("MobileNet", "x", 96, 1)[0]
    assert scratch.learning_rate > pretrained.learning_rate
    assert candidate_specs("MobileNet", "none", 96, 1, learning_rate=1e-5)[0].learning_rate == 1e-5
    assert pretrained.pretrained and not scratch.pretrained
