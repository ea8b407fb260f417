"""Log a serving bundle as a model that MLflow can load anywhere: the code beside the weights, nothing pickled."""

import base64
import io
import json
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pneumo.data.store.decode import decode
from pneumo.errors import TrackingError
from pneumo.records.base import IMAGE, Cell
from pneumo.tracking.connection import as_tracking_errors, pages
from pneumo.tracking.models import package
from pneumo.tracking.system import installed

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

PACKAGE = Path(__file__).parents[2]
SPEC = "serving.json"
MODEL_FILE = PACKAGE / "serving" / "bundle" / "pyfunc_model.py"
# The code that is kept with a model: what its pyfunc imports, and no more, since every file is one upload and download.
CODE = (
    *("__init__.py", "errors.py", "settings", "records", "tracking"),
    *("data/__init__.py", "data/files.py", "data/parallel.py"),
    *("data/store/__init__.py", "data/store/decode.py"),
    *("data/dicom/acquisition.py", "data/dicom/__init__.py"),
    *("data/dicom/frames.py", "data/gray_levels.py", "data/dicom/modality_body_part_view.py"),
    *("serving/__init__.py", "serving/bundle"),
)
# Packages that pneumo.serving needs, given by name; otherwise MLflow would run the model to find out.
REQUIREMENTS = (
    "mlflow", "tensorflow", "tensorflow-cpu", "keras", "numpy", "pandas", "scipy", "pillow", "pydicom", "python-gdcm",
    "pydantic", "pydantic-settings",
)  # fmt: skip


class Bundles:
    """Logging of models to one MLflow server."""

    def __init__(self, client: "MlflowClient", uri: str) -> None:
        self.client, self.uri = client, uri

    @as_tracking_errors
    def log(self, run_id: str, bundle: Path, name: str, example: Cell, model_file: Path = MODEL_FILE) -> str:
        """Log a bundle as a model of a run; returns "models:/m-...".

        Args:
            run_id: the run to which it is logged.
            bundle: folder with serving.json and the weights.
            name: of the model in its run, such as the backbone's.
            example: the input example: an image file, its bytes, or an embedding. Of an image only the pixels that the
                network sees are logged, as a PNG, because a file's header can name the patient.
            model_file: the code that MLflow runs.
        """
        from mlflow.entities import LoggedModelOutput

        experiment = self.client.get_run(run_id).info.experiment_id
        logged = self.client.create_logged_model(experiment, _plain(name), run_id, model_type="classifier")
        status: Any = "FAILED"
        try:
            with tempfile.TemporaryDirectory(prefix="pneumo-") as folder:
                path = Path(folder) / "model"
                _save(path, run_id, logged, bundle, example, model_file)
                self.client.set_logged_model_tags(logged.model_id, {package.TAG: package.files_digest(path)})
                self.client.log_model_artifacts(logged.model_id, str(path))
            self.client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
            status = "READY"
        finally:
            self.client.finalize_logged_model(logged.model_id, status)
        return f"models:/{logged.model_id}"

    @as_tracking_errors
    def fail_pending(self, run_ids: Collection[str]) -> None:
        """Mark the models that these runs were logging when they died as failed."""
        if not run_ids:
            return
        experiments = sorted({self.client.get_run(run_id).info.experiment_id for run_id in run_ids})
        for model in pages(lambda token: self.client.search_logged_models(experiments, page_token=token)):
            if model.source_run_id in run_ids and model.status == "PENDING":
                self.client.finalize_logged_model(model.model_id, "FAILED")


def find_bundle(folder: Path) -> Path:
    """The bundle among a downloaded model's files.

    Raises:
        TrackingError: there is none, as in a model that other software registered.
    """
    found = sorted(folder.rglob(SPEC))
    if not found:
        raise TrackingError(f"Expected a model of pneumo, but it has no {SPEC}: choose another version.")
    return found[0].parent


def input_example(folder: Path) -> bytes:
    """The image with which a model was logged, from its downloaded files: a PNG, in older models any encoded image."""
    from mlflow.models import Model

    example: Any = Model.load(str(folder)).load_input_example(str(folder))
    cell = example[IMAGE][0]
    return base64.b64decode(cell) if isinstance(cell, str) else bytes(cell)


def requirements() -> list[str]:
    """The packages that the model needs, with their installed versions."""
    return [f"{name}=={version}" for name in REQUIREMENTS if (version := installed(name))]


def _save(path: Path, run_id: str, logged: Any, bundle: Path, example: Cell, model_file: Path) -> None:
    import pandas as pd
    from mlflow.models import Model
    from mlflow.pyfunc import save_model

    spec = json.loads((bundle / SPEC).read_bytes())
    column = spec.get("input", IMAGE)
    cell = example if isinstance(example, list) else _picture(example, spec)
    model = Model(
        artifact_path=logged.artifact_location, run_id=run_id, model_uuid=logged.model_id, model_id=logged.model_id
    )
    save_model(
        path,
        python_model=str(model_file),
        code_paths=[str(_code(path.with_name(PACKAGE.name)))],
        artifacts={"bundle": str(bundle)},
        signature=_signature(column, spec["threshold"], bool(spec.get("conformal"))),
        input_example=pd.DataFrame({column: [cell]}),
        pip_requirements=requirements(),
        mlflow_model=model,
    )


def _picture(image: Path | bytes, spec: dict[str, Any]) -> bytes:
    """A PNG of the pixels that the network sees of an image, without anything else in its file."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(decode(image, spec["size"], spec["fit"], "the input example")).save(file, "PNG")
    return file.getvalue()


def _code(target: Path) -> Path:
    for name in CODE:
        if (part := PACKAGE / name).is_dir():
            shutil.copytree(part, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(part, target / name)
    return target


def _signature(column: str, threshold: float, tells_uncertain: bool) -> "ModelSignature":
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
    from mlflow.types.schema import AnyType

    # Neither binary nor a list of numbers: MLflow would refuse the whole table for one text that is no base64, or for
    # one bad list. The model itself gives that row an error.
    kind = AnyType()  # type: ignore[no-untyped-call]
    output: list[ColSpec | TensorSpec] = [
        ColSpec(DataType.double, "probability"),
        ColSpec(DataType.string, "label", required=False),
        ColSpec(DataType.string, "error", required=False),
        ColSpec(DataType.boolean, "out_of_distribution"),
    ]
    params = [ParamSpec("threshold", DataType.double, threshold)]
    params += [ParamSpec("uncertain", DataType.boolean, False)] if tells_uncertain else []
    return ModelSignature(
        inputs=Schema([ColSpec(kind, column)]),
        outputs=Schema(output),
        params=ParamSchema(params),
    )


def _plain(name: str) -> str:
    """A model's name without the characters that MLflow refuses."""
    return "".join("-" if sign in "/:.\"%'" else sign for sign in name)
