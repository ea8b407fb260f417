"""The promotion lock: of all runs that share a state folder, one at a time moves the aliases of a model."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from pneumo.errors import PromotionError
from pneumo.registry import history
from pneumo.registry.promotion import claim
from pneumo.settings import Settings
from pneumo.tracking import Tracker

LOCK_SECONDS = 900  # seconds that a promotion waits for another one in the same state folder


@contextmanager
def exclusive(home: Path, registered: str) -> Iterator[filelock.BaseFileLock]:
    """Hold the promotion lock of a registered model in this state folder; it is freed if the process dies.

    Raises:
        PromotionError: another one holds it for too long.
    """
    folder = home / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / f"promote-{registered}.lock", timeout=LOCK_SECONDS)
    acquire(lock)
    try:
        yield lock
    finally:
        lock.release()


@contextmanager
def still(settings: Settings, registered: str) -> Iterator[None]:
    """Hold the lock, and refuse if a move announced elsewhere may still happen: for whoever deletes versions.

    Raises:
        PromotionError: another one holds it for too long, or has announced a move.
    """
    with exclusive(settings.home, registered):
        now = history.registry_state(Tracker.of(settings), registered, settings.registry)
        claim.refuse_pending(now.rows, history.place(settings.home))
        yield


def acquire(lock: filelock.BaseFileLock) -> None:
    """Take the lock, at first or again after a person was waited for.

    Raises:
        PromotionError: another promotion holds it for too long.
    """
    try:
        lock.acquire()
    except filelock.Timeout:
        raise PromotionError(
            f"Expected no other promotion, but one has held {lock.lock_file} for {LOCK_SECONDS} s: let it finish, "
            "then run again."
        ) from None
