"""How trainings share this machine: several at once with few threads each are faster than one after another with all.

A small network leaves cores idle: starting, tracing and many layers run in one thread (docs/speed.md).
"""

import math
from pathlib import Path
from typing import NamedTuple

import psutil

from pneumo.data.parallel import workers
from pneumo.operations import estimate

MEMORY_SHARE = 0.5  # of this machine's memory that trainings may need together, by a rough estimate
LIMIT = Path("/sys/fs/cgroup/memory.max")  # of a container; "max": none


class Share(NamedTuple):
    """Number of trainings at once, and of threads for each; None: all cores."""

    trainings: int
    threads: int | None


def share_machine(trainings: int, size: int, wanted: int | None = None) -> Share:
    """Number of trainings at once, and the threads of each.

    The memory counts, not how much of it is free now, so that a run that is repeated has as many threads and so the
    same weights bit by bit. On a GPU each training takes the memory of the whole device, so there it is one.

    Args:
        trainings: how many there are, at least one.
        size: pixels a side of their images.
        wanted: as many at once, whatever the machine; None: what fits.
    """
    fitting = 1 if gpus() else int(MEMORY_SHARE * total_memory() // estimate.memory(size))
    at_once = max(min(trainings, wanted or fitting), 1)
    return Share(at_once, math.ceil(workers() / at_once) if at_once > 1 else None)


def gpus() -> list[Path]:
    """Devices of NVIDIA GPUs, found without a library that would take their memory."""
    return sorted(Path("/dev").glob("nvidia[0-9]*"))


def total_memory() -> int:
    """Bytes of memory of this machine or, if it is less, that this container may use."""
    limit = LIMIT.read_text(encoding="ascii").strip() if LIMIT.is_file() else "max"
    total = int(psutil.virtual_memory().total)
    return total if limit == "max" else min(total, int(limit))
