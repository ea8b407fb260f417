"""Almost identical pictures by the distance of their perceptual hashes."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

# Of 256 bits. Saving real images again, smaller, coarser or 10 % brighter changed at most 10, cropping 2 % off 20 to
# 62; no two different images of the Kaggle set are nearer than 35.
DISTANCE = 20
PAIRS = 2_000_000  # compared at a time, to bound memory


def near_pairs(hashes: list[str], distance: int = DISTANCE) -> NDArray[np.intp]:
    """Pairs (i < j) of 256-bit hex hashes that differ in at most `distance` bits, int (pairs, 2), sorted."""
    found = [np.empty((0, 2), dtype=np.intp)]
    words = _words(hashes)
    chunk = max(1, PAIRS // max(1, len(words)))
    for start in range(0, len(words), chunk):
        rows, rest = words[start : start + chunk, None], words[None, start:]
        bits = sum(np.bitwise_count(rows[..., word] ^ rest[..., word]).astype(np.uint16) for word in range(4))
        pairs = np.argwhere(bits <= distance)
        found.append(pairs[pairs[:, 0] < pairs[:, 1]] + start)
    return np.concatenate(found)


def shown_in(manifest: pd.DataFrame, known: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows show a picture that another manifest has: the same file, the same pixels, or almost the same picture.

    A manifest without the columns `pixels` and `phash` is compared by its files alone.
    """
    shared = manifest["sha256"].isin(set(known["sha256"])).to_numpy(bool, copy=True)
    if "pixels" in manifest and "pixels" in known:
        shared |= manifest["pixels"].isin(set(known["pixels"].dropna())).to_numpy(bool)
    if "phash" in manifest and "phash" in known:
        hashed = manifest["phash"].notna().to_numpy()
        shared[hashed] |= _near_any(list(manifest["phash"][hashed]), list(known["phash"].dropna()))
    return shared


def _near_any(hashes: list[str], known: list[str], distance: int = DISTANCE) -> NDArray[np.bool_]:
    """Whether each 256-bit hex hash differs from any of the known in at most `distance` bits."""
    words, others = _words(hashes), _words(known)
    chunk = max(1, PAIRS // max(1, len(others)))
    found = [np.zeros(0, np.bool_)]
    for start in range(0, len(words), chunk):
        bits = np.bitwise_count(words[start : start + chunk, None] ^ others[None]).sum(axis=2, dtype=np.uint16)
        found.append((bits <= distance).any(axis=1))
    return np.concatenate(found)


def _words(hashes: list[str]) -> NDArray[np.uint64]:
    return np.frombuffer(bytes.fromhex("".join(hashes)), dtype=np.uint64).reshape(len(hashes), 4)
