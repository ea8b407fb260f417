"""Draw a class activation map over an X-ray."""

import numpy as np
from numpy.typing import NDArray


def overlay(image: NDArray[np.uint8], heat: NDArray[np.float32], strength: float = 0.55) -> NDArray[np.uint8]:
    """Colour an image by its map: red speaks for pneumonia, blue against it; undecided places stay gray.

    Args:
        image: uint8 (size, size).
        heat: (height, width) in units of the logit, any resolution.
        strength: share of colour where the map is strongest, 0 to 1.

    Returns:
        uint8 (size, size, 3), RGB.
    """
    from PIL import Image

    smooth = np.asarray(Image.fromarray(heat.astype(np.float32)).resize(image.shape[::-1], Image.Resampling.BICUBIC))
    # The scale is that of the map, so the strongest place of every image is visible.
    scaled = np.clip(smooth / max(float(np.abs(heat).max()), 1e-6), -1, 1)
    colour = np.where(scaled[..., None] > 0, (255, 40, 0), (0, 90, 255))
    share = strength * np.abs(scaled)[..., None]
    return np.rint(image[..., None] * (1 - share) + colour * share).astype(np.uint8)
