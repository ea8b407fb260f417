"""A separate program: loads a registered model as any user would, and scores images for the process that started it.

It is run by path and imports nothing of this package, so the only pneumo that it can import is the code in the model.
Its argument is the folder with the model's files; it needs no address and no login. When the model is loaded it writes
a line of JSON, {example: probabilities of the input example, from_model, input: the column that it takes, uncertain:
whether it can say so}, and then one for each line that it reads:
{cells: [{path} or {data: base64} or {vector}], threshold or null, uncertain} ->
[{probability, label, error, out_of_distribution}, ...].
"""

import base64
import json
import math
import os
import sys
from pathlib import Path
from typing import Any, TextIO


def main() -> None:
    """Load the model, then answer until the input ends."""
    # What libraries print must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    (folder,) = sys.argv[1:]
    model = load(folder)
    code = str(getattr(sys.modules.get("pneumo"), "__file__", ""))
    example = [] if model.input_example is None else model.predict(model.input_example)["probability"].tolist()
    schema = model.metadata.get_input_schema()
    column = schema.input_names()[0] if schema else "image"
    known = model.metadata.get_params_schema()
    tells = known is not None and "uncertain" in (param.name for param in known.params)
    loaded = {"example": example, "from_model": code.startswith(folder), "input": column, "uncertain": tells}
    _tell(answers, loaded)
    for line in sys.stdin:
        _tell(answers, score(model, json.loads(line), column))


def _tell(pipe: TextIO, answer: Any) -> None:
    """Write an answer as one line; the process that started this program waits for it."""
    pipe.write(json.dumps(answer) + "\n")
    pipe.flush()


def load(folder: str) -> Any:
    """Load the model in a folder."""
    from mlflow.pyfunc import load_model

    return load_model(folder)


def score(model: Any, request: dict[str, Any], column: str) -> list[dict[str, Any]]:
    """A row for each cell; an unreadable one has an error and no probability."""
    import pandas as pd

    if not request["cells"]:
        return []
    cells = [read(cell) for cell in request["cells"]]
    given = {"threshold": request["threshold"], "uncertain": request["uncertain"] or None}
    params = {name: value for name, value in given.items() if value is not None} or None
    table = model.predict(pd.DataFrame({column: pd.Series(cells, dtype=object)}), params=params)
    return [{name: _plain(value) for name, value in row.items()} for row in table.to_dict("records")]


def read(cell: dict[str, Any]) -> Any:
    """A cell of a request in the form that the model takes."""
    if "vector" in cell:
        return cell["vector"]
    return Path(cell["path"]) if "path" in cell else base64.b64decode(cell["data"])


def _plain(value: Any) -> Any:
    """A value as JSON has it: None for NaN."""
    return None if isinstance(value, float) and math.isnan(value) else value


if __name__ == "__main__":
    main()
