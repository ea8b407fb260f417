"""Find identical and almost identical pictures by their pixels and the distance of their perceptual hashes."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

# Of 256 bits. When 200 real images were saved again at a quarter of the size, at JPEG quality 30 or with gamma 0.8, at
# most 16 bits changed; cropping 1 % off each side changed up to 32. No two different pictures differ by less than 40
# bits in Kaggle's set (5,216 images), 68 in 200 images of NIH, and 18 in 2,000 phantoms.
DISTANCE = 16
BITS = 256


def near_pairs(hashes: list[str], distance: int = DISTANCE) -> NDArray[np.intp]:
    """Pairs (i < j) of 256-bit hex hashes that differ in at most `distance` bits, int (pairs, 2), sorted.

    Exact, though few pairs are compared: of `distance` + 1 bands of bits, such a pair has at least one in common.
    """
    words = np.frombuffer(bytes.fromhex("".join(hashes)), dtype=np.uint64).reshape(len(hashes), BITS // 64)
    bits = np.unpackbits(words.view(np.uint8), axis=1)
    found = [np.empty((0, 2), dtype=np.intp)]
    for band in range(distance + 1):
        for pairs in _same_band(bits[:, band :: distance + 1]):
            differing = np.bitwise_count(words[pairs[:, 0]] ^ words[pairs[:, 1]]).sum(axis=1)
            found.append(np.sort(pairs[differing <= distance], axis=1))
    return np.unique(np.concatenate(found), axis=0)


def _same_band(band: NDArray[np.uint8]) -> Iterator[NDArray[np.intp]]:
    """Pairs of rows of uint8 (rows, bits) with the same bits, in portions of at most as many pairs as rows."""
    _, keys = np.unique(np.packbits(band, axis=1), axis=0, return_inverse=True)
    order = np.argsort(keys, kind="stable")
    keys, first = keys[order], np.arange(len(band))
    for step in range(1, len(band)):  # pairs `step` apart in sorted order; if there are none, none are further apart
        first = first[: np.searchsorted(first, len(band) - step)]
        first = first[keys[first] == keys[first + step]]
        if not first.size:
            return
        yield np.column_stack([order[first], order[first + step]])


def connected(count: int, pairs: NDArray[np.intp]) -> NDArray[np.intp]:
    """Group number of each of `count` things that pairs, int (pairs, 2), join directly or through others, (count,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    groups: NDArray[np.intp] = connected_components(links, directed=False)[1]
    return groups


def picture_numbers(manifest: pd.DataFrame) -> pd.Series:
    """Picture number of each readable row; identical and almost identical pictures have the same number."""
    picture, _ = pd.factorize(manifest["pixels"])
    hashes = manifest.drop_duplicates("pixels")["phash"].tolist()
    return pd.Series(connected(len(hashes), near_pairs(hashes))[picture], index=manifest.index)


def seen_in(manifest: pd.DataFrame, known: pd.DataFrame) -> dict[str, str]:
    """Paths of a manifest whose file, picture or almost the same picture is in another manifest, with the path there.

    Args:
        manifest: rows with path, sha256, pixels and phash; the last two are missing where a file is unreadable.
        known: the other manifest, with the same columns and readable rows only.
    """
    readable = manifest[manifest["pixels"].notna()]
    look = picture_numbers(pd.concat([known, readable], ignore_index=True)).to_numpy()
    theirs = dict(zip(look[: len(known)], known["path"], strict=True))
    files = dict(zip(known["sha256"], known["path"], strict=True))
    alike = zip(readable["path"], look[len(known) :], strict=True)
    found = {path: theirs[picture] for path, picture in alike if picture in theirs}
    copies = zip(manifest["path"], manifest["sha256"], strict=True)
    return found | {path: files[sha256] for path, sha256 in copies if sha256 in files}


def shown_in(manifest: pd.DataFrame, known: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows show a picture that another manifest has, bool (n,), as for `seen_in`.

    A manifest without the columns `pixels` and `phash`, as older versions wrote it, is compared by its files alone.
    """
    if {"pixels", "phash"} <= set(manifest) & set(known):
        return manifest["path"].isin(seen_in(manifest, known)).to_numpy(bool)
    return manifest["sha256"].isin(set(known["sha256"])).to_numpy(bool)
