"""Almost identical pictures by the distance of their perceptual hashes."""

import numpy as np

DISTANCE = 20  # of 256 bits
PAIRS = 2_000_000  # compared at a time, to bound memory


def near_pairs(hashes: list[str], distance: int = DISTANCE) -> list[tuple[int, int]]:
    """Pairs (i < j) of 256-bit hex hashes that differ in at most `distance` bits."""
    if not hashes:
        return []
    words = np.frombuffer(bytes.fromhex("".join(hashes)), dtype=np.uint64).reshape(len(hashes), -1)
    pairs: list[tuple[int, int]] = []
    chunk = max(1, PAIRS // len(words))
    for start in range(0, len(words), chunk):
        rows, rest = words[start : start + chunk, None], words[None, start:]
        bits = sum(
            np.bitwise_count(rows[..., word] ^ rest[..., word]).astype(np.uint16) for word in range(words.shape[1])
        )
        for first, second in zip(*np.nonzero(bits <= distance), strict=True):
            if first < second:
                pairs.append((start + int(first), start + int(second)))
    return pairs
