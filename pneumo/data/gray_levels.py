"""How gray values of any depth become the 256 levels of a picture, by a stated range or by percentiles."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

CLIPPED = 0.5  # per cent of the pixels at each end


def by_percentiles(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale gray values that come without a window, as in a 16-bit PNG, to uint8 0..255, same shape.

    Black is the value with `CLIPPED` per cent of the pixels below it, white the one with as many above it, so that a
    few odd pixels change nothing. If both are the same value, the darkest and the brightest pixel are taken instead.
    """
    low, high = np.percentile(values, [CLIPPED, 100 - CLIPPED])
    if low == high:
        low, high = values.min(), values.max()
    return by_range(values, float(low), float(high))


def by_range(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Scale gray values to uint8 0..255, same shape; what is below `low` is black, what is above `high` is white."""
    scale = 255.0 / (high - low) if high > low else 0.0
    return ((values.clip(low, high) - low) * scale + 0.5).astype(np.uint8)
