"""A check's outcome."""

from typing import Literal

from pneumo.records.base import Record

State = Literal["ok", "warning", "failed"]


class Row(Record):
    """What was looked at, its state, what was found, what to do."""

    what: str = ""
    state: State = "ok"
    found: str
    advice: str = ""
