"""A program of its own: load a registered model as any user would, score images, write what it answered.

It is run by path and imports nothing of this package, so the only pneumo it can see is the code kept in the model.
Arguments: a JSON file {uri, model, files, answer}; the answer is JSON {probabilities, errors, example, code}.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

BATCH = 64


def main() -> None:
    """Read the request, answer it."""
    request = json.loads(Path(sys.argv[1]).read_text())
    with tempfile.TemporaryDirectory(prefix="pneumo-") as folder:
        answer = score(request, folder)
    Path(request["answer"]).write_text(json.dumps(answer))


def score(request: dict[str, Any], folder: str) -> dict[str, Any]:
    """Load "models:/name/version" and score files; an unreadable image has probability NaN and an error."""
    import mlflow

    mlflow.set_tracking_uri(request["uri"])
    model = mlflow.pyfunc.load_model(request["model"], dst_path=folder)
    example = model.predict(model.input_example)
    probabilities, errors = [], []
    for start in range(0, len(request["files"]), BATCH):
        rows = model.predict(_frame(request["files"][start : start + BATCH]))
        probabilities += rows["probability"].tolist()
        errors += [None if rows["error"].isna()[number] else str(rows["error"][number]) for number in range(len(rows))]
    code = str(sys.modules["pneumo"].__file__)
    return {
        "probabilities": probabilities,
        "errors": errors,
        "example": example["probability"].tolist(),
        "from_model": code.startswith(folder),
    }


def _frame(files: list[str]) -> Any:
    import pandas as pd

    return pd.DataFrame({"image": [Path(file).read_bytes() for file in files]})


if __name__ == "__main__":
    main()
