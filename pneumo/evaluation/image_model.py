"""Try a model of images: write and check its bundle, test for shortcuts, time it, draw class activation maps."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumo.evaluation import heat_maps
from pneumo.evaluation.bundle_checks import BundleFacts, bundle_spec, measure_cost, require_same
from pneumo.evaluation.figures import save
from pneumo.evaluation.measures import Operating, is_pneumonia
from pneumo.evaluation.robustness.shortcuts import Shortcut, try_shortcuts
from pneumo.records.base import LABELS, Conformal
from pneumo.records.data import DatasetVersion, ImageStore
from pneumo.records.dicom_modalities import MODALITIES
from pneumo.records.model import Candidate
from pneumo.serving.bundle.class_activation import embedding_widths, inspected_network
from pneumo.serving.bundle.image_bundle import Bundle, load_network, run_network, write_bundle
from pneumo.serving.bundle.out_of_distribution import FeatureDistance, learn_feature_distance
from pneumo.training.dataset_images import Fold, open_images

if TYPE_CHECKING:
    import keras

# Numbers of images in whole batches, since Keras traces a network again for another batch size. A forward pass of all
# training images would take as long as an epoch.
DISTANCE_TRAINING, DISTANCE_VALIDATION = 384, 256
SHORTCUT_IMAGES = 128  # test images on which shortcuts are tried
CHECKED = 64  # of them the bundle must score as in the predictions; one batch
Images = NDArray[np.uint8]


def try_image_model(
    folder: Path,
    candidate: Candidate,
    version: DatasetVersion,
    store: ImageStore,
    operating: Operating,
    test: pd.DataFrame,
    conformal: Conformal | None = None,
) -> BundleFacts:
    """Write the bundle and the class activation maps, test for shortcuts, and time the bundle.

    Args:
        folder: where `bundle` and `figures` are written.
        candidate: the one whose model it is.
        version: its data set.
        store: the images.
        operating: the operating point of the bundle.
        test: rows of the test images with `position` in the store.
        conformal: limits that go into the bundle.

    Raises:
        ModelError: the bundle does not score as the predictions say.
    """
    images = np.load(store.path, mmap_mode="r")
    bundle = make_bundle(folder / "bundle", candidate, version, store, operating, images, conformal)
    shortcuts = probe_shortcuts(bundle, test, images)
    cost = measure_cost(bundle, folder / "bundle", version.root / str(test["path"].iloc[0]))
    draw_heat_maps(bundle, test, images, folder / "figures")
    return BundleFacts(shortcuts, cost)


def make_bundle(
    folder: Path,
    candidate: Candidate,
    version: DatasetVersion,
    store: ImageStore,
    operating: Operating,
    images: Images,
    conformal: Conformal | None = None,
) -> Bundle:
    """Write the bundle and return it loaded; the model is read, and its network traced, only once.

    Args:
        images: the store's memory map.
    """
    model = load_network(candidate.model)
    network = inspected_network(model)
    manifest = pd.read_parquet(version.manifest)
    feature_distance = learn_distance(network, candidate.folds, version, store, images)
    folder.mkdir()
    spec = write_bundle(
        folder,
        candidate.model,
        feature_distance,
        size=store.size,
        fit=store.fit,
        modalities=modalities_of(manifest),
        **bundle_spec(candidate, version, operating, conformal),
    )
    return Bundle(spec, model, feature_distance, network)


def learn_distance(
    network: "keras.Model", folds: int, version: DatasetVersion, store: ImageStore, images: Images
) -> FeatureDistance:
    """The distance to the training images in an inspected network's features, its limit from images it did not learn.

    Every image outside the test set trained all networks of `folds` but one. So the features are those of the first
    fold's networks, which have seen none of its patients.
    """
    rows = open_images(version, store, Fold(number=0, count=folds) if folds > 1 else None).rows
    training, validation = (
        run_network(network, images[sample(rows[rows["split"] == split], count)])[1]
        for split, count in (("train", DISTANCE_TRAINING), ("validation", DISTANCE_VALIDATION))
    )
    return learn_feature_distance(training, validation, _of_first_fold(network, folds) if folds > 1 else None)


def _of_first_fold(network: "keras.Model", folds: int) -> NDArray[np.intp]:
    """Columns of the joined embedding that are of the first fold's network of each backbone."""
    widths = embedding_widths(network)
    branch = np.repeat(np.arange(len(widths)), widths)
    return np.flatnonzero(branch % folds == 0)


def modalities_of(manifest: pd.DataFrame) -> tuple[str, ...]:
    """Those of DICOM that chest X-rays are of, and any other of this data set, by which the model learned."""
    return tuple(sorted({*MODALITIES, *manifest.get("modality", ())} - {""}))  # manifests of before do not have it


def sample(rows: pd.DataFrame, count: int) -> NDArray[np.intp]:
    """Index values of at most `count` rows, the first by sha256, so the same on any machine."""
    return np.sort(rows.sort_values("sha256", kind="stable").index.to_numpy()[:count])


def probe_shortcuts(bundle: Bundle, rows: pd.DataFrame, images: Images) -> tuple[Shortcut, ...]:
    """Shortcut tests on test images, as many of each class as possible; rows have `position` in `images`.

    Raises:
        ModelError: the bundle does not score as the predictions say.
    """
    halves = [sample(rows[rows["label"] == label], SHORTCUT_IMAGES // 2) for label in LABELS]
    chosen = rows.loc[np.concatenate(halves)]
    pictures = images[chosen["position"]]
    plain = chosen["probability"].to_numpy()
    checked = np.linspace(0, len(chosen) - 1, min(CHECKED, len(chosen))).round().astype(int)
    require_same(bundle, plain[checked], bundle.score(pictures[checked]).probability)
    return try_shortcuts(
        pictures, plain, is_pneumonia(chosen), chosen["patient"], lambda changed: bundle.score(changed).probability
    )


def draw_heat_maps(bundle: Bundle, rows: pd.DataFrame, images: Images, folder: Path) -> None:
    """Write heat_maps_<class>.png for each class of test rows."""
    for label in LABELS:
        hits, errors = heat_maps.pick(rows, label)
        positions = [*hits["position"], *errors["position"]]
        shown = images[positions]
        pictures = heat_maps.draw(shown, bundle.maps(shown), positions)
        save(heat_maps.sheet(label, hits, errors, pictures), folder / f"heat_maps_{label.lower()}.png")
