import numpy as np
import pytest

from pneumo.errors import TrainingError
from pneumo.training.dataset_images import BATCH, open_images, predict


class Mean:
    """Stands for a network: the mean of each image; remembers the shapes it saw."""

    def __init__(self):
        self.seen = []

    def predict_on_batch(self, batch):
        self.seen.append(batch.shape)
        return np.asarray(batch).mean(axis=(1, 2, 3))[:, None]


def test_positions_and_targets_follow_the_manifest(images):
    chosen = images.of("validation")
    assert set(images.rows["split"].iloc[chosen]) == {"validation"}
    assert images.targets(chosen).tolist() == [float(row == "PNEUMONIA") for row in images.rows["label"].iloc[chosen]]


def test_pixels_stay_on_disk(images):
    assert isinstance(images.pixels, np.memmap)


def test_pixels_of_another_set_are_refused(dataset, make_set, tmp_path):
    with pytest.raises(TrainingError, match=r"\(96, 32, 32\).*\(24, 32, 32\)"):
        open_images(dataset[0], make_set(tmp_path, 24)[1])


def test_a_split_of_one_class_is_refused(make_set, tmp_path):
    version, store = make_set(tmp_path, 24)
    rows = open_images(version, store).rows
    rows[(rows["split"] != "validation") | (rows["label"] == "NORMAL")].to_parquet(version.manifest)
    kept = np.load(store.path)[:20]
    np.save(store.path, kept)
    with pytest.raises(TrainingError, match="both classes in split validation"):
        open_images(version, store)


def test_every_image_is_scored_once_in_batches_of_one_shape(images):
    model = Mean()
    found = predict(model, images.pixels)
    np.testing.assert_allclose(found[:, 0], images.pixels.mean(axis=(1, 2)), rtol=1e-5)
    assert set(model.seen) == {(BATCH, 32, 32, 1)}
    assert found.dtype == np.float32


def test_chosen_images_are_scored_in_the_order_asked_for(images):
    chosen = np.array([70, 3, 3])
    np.testing.assert_allclose(predict(Mean(), images.pixels, chosen)[:, 0], images.pixels[chosen].mean(axis=(1, 2)))


def test_a_change_is_made_before_the_model_looks(images):
    assert predict(Mean(), images.pixels, None, lambda batch: batch * 0).max() == 0
