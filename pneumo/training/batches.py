"""Endless augmented batches of training images that depend on seed, epoch and step alone."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from pneumo.training.augmentation import transforms
from pneumo.training.augmentation.artefacts import add_artefacts
from pneumo.training.candidates.spec import CandidateSpec
from pneumo.training.dataset_images import Images

REFERENCE_IMAGES = 500  # training images to whose histograms others are matched


def augmented_batches(
    spec: CandidateSpec, images: Images, positions: np.ndarray, epoch: int
) -> Iterator[tuple[Any, Any, Any]]:
    """Endless batches from an epoch on: ((pixels, augmentation), targets, sample weights).

    Order and augmentation depend on (seed, epoch, step) only, so a resumed training sees the same as an uninterrupted
    one. Keras's own random layers would not: their state counts calls, and a checkpoint does not hold it.
    """
    targets = images.targets(positions)
    share = np.array([np.mean(targets == 0), np.mean(targets == 1)])
    weights = (0.5 / share)[targets.astype(int)].astype("float32")
    size = min(spec.batch_size, len(positions))
    tones = transforms.cumulative_histograms(images.pixels[positions[:: max(len(positions) // REFERENCE_IMAGES, 1)]])
    while True:
        order = np.random.default_rng([spec.seed, epoch]).permutation(len(positions))
        for step in range(len(positions) // size):
            chosen = np.sort(order[step * size : (step + 1) * size])
            generator = np.random.default_rng([spec.seed, epoch, step])
            drawn = transforms.draw(generator, size, images.pixels.shape[1], spec.augmentation, spec.crop)
            pixels = transforms.match_histograms(generator, images.pixels[positions[chosen]], spec.augmentation, tones)
            pixels = add_artefacts(generator, pixels, spec.augmentation)
            yield (pixels[..., None].astype("float32"), drawn), targets[chosen][:, None], weights[chosen]
        epoch += 1
