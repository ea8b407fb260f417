"""Speed of the registered model: one image, a batch, many files, a served image, a cold start.

The network is MobileNetV2 1.0 at 224 pixels with random weights: time does not depend on what they are. The pictures
are 630 noisy JPEG files of 640 x 512 pixels, drawn here.
"""

import base64
import http.client
import json
import os
import socket
import statistics
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

IMAGES, SINGLE, SERVED = 630, 100, 40
Row = dict[str, Any]
COLD = """
import sys, pandas as pd
from pathlib import Path
from mlflow.pyfunc import load_model
load_model(sys.argv[1]).predict(pd.DataFrame({"image": [Path(sys.argv[2])]}))
"""


def rows() -> list[Row]:
    """One row per figure."""
    with tempfile.TemporaryDirectory() as folder:
        paths, model = draw(Path(folder) / "images"), log_model(Path(folder))
        return [*in_process(paths, model, Path(folder)), cold_start(paths, model), *served(paths, model)]


def in_process(paths: list[str], folder: Path, scratch: Path) -> list[Row]:
    from mlflow.pyfunc import load_model

    model = load_model(str(folder))
    files = [Path(path) for path in paths]
    one = [pd.DataFrame({"image": [path]}) for path in files]
    model.predict(pd.DataFrame({"image": files[:128]}))
    single = [seconds(model.predict, frame) for frame in one[:SINGLE]]
    batch = min(seconds(model.predict, pd.DataFrame({"image": files[:64]})) for _ in range(3))
    together = many_files(paths, folder, scratch)
    loop = statistics.mean(single) * IMAGES
    keras_loop = IMAGES * statistics.mean(plain_keras_calls(paths[:SINGLE], folder))
    return [
        row("one predict call", 1000 * statistics.median(single), "ms", f"median of {SINGLE}, from file"),
        row("batch of 64", 64 / batch, "images/s", "one predict call, from files"),
        row(f"pneumo predict, {IMAGES} files", together, "s", "files to CSV, model loaded"),
        row("loop of predict calls", loop, "s", f"{IMAGES} calls of the pyfunc, from {SINGLE}"),
        row("faster than the loop", loop / together, "times"),
        row("loop of Keras predict calls", keras_loop, "s", f"{IMAGES} times decode and keras.Model.predict"),
        row("faster than the Keras loop", keras_loop / together, "times"),
    ]


def many_files(paths: list[str], folder: Path, scratch: Path) -> float:
    """What `pneumo predict` does once its model is loaded: files to CSV."""
    from pneumo.serving.batch.find_images import find_images
    from pneumo.serving.batch.output import open_output
    from pneumo.serving.batch.scoring import score
    from pneumo.serving.fresh_process.client import loaded
    from pneumo.settings.data import Data

    warm, out = (open_output(str(scratch / name), scratch) for name in ("warm.csv", "predictions.csv"))
    with loaded(folder, "bench") as model:
        score(find_images(paths, Data(), folder), model.score, "warm", warm)
        return seconds(lambda: score(find_images(paths, Data(), folder), model.score, "bench", out))


def plain_keras_calls(paths: list[str], folder: Path) -> Iterator[float]:
    """What most projects do for each image: decode it, and call Keras's predict."""
    from pneumo.data.store.decode import decode
    from pneumo.serving.bundle.image_bundle import load_bundle

    model = load_bundle(next(folder.rglob("serving.json")).parent).model

    def predict(path: str) -> None:
        model.predict(decode(Path(path), 224, "squash")[None, ..., None].astype(np.float32), verbose=0)

    predict(paths[0])
    yield from (seconds(predict, path) for path in paths)


def cold_start(paths: list[str], folder: Path) -> Row:
    command = [sys.executable, "-c", COLD, str(folder), paths[0]]
    taken = min(seconds(subprocess.run, command, check=True, capture_output=True) for _ in range(2))
    return row("cold start", taken, "s", "new process to first probability, imports included")


def served(paths: list[str], folder: Path) -> list[Row]:
    """`mlflow models serve`, asked as curl asks it."""
    port, begun = free_port(), time.perf_counter()
    with server(folder, port):
        wait_for(port)
        ready = time.perf_counter() - begun
        bodies = [body([path]) for path in paths[:SERVED]]
        ask(port, bodies[0])
        single = [seconds(ask, port, item) for item in bodies]
        many = body(paths[:64])
        ask(port, many)
        batch = min(seconds(ask, port, many) for _ in range(3))
    return [
        row("mlflow models serve ready", ready, "s", "from command to health"),
        row("one served image", 1000 * statistics.median(single), "ms", f"median of {SERVED} HTTP requests"),
        row("served batch of 64", 64 / batch, "images/s", "one HTTP request"),
    ]


def draw(folder: Path) -> list[str]:
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(IMAGES):
        coarse = random.integers(0, 256, (64, 80), dtype=np.uint8)
        Image.fromarray(coarse).resize((640, 512)).save(folder / f"{number:03d}.jpeg", quality=85)
    return sorted(map(str, folder.iterdir()))


def log_model(folder: Path) -> Path:
    """A bundle, logged to MLflow and fetched again."""
    import keras

    from pneumo.serving.bundle.class_activation import inspected_network
    from pneumo.serving.bundle.image_bundle import run_network, write_bundle
    from pneumo.serving.bundle.out_of_distribution import learn_feature_distance
    from pneumo.tracking import Tracker

    image = keras.Input((224, 224, 1))
    channels = keras.layers.Rescaling(1 / 127.5, -1)(keras.layers.Concatenate()([image] * 3))
    backbone = keras.applications.MobileNetV2(input_shape=(224, 224, 3), include_top=False, weights=None)
    pooled = keras.layers.GlobalAveragePooling2D()(backbone(channels, training=False))
    model = keras.Model(image, keras.layers.Dense(1)(pooled))
    model.save(folder / "trained.keras")
    noise = np.random.default_rng(0).integers(0, 256, (64, 224, 224), dtype=np.uint8)
    embeddings = run_network(inspected_network(model), noise)[1]
    spec = {"name": "MobileNetV2", "size": 224, "fit": "squash", "temperature": 1, "threshold": 0.5}
    bundle = folder / "bundle"
    bundle.mkdir()
    feature_distance = learn_feature_distance(embeddings, embeddings)
    write_bundle(bundle, folder / "trained.keras", feature_distance, **spec, dataset="", synthetic=True)
    tracker = Tracker(f"sqlite:///{folder}/mlflow.db", "bench")
    tracker.client.create_experiment("bench", artifact_location=(folder / "files").as_uri())
    example = next((folder / "images").iterdir())
    uri = tracker.bundles.log(tracker.runs.start("bench"), bundle, "bench", example)
    return tracker.files.download(uri, folder / "model")


@contextmanager
def server(folder: Path, port: int) -> Iterator[None]:
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(folder), "-p", str(port)]
    command += ["--env-manager", "local", "--host", "127.0.0.1"]
    environment = os.environ | {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=quiet, stderr=quiet, env=environment, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            if ask(port, None) == b"\n":
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("mlflow models serve did not start within 120 s")


def body(paths: list[str]) -> str:
    images = [base64.b64encode(Path(path).read_bytes()).decode() for path in paths]
    return json.dumps({"dataframe_split": {"columns": ["image"], "data": [[image] for image in images]}})


def ask(port: int, content: str | None) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    if content is None:
        connection.request("GET", "/ping")
    else:
        connection.request("POST", "/invocations", content, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"expected 200, got {answer.status}: {text[:300]!r}")
    return text


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def seconds(function: Callable[..., Any], *arguments: Any, **named: Any) -> float:
    begun = time.perf_counter()
    function(*arguments, **named)
    return time.perf_counter() - begun


def row(name: str, value: float, unit: str, note: str = "") -> Row:
    return {"name": name, "value": round(value, 2), "unit": unit, "note": note}
