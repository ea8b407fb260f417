"""The training process: `python -m pneumo.training FOLDER` reads job.json of the folder and writes result.json."""

import json
import os
import sys
from pathlib import Path

from pydantic import TypeAdapter

from pneumo.errors import PneumoError
from pneumo.training.process.isolate import die_with_parent
from pneumo.training.process.job import AnyJob
from pneumo.training.process.perform import perform
from pneumo.training.process.progress import write_to

JOB: TypeAdapter[AnyJob] = TypeAdapter(AnyJob)


def main(folder: Path) -> None:
    """Do a job. A PneumoError is written to the result; any other error ends the process."""
    die_with_parent(os.getppid())
    job = JOB.validate_json((folder / "job.json").read_text(encoding="utf-8"))
    try:
        answer = perform(job, write_to(folder / "progress.jsonl")).model_dump(mode="json")
    except PneumoError as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    scratch = folder / "result.part"
    scratch.write_text(json.dumps(answer), encoding="utf-8")
    scratch.replace(folder / "result.json")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
