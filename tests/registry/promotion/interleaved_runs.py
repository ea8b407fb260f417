"""Runs that go on only when they are told to, so that the calls of two can come in any order."""

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

from pneumo.errors import PneumoError, TrackingError
from pneumo.registry import history


class DeadError(BaseException):
    """The process is gone: nothing that it would still do happens."""


class Run(threading.Thread):
    """A promotion or rollback, one call of the registry at a time; `ends` is the call at which it dies or fails.

    It waits at what concerns others: at the `moves`, or at the `looks` at the test images alone.
    """

    def __init__(self, act: Callable[[], Any], ends: int = 0, how: str = "", at: str = "moves") -> None:
        super().__init__(daemon=True)
        self.act, self.ends, self.how, self.at = act, ends, how, at
        self.mine, self.yours = threading.Semaphore(0), threading.Semaphore(0)
        self.calls, self.last = 0, ""
        self.over, self.ending, self.dead = False, False, False
        self.decision: Any = None
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        self.mine.acquire()
        try:
            self.decision = self.act()
        except (PneumoError, DeadError) as error:
            self.error = error
        finally:
            self.over = True
            self.yours.release()

    def step(self) -> None:
        """Up to the next call, or to the end."""
        if not self.over:
            self.mine.release()
            self.yours.acquire()

    def calling(self, name: str, call: Callable[[], Any]) -> Any:
        """Wait before reads of the model, announcements and moves of the champion; then make the call, or end."""
        if self.dead:
            raise DeadError
        # What lies between the reads before the other aliases is of no concern to anybody else.
        reads = name == "registered" and self.last not in ("", "look", "set_alias")
        counts = name == "registered" and self.last == "look"
        waits = {"moves": reads or name in ("announce", "champion", "person"), "looks": counts or name == "look"}
        self.last = name
        if not waits[self.at] or self.ending:
            return call()
        self.yours.release()
        self.mine.acquire()
        self.calls += 1
        self.ending = self.calls == self.ends
        self.dead = self.ending and self.how == "dies"
        if self.dead:
            raise DeadError
        if self.ending and self.how == "is refused":
            raise TrackingError("refused")
        done = call()
        if self.ending:
            raise TrackingError("the answer is lost")
        return done


def waiting(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        run = threading.current_thread()
        if not isinstance(run, Run):
            return real(*args)
        return run.calling(kind(name, *args[2:]), lambda: real(*args))

    return call


def kind(name: str, *args: Any) -> str:
    """What a call is to others."""
    if name == "set_model_tag" and args[0].startswith(history.HISTORY):
        return "look" if json.loads(args[1])["action"] == "look" else "announce"
    return "champion" if args[:1] == ("champion",) else name


def merges(one: int, other: int) -> Iterator[tuple[int, ...]]:
    """All orders of so many steps of run 0 and so many of run 1."""
    for places in itertools.combinations(range(one + other), one):
        yield tuple(0 if place in places else 1 for place in range(one + other))


def play(order: tuple[int, ...], *pair: Run) -> None:
    """Let two runs make their steps in this order, then to their ends."""
    for turn in order:
        pair[turn].step()
    while not all(run.over for run in pair):
        for run in pair:
            run.step()
