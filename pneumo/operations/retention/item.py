"""One thing that house-keeping may delete."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Literal

from pneumo.records.base import Record

Kind = Literal[
    "registered version", "run", "left artifacts", "unknown artifacts", "cache", "left-over", "checkpoint", "report",
    "log", "log's beginning", "data version", "data shard", "training elsewhere",
]  # fmt: skip


class Item(Record):
    """What it is, where, how old in days, and how many bytes it has (0 if not known)."""

    kind: Kind
    name: str
    days: float
    bytes: int = 0


Remove = Callable[[], bool]  # checks once more, deletes it unless it is needed now, and returns whether it did
Removal = tuple[Item, Remove]
Still = Callable[[str], AbstractContextManager[None]]  # keeps promotions and rollbacks of a model away
DAY = 86400.0
YOUNGEST = 1.0  # days; nothing younger is ever deleted
