"""What a service keeps: its answers, and what readers said of them."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from pneumo.errors import DataError, ServiceError
from pneumo.serving import answer_log
from pneumo.serving.answer_log import AnswerLog, keyed
from pneumo.serving.feedback import FOLDER, Feedback, FeedbackLog, Outcome
from pneumo.serving.fresh_process.client import Answer
from pneumo.tracking import ModelVersion

Tell = Callable[..., None]


class ServiceRecord:
    """The logs of a service. If the disk is full, an answer is given all the same, and the log says it was not kept."""

    def __init__(self, home: Path, secret: bytes, tell: Tell) -> None:
        """`tell`: writes a line of the service's log."""
        self._home, self._secret, self._tell = home, secret, tell
        self._answers, self._feedback = AnswerLog(home, secret, answer_log.HTTP), FeedbackLog(home, secret)
        try:
            answer_log.pack(home)
        except (OSError, DataError) as error:
            tell(f"the answers of earlier days are not packed: {error}")

    def keep(
        self, version: ModelVersion, images: Sequence[bytes], answers: Sequence[Answer], seconds: float
    ) -> list[str]:
        """Log the answers to images; gives the keyed hash of each, by which feedback on it is known."""
        unreadable = sum(answer.label is None for answer in answers)
        figures = {"version": version.version, "images": len(answers), "unreadable": unreadable}
        self._tell("answered", **figures, seconds=round(seconds, 4))
        digests = [hashlib.sha256(image).hexdigest() for image in images]
        try:
            self._answers.add(version, digests, answers, seconds)
        except OSError as error:
            self._tell(f"the answers are not kept in {self._home / answer_log.FOLDER}: {error.strerror}")
        return [keyed(digest, self._secret) for digest in digests]

    def take(self, given: Sequence[Feedback]) -> list[Outcome]:
        """Keep feedback; the outcome of each.

        Raises:
            ServiceError: the logs cannot be read or written; nothing of it is kept.
        """
        try:
            outcomes = self._feedback.add(given)
        except (OSError, DataError) as error:
            self._tell(f"the feedback is not kept in {self._home / FOLDER}: {error}")
            raise ServiceError("Expected to keep the feedback, but the disk refuses: see the service's log.") from None
        self._tell("feedback", kept=outcomes.count("kept"), images=len(outcomes))
        return outcomes
