"""The shadow: another version that scores the same images after the client has its answer; nobody waits for it."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import Counter

from pneumo.errors import DataError, PneumoError
from pneumo.serving import shadow_log
from pneumo.serving.fresh_process.client import Answer
from pneumo.serving.service.followed_model import FollowedModel
from pneumo.serving.shadow_log import Answered
from pneumo.tracking import ModelVersion

Tell = Callable[..., None]
MOST = 64  # requests that wait; their images take at most as much memory as one request may
LOADING = "the shadow is being loaded, and scores nothing yet"
NONE = "no shadow: no other version than the one that answers"


@dataclass(frozen=True)
class _Work:
    champion: ModelVersion
    images: list[bytes]
    answered: list[Answered]
    threshold: float | None

    @property
    def size(self) -> int:
        return sum(map(len, self.images))


class Shadow:
    """Scores what the champion has answered, one request after the other; what does not fit in the queue is dropped.

    Attributes:
        model: the version that scores; it may be none.
        images: counter by version and outcome: agrees, differs, unreadable, failed, dropped.
    """

    def __init__(self, model: FollowedModel, home: Path, most_bytes: int, tell: Tell) -> None:
        """`most_bytes`: of images that wait."""
        self.model, self._most, self._tell = model, most_bytes, tell
        self._log, self._folder = shadow_log.daily_log(home), home / shadow_log.FOLDER
        self._queue: deque[_Work] = deque()
        self._held, self._closed = 0, False
        self._turn = threading.Condition()
        self.images = Counter(
            "pneumo_shadow_images", "Images by shadow version and outcome", ["version", "outcome"], registry=None
        )
        try:
            self._log.pack()
        except (OSError, DataError) as error:
            tell(f"the shadow's answers of earlier days are not packed: {error}")

    @property
    def words(self) -> str:
        """What the shadow does, in one sentence."""
        version = self.model.version
        if version is None:
            return self.model.problem or (LOADING if self.model.wanted else NONE)
        behind = f"; {self.model.problem}" if self.model.problem else ""
        return f"version {version.version} scores the same images, unseen by clients{behind}"

    def offer(
        self,
        champion: ModelVersion,
        images: Sequence[bytes],
        hashes: Sequence[str],
        answers: Sequence[Answer],
        threshold: float | None,
    ) -> None:
        """Take the images that the champion could read, if there is a shadow and room; never waits for the shadow."""
        version = self.model.version
        if version is None or version.uri == champion.uri:
            return
        rows = [row for row in zip(images, hashes, answers, strict=True) if row[2].label is not None]
        if not rows:
            return
        work = _Work(champion, [row[0] for row in rows], [Answered(*row[1:]) for row in rows], threshold)
        with self._turn:
            if self._closed or len(self._queue) >= MOST or self._held + work.size > self._most:
                self._count(version, "dropped", len(rows))
                return
            self._queue.append(work)
            self._held += work.size
            self._turn.notify()

    def run(self) -> None:
        """Score what was offered until `close`."""
        while (work := self._next()) is not None:
            self._score(work)
            with self._turn:
                self._held -= work.size

    def close(self) -> None:
        """End; what waits is not scored."""
        with self._turn:
            self._closed = True
            self._turn.notify()
        self.model.close()

    def _next(self) -> _Work | None:
        with self._turn:
            self._turn.wait_for(lambda: self._closed or self._queue)
            return None if self._closed else self._queue.popleft()

    def _score(self, work: _Work) -> None:
        known = self.model.version
        try:
            version, said = self.model.score(work.images, work.threshold)
        except PneumoError as error:
            if not self._closed:
                self._count(known, "failed", len(work.images))
                self._tell(f"the shadow has failed: {error}")
            return
        for (_, theirs), own in zip(work.answered, said, strict=True):
            self._count(version, _outcome(theirs, own), 1)
        try:
            self._log.append(shadow_log.pairs(version, work.champion, work.answered, said))
        except OSError as error:
            self._tell(f"the shadow's answers are not kept in {self._folder}: {error.strerror}")

    def _count(self, version: ModelVersion | None, outcome: str, images: int) -> None:
        self.images.labels(version.version if version else "", outcome).inc(images)


def _outcome(theirs: Answer, own: Answer) -> str:
    if own.label is None:
        return "unreadable"
    return "agrees" if own.label == theirs.label else "differs"
