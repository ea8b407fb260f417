"""A bundle and a model file just real enough for MLflow: the 'network' is one number in serving.json."""

import json
from pathlib import Path

import pytest

from pneumo.tracking import Tracker

MODEL_FILE = """
import json
from pathlib import Path

import pandas as pd

from pneumo.tracking.pyfunc import PythonModel, set_model


class Constant(PythonModel):
    def load_context(self, context):
        self.spec = json.loads((Path(context.artifacts["bundle"]) / "serving.json").read_text())

    def predict(self, context, model_input, params=None):
        cells = model_input["image"].tolist()
        value, threshold = self.spec["value"], params["threshold"]
        return pd.DataFrame(
            {
                "probability": [value if cell else float("nan") for cell in cells],
                "label": ["PNEUMONIA" if value >= threshold else "NORMAL" for _ in cells],
                "error": [None if cell else "empty" for cell in cells],
                "out_of_distribution": [False for _ in cells],
            }
        )


set_model(Constant())
"""


@pytest.fixture(scope="session")
def tracker(mlflow_server: str) -> Tracker:
    return Tracker(mlflow_server, "tests")


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("code") / "model.py"
    path.write_text(MODEL_FILE)
    return path


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    (folder / "serving.json").write_text(json.dumps({"value": 0.7, "threshold": 0.4, "size": 8, "fit": "squash"}))
    (folder / "weights.bin").write_bytes(bytes(range(256)))
    return folder
