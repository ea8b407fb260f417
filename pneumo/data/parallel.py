"""Work on many files with all cores, block by block, so that a killed run loses one block at most."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

BLOCK = 512  # images in a block: a killed run loses one block, and decoding holds two in memory
BATCH = 16  # images in a task: NumPy measures several together faster than one by one
Item = TypeVar("Item")
Result = TypeVar("Result")


def workers() -> int:
    """Number of threads for reading and decoding: Pillow, NumPy and hashlib release the interpreter lock."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_blocks(
    work: Callable[[Sequence[Item]], list[Result]], items: Sequence[Item], block: int
) -> Iterator[tuple[Sequence[Item], list[Result]]]:
    """Items and their results, block by block, in order; while the caller saves one block, the next is computed.

    Args:
        work: gives the results of a few items, one for each.
        items: all of them.
        block: number of items in a block.
    """
    waiting: deque[tuple[Sequence[Item], list[Future[list[Result]]]]] = deque()
    pool = ThreadPoolExecutor(workers())
    try:
        for start in range(0, len(items), block):
            some = items[start : start + block]
            tasks = [pool.submit(work, some[at : at + BATCH]) for at in range(0, len(some), BATCH)]
            waiting.append((some, tasks))
            if len(waiting) > 1:
                yield _finished(*waiting.popleft())
        while waiting:
            yield _finished(*waiting.popleft())
    finally:
        pool.shutdown(cancel_futures=True)


def _finished(items: Sequence[Item], tasks: list[Future[list[Result]]]) -> tuple[Sequence[Item], list[Result]]:
    return items, [result for task in tasks for result in task.result()]
