"""Local processes that outlive the command that starts them, and are found again by a pid file."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from pneumo.data.files import write_whole
from pneumo.errors import ServiceError

# Seconds by which start times may differ: they depend on the boot time, which moves when the clock is set.
CLOCK_STEP = 30.0
MARK = "PNEUMO_SERVICE"


def start(name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path, cwd: Path) -> psutil.Process:
    """Start a process in its own session, its output in `<folder>/<name>.log` and its identity in `<name>.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    with _ctrl_c_afterwards(), (folder / f"{name}.log").open("ab") as log:
        child = subprocess.Popen(  # noqa: S603 - our own commands
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**environment, MARK: str(_record(folder, name))},
            cwd=cwd,
            start_new_session=True,
            preexec_fn=_default_signals,
        )
        process = psutil.Process(child.pid)
        record = {"pid": process.pid, "created": process.create_time()}
        write_whole(_record(folder, name), json.dumps(record).encode())
    return process


def find(folder: Path, name: str) -> psutil.Process | None:
    """The process that `start` recorded under this name, not another one with its pid; None if it has ended."""
    try:
        record = json.loads(_record(folder, name).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return psutil.Process(record["pid"]) if alive(record["pid"], record["created"]) else None


def alive(pid: int, created: float) -> bool:
    """Whether the process with this pid and start time still runs."""
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - created) < CLOCK_STEP and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def stop(folder: Path, name: str, patience: float = 15) -> bool:
    """Terminate a process and all its descendants, by force after `patience` seconds; True if any was running."""
    process, family = find(folder, name), descended(folder, name)
    if process is not None:
        _signal(process, signal.SIGTERM)
        _, family = psutil.wait_procs(family, timeout=patience)
    for survivor in family:
        _signal(survivor, signal.SIGKILL)
    psutil.wait_procs(family, timeout=5)
    _record(folder, name).unlink(missing_ok=True)
    return process is not None or bool(family)


def descended(folder: Path, name: str) -> list[psutil.Process]:
    """A started process and all its descendants, even if it was killed itself or was never recorded.

    They are found by an environment variable that each inherits from the first.
    """
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):  # another user's, or gone meanwhile
            if process.environ().get(MARK) == str(_record(folder, name)) and process.pid != os.getpid():
                found.append(process)
    return found


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """Delay Ctrl-C until after the block, so that what the block begins can be undone."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def kill_children() -> None:
    """Kill every child of this process, so that threads that wait for one of them end."""
    for child in psutil.Process().children(recursive=True):
        _signal(child, signal.SIGKILL)


def require_free_port(host: str, port: int, what: str, setting: str) -> None:
    """Check that no other program listens at a port.

    Raises:
        ServiceError: names the port, who has it if that can be seen, and the setting to change.
    """
    import socket

    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex((host, port)) != 0:
            return
    variable = f"PNEUMO_{setting.upper().replace('.', '__')}"
    raise ServiceError(
        f"Expected port {port} on {host} to be free for {what}, but {_owner(port)} listens there: "
        f"stop it, or set {setting} in mlflow.yaml or {variable} to another port."
    )


def wait_until_healthy(
    process: psutil.Process, name: str, healthy: Callable[[], bool], log: Path, patience: float = 600
) -> None:
    """Wait until `healthy()` is true.

    Raises:
        ServiceError: the process died or did not answer in `patience` seconds; the message ends with its log.
    """
    deadline = time.monotonic() + patience
    while not healthy():
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            raise ServiceError(f"Expected {name} to start, but it died; its log {log} ends with: {last_words(log)}")
        if time.monotonic() > deadline:
            raise ServiceError(f"Expected {name} to answer within {patience:.0f} s, but it did not; see its log {log}.")
        time.sleep(0.2)


def last_words(log: Path, lines: int = 3) -> str:
    """The last lines of a log, joined to one."""
    return " | ".join(log.read_text(errors="replace").strip().splitlines()[-lines:]) if log.is_file() else "(no log)"


def _record(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"


def _owner(port: int) -> str:
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
                return (
                    f"{psutil.Process(connection.pid).name()} (pid {connection.pid})" if connection.pid else "a program"
                )
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        pass  # another user's process, whose name this user may not see
    return "another program"


def _signal(process: psutil.Process, number: int) -> None:
    with suppress(psutil.NoSuchProcess):  # it may have ended by itself meanwhile
        process.send_signal(number)


@contextmanager
def _ctrl_c_afterwards() -> Iterator[None]:
    """Raise what Ctrl-C asks for at the end: Python drops it where it meets a library's hook on forks."""
    usual, asked = signal.getsignal(signal.SIGINT), []
    if not callable(usual) or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: asked.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
    if asked:
        raise KeyboardInterrupt


def _default_signals() -> None:
    # A background shell passes SIGINT on as ignored, and then Prefect's worker would ignore SIGTERM, too.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.umask(0o077)
