"""A clock that a test sets back: read by every Python process whose PYTHONPATH has this folder.

Only what dates answers, feedback, decisions and figures is set back: servers, workers and claims of runs go by the
machine's clock, as everything else does that they are compared with.
"""

import datetime
import importlib.abc
import importlib.machinery
import os
import sys
from pathlib import Path
from types import ModuleType

BACK = "MONTH_SECONDS_BACK"  # names the file that says by how much
DATED = (
    "pneumo.serving.",
    "pneumo.registry.",
    "pneumo.monitoring.",
    "pneumo.cli.answers_and_feedback",
    "tasks.watch_answers",
)
REAL = datetime.datetime


class _AnyMoment(type):
    def __instancecheck__(cls, found: object) -> bool:
        return isinstance(found, REAL)


class SetBack(REAL, metaclass=_AnyMoment):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # type: ignore[override]
        return REAL.now(tz) - datetime.timedelta(seconds=float(Path(os.environ[BACK]).read_text()))


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a module as ever; what it has imported as `datetime` is then the clock that is set back."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        if getattr(module, "datetime", None) is REAL:
            module.datetime = SetBack  # type: ignore[attr-defined]


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):  # type: ignore[no-untyped-def]
        found = importlib.machinery.PathFinder.find_spec(name, path, target) if name.startswith(DATED) else None
        if found and isinstance(found.loader, importlib.machinery.SourceFileLoader):
            found.loader = _Loader(found.loader.name, found.loader.path)
        return found


if BACK in os.environ:
    sys.meta_path.insert(0, _Finder())
