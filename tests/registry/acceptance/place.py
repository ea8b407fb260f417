"""A place of use: its images, and the question how a version does there."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pneumo.registry.acceptance.accept import accept

LIMITS = {"maximum_calibration_error": 0.12, "minimum_specificity": 0.5, "minimum_sensitivity": 0.7}


def draw(folder: Path, patients: int, shift: float = 40, first: int = 0) -> Path:
    """Two images a patient, every third one ill; all are brighter than at home, so a model of brightness cries wolf."""
    for number in range(first, first + patients):
        random, ill = np.random.default_rng([7, number]), number % 3 == 0
        centre = (150 if ill else 106) + random.normal(0, 12) + shift
        for image in range(2):
            pixels = random.normal(centre + random.normal(0, 4), 8, (64, 64)).clip(0, 255).astype(np.uint8)
            file = folder / ("PNEUMONIA" if ill else "NORMAL") / f"{number:08d}_{image:03d}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(file)
    return folder


def ask(world: Any, source: str | None = None, **options: Any) -> Any:
    return accept(source or world.place, world.settings, world.home, **options)
