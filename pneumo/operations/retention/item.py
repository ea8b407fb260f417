"""One thing that house-keeping may take away."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Literal

from pneumo.records.base import Record

Kind = Literal[
    "registered version", "run", "left artifacts", "unknown artifacts", "cache", "left-over", "checkpoint", "report",
    "log", "log's beginning", "data version", "data shard", "training elsewhere",
]  # fmt: skip


class Item(Record):
    """What it is, where, how old in days, and how many bytes it holds (0 where that is not known)."""

    kind: Kind
    name: str
    days: float
    bytes: int = 0


Remove = Callable[[], bool]  # looks once more, and takes it away unless it is needed by now; whether it went
Removal = tuple[Item, Remove]
Still = Callable[[str], AbstractContextManager[None]]  # nobody promotes to a registered model, or rolls back, meanwhile
DAY = 86400.0
YOUNGEST = 1.0  # days; nothing younger is ever taken
