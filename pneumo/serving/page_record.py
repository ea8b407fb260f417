"""What the web page keeps of its answers: a row of the log of answers, and for the reader what feedback refers to."""

import html
from collections.abc import Callable
from pathlib import Path

from pneumo.data.privacy.pseudonyms import patient_secret
from pneumo.serving import answer_log
from pneumo.serving.answer_log import AnswerLog, keyed
from pneumo.serving.fresh_process.client import Answer
from pneumo.tracking import ModelVersion

Keep = Callable[[str, Answer, float], str]


def page_record(home: Path, version: ModelVersion) -> Keep:
    """A function that logs a version's answer to an image, given its sha256, the answer and the seconds that it took.

    It gives the keyed hash as HTML. If the disk is full, the answer is shown all the same, and the HTML says that
    it was not kept.
    """
    secret = patient_secret(home)
    log = AnswerLog(home, secret, answer_log.APP)

    def keep(digest: str, answer: Answer, seconds: float) -> str:
        try:
            log.add(version, [digest], [answer], seconds)
        except OSError as error:
            folder = html.escape(str(home / answer_log.FOLDER))
            return f"<p>This answer is not kept in {folder}: {html.escape(str(error.strerror))}.</p>"
        return f"<p>For feedback this image is <code>{keyed(digest, secret)}</code></p>"

    return keep
