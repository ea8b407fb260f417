import itertools

import numpy as np
import pytest

from pneumo.errors import TrainingError
from pneumo.records.base import SUBTYPES
from pneumo.training import fine_tuning
from pneumo.training.batches import augmented_batches, targets
from pneumo.training.dataset_images import Images
from pneumo.training.networks import architecture
from pneumo.training.networks.pretrained_weights import load_backbone
from pneumo.training.process import checkpoint
from pneumo.training.process.progress import silent


class Scores:
    """Stands for a judge: gives scores in order."""

    def __init__(self, *scores):
        self.scores = iter(scores)

    def epoch(self, _):
        return {"score": next(self.scores)}


@pytest.fixture(scope="module")
def fresh(make_spec, tmp_path_factory):
    """Builds the network of a spec, the same every time."""
    import keras

    home = tmp_path_factory.mktemp("home")

    def build(spec):
        keras.utils.set_random_seed(0)
        return architecture.build(spec, load_backbone(spec, home))

    return build


def taken(batches, count):
    return list(itertools.islice(batches, count))


def test_a_batch_depends_on_seed_epoch_and_step_alone(make_spec, images):
    positions = images.of("train")
    steps = len(positions) // 16
    whole = taken(augmented_batches(make_spec(), images, positions, 0), 2 * steps)
    resumed = taken(augmented_batches(make_spec(), images, positions, 1), steps)
    other = taken(augmented_batches(make_spec(seed=1), images, positions, 1), steps)
    for before, after, differing in zip(whole[steps:], resumed, other, strict=True):
        assert all(map(np.array_equal, before[0], after[0]))
        assert all(np.array_equal(before[1][head], after[1][head]) for head in ("ill", "viral"))
        assert not np.array_equal(before[0][0], differing[0][0])


def test_an_epoch_shows_each_image_once(make_spec, images):
    positions = images.of("train")
    shown = np.concatenate([batch[0][0] for batch in taken(augmented_batches(make_spec(), images, positions, 0), 3)])
    assert len({image.tobytes() for image in shown}) == 48 == len(positions)


def test_classes_weigh_the_same_however_many_images_they_have(make_spec, images):
    positions = images.of("train")
    uneven = np.concatenate([positions[::2], positions[1::2][:8]])
    batches = taken(augmented_batches(make_spec(), images, uneven, 0), 2)
    weights = np.concatenate([batch[2]["ill"] for batch in batches])
    targets = np.concatenate([batch[1]["ill"][:, 0] for batch in batches])
    assert weights[targets == 1].sum() == pytest.approx(weights[targets == 0].sum())
    assert weights.mean() == pytest.approx(1)


def test_the_second_head_learns_from_pneumonias_of_known_subtype_alone(make_spec, images):
    positions = images.of("train")
    values, weights = targets(make_spec(), images, positions)["viral"]
    subtypes = images.rows["subtype"].to_numpy()[positions]
    assert set(values[subtypes == "virus"]) == {1} and set(values[subtypes == "bacteria"]) == {0}
    assert (weights[subtypes == "none"] == 0).all() and (weights[subtypes != "none"] > 0).all()
    assert np.isfinite(values).all()


@pytest.mark.parametrize("fields, known", [({}, ["none", "bacteria"]), ({"subtype_weight": 0}, SUBTYPES)])
def test_there_is_no_second_head_without_both_subtypes_or_without_its_weight(make_spec, images, fields, known):
    rows = images.rows.assign(subtype=images.rows["subtype"].where(images.rows["subtype"].isin(known), "none"))
    assert list(targets(make_spec(**fields), Images(rows, images.pixels), images.of("train"))) == ["ill"]


def test_the_second_head_shapes_the_features_and_is_no_part_of_the_network(make_spec, images, fresh, tmp_path):
    features = []
    for weight in (0, 3.0):
        spec = make_spec(epochs=1, subtype_weight=weight, learning_rate=0.01)
        net = fresh(spec)
        names = [layer.name for layer in net.layers]
        fine_tuning.fine_tune(spec, net, images, Scores(0, 1), tmp_path / f"{weight}.npz", silent)
        assert [layer.name for layer in net.layers] == names and net.output_shape == (None, 1)
        features.append(checkpoint.values(net.get_layer("backbone").trainable_variables))
    assert distance(*features) > 1e-4


def test_a_share_of_the_backbone_stays_as_it_is(make_spec, images, fresh, tmp_path):
    spec = make_spec(epochs=1, freeze=0.5, learning_rate=0.01, weight_decay=0.1)
    net = fresh(spec)
    layers = net.get_layer("backbone").layers
    before = [layer.get_weights() for layer in layers]
    fine_tuning.fine_tune(spec, net, images, Scores(0, 1), tmp_path / "c.npz", silent)
    moved = [
        any(not np.array_equal(a, b) for a, b in zip(old, layer.get_weights(), strict=True))
        for old, layer in zip(before, layers, strict=True)
    ]
    assert not any(moved[: len(layers) // 2])
    assert any(moved[len(layers) // 2 :])


def test_fine_tuning_that_makes_it_worse_is_not_kept(make_spec, images, fresh, tmp_path):
    spec = make_spec(epochs=2)
    net = fresh(spec)
    before = checkpoint.values(net.variables)
    history = fine_tuning.fine_tune(spec, net, images, Scores(0.9, 0.8, 0.7), tmp_path / "c.npz", silent)
    assert [row["score"] for row in history] == [0.8, 0.7]
    assert all(map(np.array_equal, before, checkpoint.values(net.variables)))


def test_the_last_average_is_kept_unless_it_is_worse_by_more_than_noise(make_spec, images, fresh, tmp_path):
    spec = make_spec(epochs=2)
    kept = []
    for name, scores in (("level", (0.5, 0.8, 0.799)), ("worse", (0.5, 0.8, 0.7))):
        net = fresh(spec)
        fine_tuning.fine_tune(spec, net, images, Scores(*scores), tmp_path / name, silent)
        kept.append(checkpoint.values(net.variables))
    net = fresh(spec)
    fine_tuning.fine_tune(
        spec.model_copy(update={"patience": 1}), net, images, Scores(0.5, 0.8, 0.7), tmp_path / "c", silent
    )
    last, best, patient = *kept, checkpoint.values(net.variables)
    # Not to the bit: sums of threads come in another order now and then, and Adam makes a step of any difference.
    assert distance(best, patient) < distance(last, patient) / 2


def distance(one, other):
    return max(float(np.abs(a - b).max()) for a, b in zip(one, other, strict=True))


def test_it_stops_when_nothing_gets_better(make_spec, images, fresh, tmp_path):
    spec = make_spec(epochs=9, patience=1)
    history = fine_tuning.fine_tune(spec, fresh(spec), images, Scores(0.5, 0.6, 0.6), tmp_path / "c.npz", silent)
    assert len(history) == 2


def test_a_loss_that_is_no_number_ends_it_with_the_remedy(make_spec, images, fresh, tmp_path, monkeypatch):
    monkeypatch.setattr(Images, "targets", lambda images, positions: np.full(len(positions), np.nan, "float32"))
    spec = make_spec(epochs=1)
    with pytest.raises(TrainingError, match=r"finite loss of MobileNet 0\.25, got nan: lower the learning rate"):
        fine_tuning.fine_tune(spec, fresh(spec), images, Scores(0.5), tmp_path / "c.npz", silent)


def test_every_epoch_is_reported_with_its_figures(make_spec, images, fresh, tmp_path):
    events, spec = [], make_spec(epochs=2)
    fine_tuning.fine_tune(spec, fresh(spec), images, Scores(0.5, 0.6, 0.7), tmp_path / "c.npz", events.append)
    told = [event for event in events if event.metrics]
    assert [(event.epoch, event.epochs, event.metrics["score"]) for event in told] == [(1, 2, 0.6), (2, 2, 0.7)]
    assert all(event.metrics["loss"] > 0 for event in told)
    assert all(event.rate > 0 for event in told) and told[0].seconds_left > told[1].seconds_left == 0
