"""Endless augmented batches of training images that depend on seed, epoch and step alone."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from pneumo.training.augmentation import transforms
from pneumo.training.augmentation.artefacts import add_artefacts
from pneumo.training.candidates.spec import CandidateSpec
from pneumo.training.dataset_images import Images

ILL, VIRAL = "ill", "viral"  # names of the heads
REFERENCE_IMAGES = 500  # training images to whose histograms others are matched


def augmented_batches(
    spec: CandidateSpec, images: Images, positions: np.ndarray, epoch: int
) -> Iterator[tuple[Any, Any, Any]]:
    """Endless batches from an epoch on: ((pixels, augmentation), targets, sample weights), the last two by head.

    Order and augmentation depend on (seed, epoch, step) only, so a resumed training sees the same as an uninterrupted
    one. Keras's own random layers would not: their state counts calls, and a checkpoint does not hold it.
    """
    heads = targets(spec, images, positions)
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
            aims = {name: values[chosen, None] for name, (values, _) in heads.items()}
            weights = {name: weights[chosen] for name, (_, weights) in heads.items()}
            yield (pixels[..., None].astype("float32"), drawn), aims, weights
        epoch += 1


def targets(spec: CandidateSpec, images: Images, positions: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Targets and sample weights of each head, float32 (n,) each; both classes weigh the same.

    The second head, viral against bacterial pneumonia, is trained where the images have both and a weight asks for it;
    it weighs nothing for images whose subtype is not known. It shapes the features only: it is not part of the network.
    """
    ill, viral = images.targets(positions), images.viral(positions)
    share = np.array([np.mean(ill == 0), np.mean(ill == 1)])
    weights = (0.5 / share)[ill.astype(int)].astype("float32")
    heads = {ILL: (ill, weights)}
    if spec.subtype_weight > 0 and {0.0, 1.0} <= set(viral):
        heads[VIRAL] = (np.nan_to_num(viral), weights * np.isfinite(viral))
    return heads
