"""From trained candidates to a decision: evaluation, logging, registration, load-and-query, comparison with a champion.

Three backbones with random weights on 630 drawn test images (224 px): time does not depend on what they show. The
champion is there already, so that all of it is measured; MLflow is a real server on this machine.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from pneumo.records.data import DatasetVersion, ImageStore
from pneumo.records.model import Candidate, Evaluation

SIZE = 224
COUNTS = {"train": 1000, "validation": 768, "test": 630}
BACKBONES = ("MobileNetV2", "MobileNet", "MobileNetV3Small")
Row = dict[str, Any]


def rows() -> list[Row]:
    """One row per step; the last one is what a run waits for."""
    from pneumo.evaluation.evaluate import evaluate
    from pneumo.registry.promotion.state_machine import promote
    from pneumo.settings import Settings
    from pneumo.settings.promotion import Promotion
    from pneumo.tracking import Tracker

    with tempfile.TemporaryDirectory() as name, mlflow_server(Path(name) / "mlflow") as uri:
        folder, tracker = Path(name), Tracker(uri, "bench")
        version, store = draw(folder)
        settings = Settings(home=folder / "home", tracking={"uri": uri})
        lax = Promotion(
            minimum_auc=0, minimum_sensitivity=0, minimum_specificity=0, maximum_calibration_error=1,
            maximum_slice_drop=1, maximum_latency_ms=1e6,
        )  # fmt: skip
        settings = settings.model_copy(update={"promotion": lax})
        parent = tracker.runs.start("bench")
        example = next(version.root.iterdir())

        def evaluated(candidate: Candidate) -> tuple[Evaluation, float]:
            return timed(evaluate, candidate, version, store, lax, settings.home)

        def logged(found: Evaluation) -> tuple[Evaluation, float]:
            run_id = tracker.runs.start(found.name, parent)
            uri, seconds = timed(tracker.bundles.log, run_id, found.bundle, found.name, example)
            return found.model_copy(update={"run_id": run_id, "model_uri": uri}), seconds

        champion = logged(evaluated(train("MobileNetV2", 1, folder, version, store))[0])[0]
        assert promote([champion], version, settings, settings.home, parent).promoted
        candidates = [train(backbone, 0, folder, version, store) for backbone in BACKBONES]
        measured = [evaluated(candidate) for candidate in candidates]
        kept = [logged(found) for found, _ in measured]
        decision, deciding = timed(promote, [item for item, _ in kept], version, settings, settings.home, parent)
        assert len(decision.rows) == 10, decision.reason
    steps = [
        *(row(f"evaluate {found.name}", seconds) for found, seconds in measured),
        row("log three models", sum(seconds for _, seconds in kept), "code, weights and input example to MLflow"),
        row("decide and register", deciding, "load-and-query and the champion's 630 scores, each in a fresh process"),
    ]
    return [*steps, row("all", sum(item["value"] for item in steps), "three candidates, 630 test images")]


def draw(folder: Path) -> tuple[DatasetVersion, ImageStore]:
    """Images that are coarse noise, brighter with pneumonia; the test images also as JPEG files."""
    root, random, table = folder / "images", np.random.default_rng(0), []
    root.mkdir()
    pixels = np.zeros((sum(COUNTS.values()), SIZE, SIZE), np.uint8)
    for number, split in enumerate(np.repeat(list(COUNTS), list(COUNTS.values()))):
        sick, path = number % 4 != 0, f"{number:04d}.jpeg"
        coarse = random.integers(0, 200, (28, 28)) + 40 * sick
        image = Image.fromarray(coarse.clip(0, 255).astype(np.uint8)).resize((SIZE, SIZE))
        pixels[number] = np.asarray(image)
        if split == "test" or number == 0:
            image.save(root / path, quality=95)
        table.append({
            "path": path, "sha256": f"{number:064x}", "label": ("NORMAL", "PNEUMONIA")[sick],
            "subtype": ("bacteria", "virus")[number // 4 % 2] if sick else "none", "patient": f"p{number // 2}",
            "width": 1000 + number, "height": 1000, "mode": "L", "split": split,
            "mean": float(coarse.mean()), "std": float(coarse.std()), "border": float(coarse[0].mean()),
        })  # fmt: skip
    pd.DataFrame(table).to_parquet(folder / "manifest.parquet")
    np.save(folder / "images.npy", pixels)
    version = DatasetVersion(
        digest="d" * 64, source="drawn", synthetic=False, root=root, manifest=folder / "manifest.parquet",
        images=len(table), counts={},
    )  # fmt: skip
    store = ImageStore(key="store", path=folder / "images.npy", size=SIZE, fit="squash", images=len(table))
    return version, store


def train(name: str, seed: int, folder: Path, version: DatasetVersion, store: ImageStore) -> Candidate:
    """A backbone with random weights, and what it says of the validation and test images."""
    import keras

    from pneumo.serving.bundle.class_activation import inspected_network
    from pneumo.serving.bundle.image_bundle import run_network

    keras.utils.set_random_seed(seed)
    image = keras.Input((SIZE, SIZE, 1))
    channels = keras.layers.Rescaling(1 / 127.5, -1)(keras.layers.Concatenate()([image] * 3))
    build = getattr(keras.applications, name)
    backbone = build(input_shape=(SIZE, SIZE, 3), include_top=False, weights=None)
    pooled = keras.layers.GlobalAveragePooling2D()(backbone(channels, training=False))
    model = keras.Model(image, keras.layers.Dense(1)(pooled))
    place = folder / f"{name}-{seed}"
    place.mkdir()
    model.save(place / "model.keras")
    manifest, images = pd.read_parquet(version.manifest), np.load(store.path, mmap_mode="r")
    rest = manifest["split"] != "train"
    predictions = manifest[rest][["path", "sha256", "patient", "label", "subtype", "split"]]
    logits = run_network(inspected_network(model), images[rest.to_numpy()])[0][:, 0]
    predictions.assign(logit=logits).to_parquet(place / "predictions.parquet")
    return Candidate(
        name=name, key=place.name, run_id="", model=place / "model.keras", predictions=place / "predictions.parquet",
        validation_auc=0.5, shifted_auc=0.5, selection_score=0.5, minutes=0,
    )  # fmt: skip


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """The lean server that `pneumo up` starts."""
    from pneumo.tracking import healthy

    folder.mkdir()
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1", "--port", str(port)]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        str(folder / "files"),
    ]
    lean = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, env=os.environ | lean, stdout=quiet, stderr=quiet, start_new_session=True)
    try:
        while not healthy(f"http://127.0.0.1:{port}") and process.poll() is None:
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def timed(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """A result, and the seconds it took."""
    begun = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - begun


def row(name: str, seconds: float, note: str = "") -> Row:
    """One line of the table."""
    return {"name": name, "value": round(seconds, 2), "unit": "s", "note": note}
