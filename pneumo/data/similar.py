"""Almost identical pictures by the distance of their perceptual hashes."""

import numpy as np
from numpy.typing import NDArray

# Of 256 bits. Saving real images again, smaller, coarser or 10 % brighter changed at most 10, cropping 2 % off 20 to
# 62; no two different images of the Kaggle set are nearer than 35.
DISTANCE = 20
PAIRS = 2_000_000  # compared at a time, to bound memory


def near_pairs(hashes: list[str], distance: int = DISTANCE) -> NDArray[np.intp]:
    """Pairs (i < j) of 256-bit hex hashes that differ in at most `distance` bits, int (pairs, 2), sorted."""
    found = [np.empty((0, 2), dtype=np.intp)]
    words = np.frombuffer(bytes.fromhex("".join(hashes)), dtype=np.uint64).reshape(len(hashes), 4)
    chunk = max(1, PAIRS // max(1, len(words)))
    for start in range(0, len(words), chunk):
        rows, rest = words[start : start + chunk, None], words[None, start:]
        bits = sum(np.bitwise_count(rows[..., word] ^ rest[..., word]).astype(np.uint16) for word in range(4))
        pairs = np.argwhere(bits <= distance)
        found.append(pairs[pairs[:, 0] < pairs[:, 1]] + start)
    return np.concatenate(found)
