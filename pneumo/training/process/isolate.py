"""One process for each training: its memory is freed, and a crash does not touch the others."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from pneumo import errors
from pneumo.errors import PneumoError, TrainingError, TrainingKilledError
from pneumo.records.model import Candidate
from pneumo.training.process.job import Job
from pneumo.training.process.progress import Follower, OnProgress

POLL = 0.3  # seconds
LAST_LINES = 12
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONUNBUFFERED": "1", "TF_DETERMINISTIC_OPS": "1"}


def run(job: Job, on_progress: OnProgress, threads: int | None = None) -> Candidate:
    """Do a job in a process of its own, which ends when this one does.

    Args:
        threads: number that the child uses; by default all cores. The same number gives the same weights bit by bit.

    Raises:
        PneumoError: the child's own error, or a TrainingError that says how it died, with its last log lines.
    """
    log = job.home / "logs" / f"train-{job.key}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pneumo-train-") as scratch, log.open("ab") as output:
        folder = Path(scratch)
        (folder / "job.json").write_text(job.model_dump_json(), encoding="utf-8")
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "pneumo.training", str(folder)],
            env={**os.environ, **QUIET, **_threads(threads)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            follower = Follower(folder / "progress.jsonl")
            while process.poll() is None:
                _forward(follower, on_progress)
                time.sleep(POLL)
            _forward(follower, on_progress)
        finally:
            stop(process)
        return _result(job, folder, process.returncode, log)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Kill a child and all processes that it started; no error if it has ended."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)  # it has a checkpoint, so nothing is gained by asking it to end first
        process.wait()


def die_with_parent(parent: int) -> None:
    """End this process as soon as its parent is gone. It polls, which works on any system."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _forward(follower: Follower, on_progress: OnProgress) -> None:
    for event in follower.new():
        on_progress(event)


def _threads(threads: int | None) -> dict[str, str]:
    if threads is None:
        return {}
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return dict.fromkeys(names, str(threads))


def _result(job: Job, folder: Path, code: int, log: Path) -> Candidate:
    result = folder / "result.json"
    if not result.is_file():
        raise (TrainingKilledError if code < 0 else TrainingError)(_death_message(job.name, code, log))
    answer = json.loads(result.read_text(encoding="utf-8"))
    if "error" in answer:
        kind = getattr(errors, answer["error"], TrainingError)
        raise (kind if issubclass(kind, PneumoError) else TrainingError)(answer["message"])
    return Candidate.model_validate(answer)


def _death_message(name: str, code: int, log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
    if code == -signal.SIGKILL:
        how = "was killed (SIGKILL), most likely because memory ran out: make batch_size or size smaller"
    elif code < 0:
        how = f"was ended by {signal.Signals(-code).name}: run again, it continues from its last checkpoint"
    else:
        how = f"ended with exit code {code}"
    return f"Training of {name} {how}; see {log}, which ends:\n" + "\n".join(lines)
