"""Outcome of a check."""

from typing import Literal

from pneumo.records.base import Record

State = Literal["ok", "warning", "failed"]


class Row(Record):
    """What was checked, its state, what was found, and what to do."""

    what: str = ""
    state: State = "ok"
    found: str
    advice: str = ""
