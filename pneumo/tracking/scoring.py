"""Ask a registered model in a fresh process: what a user will get, not what this process has in memory."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pneumo.errors import TrackingError
from pneumo.stages import Record
from pneumo.tracking.connection import configure

PROGRAM = Path(__file__).with_name("fresh.py")
LIMIT_SECONDS = 1800


class Answers(Record):
    """What a registered model said; `from_model`: it ran the code kept with it, not that of this installation."""

    probabilities: tuple[float, ...]
    errors: tuple[str | None, ...]
    example: tuple[float, ...]
    from_model: bool


def ask(uri: str, model_uri: str, files: Sequence[Path] = ()) -> Answers:
    """Load "models:/name/version" in a new process and score its input example and some image files.

    Raises:
        TrackingError: the model cannot be loaded or fails; the message ends with the process's last line.
    """
    configure()
    with tempfile.TemporaryDirectory(prefix="pneumo-") as folder:
        request, answer = Path(folder) / "request.json", Path(folder) / "answer.json"
        request.write_text(_request(uri, model_uri, files, answer), encoding="utf-8")
        # -P: the program's own folder holds files named like packages. The folder's pneumo must not be found either.
        command = [sys.executable, "-P", str(PROGRAM), str(request)]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        try:
            ended = subprocess.run(  # noqa: S603
                command, cwd=folder, env=environment, capture_output=True, timeout=LIMIT_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise TrackingError(f"{model_uri} did not answer within {LIMIT_SECONDS} s in a fresh process.") from None
        if ended.returncode or not answer.is_file():
            raise TrackingError(f"{model_uri} cannot be used in a fresh process: {_last_line(ended)}")
        return Answers.model_validate_json(answer.read_bytes())


def _request(uri: str, model_uri: str, files: Sequence[Path], answer: Path) -> str:
    import json

    paths = [str(file.absolute()) for file in files]
    return json.dumps({"uri": uri, "model": model_uri, "files": paths, "answer": str(answer)})


def _last_line(ended: "subprocess.CompletedProcess[bytes]") -> str:
    lines = ended.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"it ended with status {ended.returncode}"
