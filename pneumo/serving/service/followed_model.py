"""The model that is served: the version behind an alias, exchanged without a lost request when the alias moves."""

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from pneumo.errors import PneumoError, ServiceError
from pneumo.records.base import IMAGE, Cell
from pneumo.serving.fresh_process.client import Answer, Served, cannot_tell, needs_embeddings, served
from pneumo.tracking import ModelVersion, Tracker


@dataclass(frozen=True)
class _Loaded:
    version: ModelVersion
    process: Served
    resources: ExitStack  # ends the process and removes the model's files


class FollowedModel:
    """A model in a process of its own, asked by one request at a time.

    The next version is loaded beside the one that answers and takes its place between two requests.

    Attributes:
        problem: why the version that should be served is not, in one sentence; empty where it is.
        wanted: whether a version should be served, as far as is known.
    """

    def __init__(
        self, find: Callable[[], tuple[Tracker, ModelVersion] | None], uncertain: bool = False, last: bool = False
    ) -> None:
        """Serve nothing until `update`.

        Args:
            find: the server that has the version that should be served now, and that version; None: none should be.
            uncertain: whether answers shall say if another label is possible.
            last: other processes of this machine go first, such as that of the model whose shadow this is.
        """
        self._find, self._uncertain, self._last = find, uncertain, last
        self._turn = threading.Lock()  # whoever has it may ask the process, or exchange it
        self._loaded: _Loaded | None = None
        self._wake, self._closed = threading.Event(), False
        self.problem, self.wanted = "", True

    @property
    def version(self) -> ModelVersion | None:
        """The version that answers; None while there is none."""
        loaded = self._loaded
        return loaded.version if loaded else None

    @property
    def note(self) -> str:
        """A sentence where answers shall say what is uncertain, but the version cannot tell; empty elsewhere."""
        loaded = self._loaded
        lacks = self._uncertain and loaded is not None and not loaded.process.tells_uncertain
        return cannot_tell(loaded.version) if lacks and loaded else ""

    def update(self) -> None:
        """Serve what should be served now, if that is another version.

        Raises:
            PneumoError: MLflow does not answer, there is no such version, it cannot be loaded, or takes no images; the
                one before goes on.
        """
        found = self._find()
        self.wanted = found is not None
        if found is None:
            self._exchange(None)
            return
        tracker, version = found
        if self.version is not None and self.version.uri == version.uri:
            return
        with ExitStack() as resources:
            process = resources.enter_context(served(tracker, version.uri, self._last))
            if process.input != IMAGE:
                raise needs_embeddings(version)
            self._exchange(_Loaded(version, process, resources.pop_all()))

    def score(self, images: Sequence[Cell], threshold: float | None) -> tuple[ModelVersion, list[Answer]]:
        """The version that answered, and an answer per image.

        Raises:
            ServiceError: no model is loaded.
            TrackingError: the process of the model has died; another one is started.
        """
        with self._turn:
            loaded = self._loaded
            if loaded is None:
                raise ServiceError("Expected a loaded model, but there is none: ask again when /ready says so.")
            try:
                return loaded.version, loaded.process.score(images, threshold, self._uncertain)
            except PneumoError:
                self._loaded = None
                self._wake.set()
                loaded.resources.close()
                raise

    def follow(self, seconds: float, tell: Callable[[str], None]) -> None:
        """Update now and every so many seconds until `close`, and tell of each new version and each new problem."""
        while not self._closed:
            self._try_update(tell)
            self._wake.wait(seconds)
            self._wake.clear()

    def close(self) -> None:
        """End the process and whoever follows; a version that is being loaded meanwhile is ended, too."""
        self._closed = True
        self._wake.set()
        self._exchange(None)

    def _try_update(self, tell: Callable[[str], None]) -> None:
        before, known = self.version, self.problem
        try:
            self.update()
            self.problem = ""
        except (PneumoError, OSError) as error:  # a full disk or too many open files must not end the following
            self.problem = str(error)
            if self.problem != known:
                tell(self.problem)
        if self.version is not None and self.version != before:
            tell(f"{self.version.name} version {self.version.version} answers now")
            if self.note:
                tell(self.note)

    def _exchange(self, after: _Loaded | None) -> None:
        with self._turn:
            kept = None if self._closed else after
            over = [loaded for loaded in (self._loaded, after) if loaded and loaded is not kept]
            self._loaded = kept
        for loaded in over:
            loaded.resources.close()
