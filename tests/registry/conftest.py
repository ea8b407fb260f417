"""A world just real enough for promotion: image files, predictions, models that MLflow loads, a real registry.

A model here is a rule: brightness of the image plus noise of its own, so that better and worse ones are easy to make.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from pneumo.evaluation.measures import apply_operating, fit_operating, measure
from pneumo.evaluation.robustness.slices import measure_slices
from pneumo.records.data import DatasetVersion
from pneumo.records.decision import Decision, PolicyRow
from pneumo.records.model import Evaluation
from pneumo.registry.history import history
from pneumo.registry.promotion import comparison, load_check
from pneumo.registry.promotion.state_machine import promote
from pneumo.serving.fresh_process.client import Answer, Answers, Cell
from pneumo.settings import Settings
from pneumo.tracking import Tracker
from tests.registry.drawn_data import data_version, draw_data

MODEL_FILE = """
import base64
import hashlib
import io
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from pneumo.tracking.pyfunc import PythonModel, set_model


def logit(image, noise, seed):
    brightness = np.asarray(Image.open(io.BytesIO(image))).mean()
    number = int(hashlib.sha256(image + str(seed).encode()).hexdigest()[:8], 16)
    return (brightness - 128) / 16 + noise * np.random.default_rng(number).normal()


def content(cell):
    if isinstance(cell, Path):
        return cell.read_bytes()
    return base64.b64decode(cell) if isinstance(cell, str) else cell


class Rule(PythonModel):
    def load_context(self, context):
        self.spec = json.loads((Path(context.artifacts["bundle"]) / "serving.json").read_text())

    def predict(self, context, model_input, params=None):
        spec = self.spec
        images = [content(cell) for cell in model_input["image"]]
        logits = [logit(image, spec["noise"], spec["seed"]) + spec["shift"] for image in images]
        values = [1 / (1 + math.exp(-(value + spec["offset"]) / spec["temperature"])) for value in logits]
        labels = ["PNEUMONIA" if value >= params["threshold"] else "NORMAL" for value in values]
        return pd.DataFrame({"probability": values, "label": labels, "error": None, "out_of_distribution": False})


set_model(Rule())
"""


@dataclass
class World:
    """A data set and a registry of its own name."""

    folder: Path
    settings: Settings
    version: DatasetVersion
    model_file: Path
    tracker: Tracker
    parent: str
    made: dict[str, Evaluation] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.settings.home

    @property
    def name(self) -> str:
        return self.settings.model_name(self.version.synthetic)

    def promote(self, *evaluations: Evaluation, **changes: Any) -> Decision:
        return promote(list(evaluations), self.version, self.settings, self.home, self.parent, **changes)

    def policy(self, **promotion: Any) -> None:
        changed = self.settings.promotion.model_copy(update=promotion)
        self.settings = self.settings.model_copy(update={"promotion": changed})

    def aliases(self) -> dict[str, str | None]:
        return {
            alias: self.tracker.registry.alias(self.name, alias) for alias in ("champion", "challenger", "previous")
        }

    def moves(self) -> list[tuple[str, str, bool]]:
        """Action, version and effect of every history entry but the looks."""
        return [(row.action, row.version, row.took_effect) for row in history(self.settings) if row.action != "look"]

    @staticmethod
    def data_version(root: Path, rows: pd.DataFrame) -> DatasetVersion:
        return data_version(root, rows)

    def grow(self, images: int) -> None:
        """More images have come in; those of before keep their split."""
        self.version = draw_data(self.version.root, images)

    @staticmethod
    def row(decision: Decision, name: str) -> PolicyRow:
        return next(item for item in decision.rows if item.name == name)

    def candidate(self, name: str, noise: float, seed: int = 0, shift: float = 0.0) -> Evaluation:
        """A logged candidate; less noise is a better model. `shift` spoils what is served, not the predictions."""
        folder = self.folder / "candidates" / f"{name}-{noise}-{seed}-{shift}-{self.version.digest[:8]}"
        (folder / "bundle").mkdir(parents=True)
        rows = self._predict(noise, seed)
        rows.to_parquet(folder / "predictions.parquet")
        (folder / "figures").mkdir()
        for figure in ("roc", "reliability"):
            Image.new("L", (8, 8)).save(folder / "figures" / f"{figure}.png")
        validation = rows[rows["split"] == "validation"]
        operating = fit_operating(validation, None, 0.95)
        weights = hashlib.sha256(f"{noise} {seed} {shift}".encode()).hexdigest()
        spec = {"noise": noise, "seed": seed, "shift": shift, "size": 8, "fit": "squash", "model_sha256": weights}
        spec |= operating._asdict()
        (folder / "bundle" / "serving.json").write_text(json.dumps(spec))
        test = apply_operating(rows[rows["split"] == "test"], operating)
        measures = measure(test, operating.temperature)
        run_id = self.tracker.runs.start(name, parent=self.parent)
        example = self.version.root / str(test["path"].iloc[0])
        auc = float(measures.intervals["auc"].value)
        return Evaluation(
            name=name,
            key=hashlib.sha256(folder.name.encode()).hexdigest()[:16],
            run_id=run_id,
            model_uri=self.tracker.bundles.log(run_id, folder / "bundle", name, example, self.model_file),
            bundle=folder / "bundle",
            predictions=folder / "predictions.parquet",
            minutes=0.0,
            threshold=operating.threshold,
            temperature=operating.temperature,
            offset=operating.offset,
            selection_score=-noise,
            validation_auc=auc,
            test_auc=measures.intervals["auc"],
            sensitivity=measures.intervals["sensitivity"],
            specificity=measures.intervals["specificity"],
            metrics={f"test_{key}": value for key, value in measures.flat().items()}
            | {"latency_ms": 5.0, "model_mb": 0.1, "shortcut_border_alone_auc": 0.52},
            slices=measure_slices(test),
        )

    def _predict(self, noise: float, seed: int) -> pd.DataFrame:
        rule: dict[str, Callable[[bytes, float, int], float]] = {}
        exec(MODEL_FILE.split("class Rule")[0].replace("from pneumo.tracking.pyfunc", "#"), rule)
        manifest = pd.read_parquet(self.version.manifest)
        rows = manifest[manifest["split"] != "train"].copy()
        images = [(self.version.root / path).read_bytes() for path in rows["path"]]
        rows["logit"] = [rule["logit"](image, noise, seed) for image in images]
        return rows.reset_index(drop=True)


def in_this_process(tracker: Tracker, model_uri: str, cells: Sequence[Cell] = ()) -> Answers:
    """What `ask` does, without the seconds that a process of its own takes."""
    model = tracker.files.load_pyfunc(model_uri)
    example = model.predict(model.input_example)["probability"].tolist()
    column = model.metadata.get_input_schema().input_names()[0]
    table = model.predict(pd.DataFrame({column: pd.Series(list(cells), dtype=object)}))
    rows = tuple(Answer(**row) for row in table.to_dict("records"))
    return Answers(rows=rows, example=tuple(example), from_model=True)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of something else than the fresh process."""
    monkeypatch.setattr(load_check, "ask", in_this_process)
    monkeypatch.setattr(comparison, "ask", in_this_process)


@pytest.fixture(scope="session")
def tracker(mlflow_server: str, tmp_path_factory: pytest.TempPathFactory) -> Tracker:
    """An experiment whose files the client itself writes to disk: hundreds of them, in a tenth of the time."""
    artifacts = tmp_path_factory.mktemp("artifacts")  # each package that takes this fixture has one of its own
    found = Tracker(mlflow_server, f"registry {artifacts.name}")
    found.client.create_experiment(f"registry {artifacts.name}", artifact_location=artifacts.as_uri())
    return found


@pytest.fixture
def world(tracker: Tracker, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    """A fresh registered model, home and data set; no champion yet."""
    label = (
        request.node.name.split("[")[0].replace("_", "-")[:80] + hashlib.sha256(str(tmp_path).encode()).hexdigest()[:6]
    )
    settings = Settings(
        home=tmp_path / "home",
        tracking={"uri": tracker.uri, "experiment": tracker.experiment},
        registry={"model": label, "phantom_model": f"{label}-phantom"},
        promotion={
            "minimum_auc": 0.6,
            "minimum_sensitivity": 0.5,
            "minimum_specificity": 0.1,
            "maximum_calibration_error": 0.4,
            "maximum_slice_drop": 0.5,
        },
    )
    model_file = tmp_path / "model.py"
    model_file.write_text(MODEL_FILE)
    version = draw_data(tmp_path / "images")
    yield World(tmp_path, settings, version, model_file, tracker, tracker.runs.start("pipeline"))
