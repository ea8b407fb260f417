"""Figures of the service for Prometheus; no identity of a patient or a client is in them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from pneumo.serving.fresh_process.client import Answer
from pneumo.serving.service.followed_model import FollowedModel
from pneumo.serving.service.shadow import Shadow
from pneumo.tracking import ModelVersion


class Metrics:
    """Counters of one service.

    Attributes:
        requests: answered requests by HTTP status.
        waiting_now: requests that are being read, wait for the model, or are scored.
    """

    media_type = CONTENT_TYPE_LATEST

    def __init__(self, model: FollowedModel, shadow: Shadow | None = None) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter("pneumo_requests", "Requests by HTTP status", ["status"], registry=self._registry)
        self._answers = Counter(
            "pneumo_answers", "Images by version and answer", ["version", "answer"], registry=self._registry
        )
        self._seconds = Histogram(
            "pneumo_scoring_seconds", "From body read to answer", registry=self._registry,
            buckets=(0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60),
        )  # fmt: skip
        self.waiting_now = 0
        for name, words, now in (
            ("pneumo_waiting_requests", "Requests not yet answered", lambda: self.waiting_now),
            ("pneumo_model_ready", "1: a model answers", lambda: model.version is not None),
            (
                "pneumo_model_behind",
                "1: the version that should answer does not, see /ready",
                lambda: bool(model.problem),
            ),
        ):
            Gauge(name, words, registry=self._registry).set_function(now)
        if shadow:
            self._show(shadow)

    @contextmanager
    def waiting_request(self) -> Iterator[None]:
        """Counts a request for the time of the block."""
        self.waiting_now += 1
        try:
            yield
        finally:
            self.waiting_now -= 1

    def add(self, version: ModelVersion, answers: Sequence[Answer], seconds: float) -> None:
        """Count what was answered."""
        self._seconds.observe(seconds)
        for answer in answers:
            self._answers.labels(version.version, kind(answer)).inc()

    def _show(self, shadow: Shadow) -> None:
        self._registry.register(shadow.images)
        ready = Gauge("pneumo_shadow_ready", "1: a shadow scores what was answered", registry=self._registry)
        ready.set_function(lambda: shadow.model.version is not None)
        behind = Gauge("pneumo_shadow_behind", "1: the shadow that should score does not", registry=self._registry)
        behind.set_function(lambda: bool(shadow.model.problem))

    def text(self) -> bytes:
        """All figures as they are now."""
        return generate_latest(self._registry)


def kind(answer: Answer) -> str:
    """What an answer counts as: PNEUMONIA, NORMAL, UNCERTAIN, out-of-distribution or unreadable."""
    if answer.label is None:
        return "unreadable"
    return "out-of-distribution" if answer.out_of_distribution else answer.label
