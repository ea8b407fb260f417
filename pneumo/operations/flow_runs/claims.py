"""Which process runs a flow run: a claim file in the state folder, touched every half minute."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
from pydantic import ValidationError

from pneumo.data.files import write_whole
from pneumo.errors import TrackingError
from pneumo.operations import processes
from pneumo.records.base import Record

BEAT = 30.0  # seconds between two touches, for machines that cannot see the process
SILENCE = 300.0  # seconds without one after which a process on another machine may be gone


class Process(Record):
    """The process of a flow run; `created` distinguishes it from a later one with the same pid.

    `attempt` counts the starts of the flow run, so that a dead process is not taken for one that runs it again.
    """

    pid: int
    created: float
    host: str
    attempt: int = 1


@contextmanager
def claimed(home: Path, flow_run_id: str, attempt: int = 1) -> Iterator[None]:
    """Claim a flow run for this process during the block, so that others can tell whether the process is dead.

    The claim stays if MLflow could not be told how the run ended; then `reconcile` does it.
    """
    claim(home, flow_run_id, attempt)
    over = threading.Event()
    threading.Thread(target=_beat, args=(_file(home, flow_run_id), over), daemon=True).start()
    with ExitStack() as beating, ExitStack() as note:
        beating.callback(over.set)
        note.callback(release, home, flow_run_id)
        try:
            yield
        except TrackingError:
            note.pop_all()
            raise


def claim(home: Path, flow_run_id: str, attempt: int = 1) -> None:
    """Write the claim of this process on a flow run, at its `attempt`th start."""
    born, host = psutil.Process().create_time(), socket.gethostname()
    me = Process(pid=os.getpid(), created=born, host=host, attempt=attempt)
    write_whole(_file(home, flow_run_id), me.model_dump_json().encode())


def release(home: Path, flow_run_id: str) -> None:
    """Remove the claim, because the flow run has ended by itself."""
    _file(home, flow_run_id).unlink(missing_ok=True)


def dead(home: Path) -> list[str]:
    """Flow runs that were claimed by a process of this machine that is gone."""
    return [file.parent.name for file in _files(home) if _is_dead(file)]


def attempt_of(home: Path, flow_run_id: str) -> int | None:
    """Which attempt at a flow run was claimed here; None without a readable claim."""
    process = _read(_file(home, flow_run_id))
    return process.attempt if process else None


def claimed_runs(home: Path) -> set[str]:
    """All flow runs that were claimed by any machine that shares the state folder."""
    return {file.parent.name for file in _files(home)}


def living(home: Path) -> set[str]:
    """Claimed flow runs whose process runs here, or on another machine has touched its claim lately."""
    return {file.parent.name for file in _files(home) if _may_live(file)}


def _files(home: Path) -> list[Path]:
    return sorted(home.glob("runs/*/process.json"))


def _is_dead(file: Path) -> bool:
    """Whether a claim is of this machine and its process is gone; an unreadable claim proves nothing."""
    process = _read(file)
    return process is not None and process.host == socket.gethostname() and not _runs(process)


def _may_live(file: Path) -> bool:
    """Whether a claim's process runs here, or on another machine has touched it lately."""
    process = _read(file)
    if process is not None and process.host == socket.gethostname():
        return _runs(process)
    with suppress(FileNotFoundError):
        return time.time() - file.stat().st_mtime < SILENCE
    return False


def _read(file: Path) -> Process | None:
    """Content of a claim; None if it is damaged or was just removed."""
    with suppress(FileNotFoundError, ValidationError):
        return Process.model_validate_json(file.read_bytes())
    return None


def _runs(process: Process) -> bool:
    return processes.alive(process.pid, process.created)


def _beat(file: Path, over: threading.Event) -> None:
    while not over.wait(BEAT):
        with suppress(FileNotFoundError):  # just released
            os.utime(file)


def _file(home: Path, flow_run_id: str) -> Path:
    return home / "runs" / flow_run_id / "process.json"
