"""Where trainings run: processes of this machine, or a Ray cluster; Prefect's task runners do the scheduling."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from prefect.futures import PrefectFuture, as_completed
from prefect.task_runners import TaskRunner

from pneumo.errors import TrainingError
from pneumo.operations.machine_share import share_machine
from pneumo.records.data import DatasetVersion, ImageStore
from pneumo.records.model import Candidate
from pneumo.settings import FILE_NAME, Settings, settings_file
from pneumo.settings.servers import Engine
from pneumo.training.candidates.spec import CandidateSpec
from pneumo.training.process import remote
from tasks import data, training

PROJECT = Path(__file__).parents[2]
# A machine of the cluster needs the code and the settings. What else lies in the project's folder may be images, tables
# of scores, backups or files of secrets.
CODE = ("pneumo", "tasks", "flows")
RETRIES = 3  # of a training whose machine was lost; each continues from its last checkpoint
Runner = TaskRunner[PrefectFuture[Any]]
Futures = dict[str, PrefectFuture[Candidate]]


def train_all(
    specs: Sequence[CandidateSpec], version: DatasetVersion, store: ImageStore, settings: Settings, parent_run: str
) -> tuple[list[Candidate], dict[str, str]]:
    """Train every backbone where the settings say; returns the candidates, and the reasons of those that failed.

    On this machine each is a thread of the flow that waits for a process (pneumo/training/process).

    Raises:
        TrainingError: all failed.
    """
    if not settings.engine.elsewhere:
        at_once, threads = share_machine(len(specs), specs[0].size, settings.engine.at_once)
        known = (version, store, settings.home, parent_run, threads)
        futures: Futures = {}
        running: set[PrefectFuture[Candidate]] = set()
        for spec in specs:
            if len(running) == at_once:
                running.remove(next(as_completed(list(running))))
            futures[spec.name] = training.train.submit(spec, *known)
            running.add(futures[spec.name])
        return _settled(futures)
    data.share(version, settings.data)
    names = {"digest": version.digest, "fit": store.fit, "parent_run": parent_run}
    with _cluster(settings.engine) as runner:
        futures = {spec.name: runner.submit(training.train_elsewhere, {"spec": spec, **names}) for spec in specs}
        candidates, failures = _settled(futures)
    return [remote.fetch_candidate(candidate, settings) for candidate in candidates], failures


@contextmanager
def _cluster(engine: Engine) -> Iterator[Runner]:
    """The task runner of a Ray cluster; each task gets the share of a machine that the settings declare."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # before Ray is imported
    from prefect_ray import RayTaskRunner
    from prefect_ray.context import remote_options

    memory = int(engine.memory_gib * 2**30)
    share = remote_options(num_cpus=engine.cpus, num_gpus=engine.gpus, memory=memory, max_retries=RETRIES)
    with tempfile.TemporaryDirectory(prefix="pneumo-") as folder:
        # An installed package is on every machine of the cluster; a source tree travels with the run.
        code = {"working_dir": copied_code(PROJECT, folder)} if (PROJECT / "pyproject.toml").is_file() else {}
        with share, RayTaskRunner(engine.address, {"runtime_env": code, "logging_level": "WARNING"}) as runner:
            yield cast(Runner, runner)


def copied_code(project: Path, folder: str) -> str:
    """Copy the code of the project's folder and the settings in force, and nothing else, to an empty folder."""
    for name in CODE:
        if (project / name).is_dir():
            shutil.copytree(project / name, Path(folder) / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(settings_file(), Path(folder) / FILE_NAME)  # also if it has another name or place here
    return folder


def _settled(futures: Futures) -> tuple[list[Candidate], dict[str, str]]:
    candidates: list[Candidate] = []
    failures: dict[str, str] = {}
    for name, future in futures.items():
        future.wait()
        result = future.state.result(raise_on_failure=False)
        if isinstance(result, Candidate):
            candidates.append(result)
        else:
            failures[name] = next(iter(str(result).splitlines()), type(result).__name__)  # some errors have no words
    if not candidates:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in failures.items())
        raise TrainingError(f"Expected at least one trained backbone, but all {len(failures)} failed: {reasons}")
    return candidates, failures
