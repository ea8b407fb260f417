"""Bringing in, checking and decoding full-size X-rays: time, memory, fidelity, and packed against serial S3.

Needs ../shared/data/originals (140 files of some 290 KB), repeated to 5,600 different files.
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ORIGINALS = Path(__file__).parents[2] / "shared" / "data" / "originals"
COPIES = 40
Row = dict[str, Any]

STAGES = """
import json, resource, sys, time
sys.modules["rfc3987_syntax"] = None  # a developer's package that costs jsonschema a second and that no user has
from pathlib import Path
from pneumo.data import images
from pneumo.data.quality.gate import validate
from pneumo.data.sources.schemes import ingest
from pneumo.data.store.versions import make_version
from pneumo.settings.data import Data, Gate
decoded, times, start = [], {}, time.perf_counter()
def lap(name):
    global start
    now = time.perf_counter(); times[name] = now - start; start = now
def count(*args, real=images.decode, **more):
    decoded.append(1)
    return real(*args, **more)
images.decode = count
import pneumo.data.manifest as manifest
def measured(*args, real=manifest.measure):
    decoded.append(1)
    return real(*args)
manifest.measure = measured
home = Path(sys.argv[2])
inventory = ingest(sys.argv[1], home, Data()); lap("ingest")
report = validate(inventory, home, Gate(), None); lap("validate")
version = make_version(inventory, report, home); lap("split")
store = images.decode_all(version, home, 224, "squash"); lap("preprocess")
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"times": times, "decoded": len(decoded), "images": version.images, "peak": peak}))
"""


def rows() -> list[Row]:
    """Measure everything; empty without the originals."""
    if not ORIGINALS.is_dir():
        return []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [*_stages(folder), *_fidelity(), *_storage(folder)]


def _stages(folder: Path) -> list[Row]:
    small, large, home = folder / "small", folder / "large", folder / "home"
    _repeat(small, 0, COPIES // 10)
    _repeat(large, 0, COPIES)
    few = _run(small, folder / "home of small")
    first = _run(large, home)
    second = _run(large, home)
    for path in sorted(ORIGINALS.rglob("*.jpeg"))[:50]:
        _copy(path, large, COPIES)
    grown = _run(large, home)
    images = first["images"]
    wall = sum(first["times"].values())
    parts = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in first["times"].items())
    gray, rgb, pipeline = _tensorflow(large)
    each = 1000 * wall / images
    return [
        _row("ingest to decoded, cold", each, "ms/image", f"{images} images, 1.6 GB, in {wall:.1f} s: {parts}"),
        _row("tf.io.decode_jpeg and tf.image.resize(antialias), loop", gray, "ms/image", f"gray, {gray / each:.1f} x"),
        _row("the same in RGB, which backbones take", rgb, "ms/image", f"{rgb / each:.1f} x"),
        _row("the gray one inside tf.data with AUTOTUNE", pipeline, "ms/image", f"{pipeline / each:.1f} x"),
        _row("second run, nothing changed", sum(second["times"].values()), "s", f"{second['decoded']} images read"),
        _row("run after adding 50 images", sum(grown["times"].values()), "s", f"{grown['decoded']} images read"),
        _row("peak memory, 560 images", few["peak"], "MiB", "whole process"),
        _row("peak memory, 5,600 images", first["peak"], "MiB", "whole process"),
    ]


def _row(name: str, value: float, unit: str, note: str) -> Row:
    return {"name": name, "value": value, "unit": unit, "note": note}


def _repeat(folder: Path, start: int, copies: int) -> None:
    for path in sorted(ORIGINALS.rglob("*.jpeg")):
        for number in range(start, copies):
            _copy(path, folder, number)


def _copy(path: Path, folder: Path, number: int) -> None:
    """A copy with a comment inside, so that the file is another one and is decoded again."""
    data = path.read_bytes()
    comment = b"\xff\xfe" + (6).to_bytes(2, "big") + number.to_bytes(4, "big")
    target = folder / path.parent.name / f"copy{number}-{path.name}"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data[:2] + comment + data[2:])


def _run(source: Path, home: Path) -> dict[str, Any]:
    """The stages in a process of their own, so that its memory and its imports count."""
    command = [sys.executable, "-c", STAGES, str(source), str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _tensorflow(folder: Path) -> tuple[float, float, float]:
    """Milliseconds an image of the usual ways to read and resize: a loop in gray, one in RGB, a tf.data pipeline.

    On one copy of the set, without TensorFlow's import; the first file warms up.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    def read(path: Any, channels: int = 1) -> Any:
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=channels)
        return tf.image.resize(image, (224, 224), antialias=True)

    def loop(channels: int) -> None:
        for path in files:
            read(path, channels)

    files = [str(path) for path in sorted(folder.rglob("copy1-*.jpeg"))]
    read(files[0])
    data = tf.data.Dataset.from_tensor_slices(files).map(read, num_parallel_calls=tf.data.AUTOTUNE)
    next(iter(data))
    times = [_timed(lambda: loop(1)), _timed(lambda: loop(3)), _timed(lambda: list(data))]
    gray, rgb, pipeline = (1000 * seconds / len(files) for seconds in times)
    return gray, rgb, pipeline


def _fidelity() -> list[Row]:
    from pneumo.data.store.decode import decode

    differences = []
    for path in sorted(ORIGINALS.rglob("*.jpeg")):
        with Image.open(path) as image:
            full = image.convert("L").resize((224, 224), Image.Resampling.BILINEAR)
        differences.append(np.abs(decode(path, 224, "squash").astype(int) - np.asarray(full)).mean())
    worst = f"worst image {max(differences):.2f}"
    return [_row("difference from full-resolution resize", float(np.mean(differences)), "gray levels", worst)]


def _storage(folder: Path) -> list[Row]:
    """Time to get 1,000 files of 20 KB: one by one, mirrored in parallel, and packed as a version."""
    import boto3
    from moto.server import ThreadedMotoServer

    from pneumo.data.sources.s3 import mirror
    from pneumo.data.store import packs
    from pneumo.settings.data import Data

    os.environ.update(AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench", AWS_DEFAULT_REGION="us-east-1")
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line per request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    client = boto3.client("s3", endpoint_url=endpoint)
    client.create_bucket(Bucket="bench")
    version = _small_version(folder)
    keys = []
    for path in sorted(version.root.rglob("*.png")):
        keys.append(f"files/{path.relative_to(version.root).as_posix()}")
        client.upload_file(str(path), "bench", keys[-1])
    settings = Data(storage="s3://bench/store", s3_endpoint=endpoint)
    times = {
        "serial": _timed(lambda: [client.download_file("bench", key, str(folder / "one")) for key in keys]),
        "mirror": _timed(lambda: mirror("s3://bench/files", folder / "mirror", endpoint)),
        "push": _timed(lambda: packs.push(version, settings)),
        "pull": _timed(lambda: packs.pull(version.digest, folder / "pulled", settings)),
    }
    server.stop()
    faster = f"{times['serial'] / times['pull']:.0f} x faster than one by one, every file verified"
    return [
        _row("1,000 files of 20 KB from S3, one by one", times["serial"], "s", "boto3 download_file, moto server"),
        _row("the same mirrored by 32 threads", times["mirror"], "s", "the server is one Python process"),
        _row("the same pushed as a version", times["push"], "s", "packed"),
        _row("the same pulled as a version", times["pull"], "s", faster),
    ]


def _small_version(folder: Path) -> Any:
    """A version of 1,000 noise pictures of 20 KB, two classes, 500 patients."""
    from pneumo.data.quality.gate import validate
    from pneumo.data.sources.schemes import ingest
    from pneumo.data.store.versions import make_version
    from pneumo.settings.data import Data, Gate

    random = np.random.default_rng(0)
    for number in range(1000):
        name = (
            f"NORMAL/IM-{number // 2:04d}-{number % 2}"
            if number < 500
            else f"PNEUMONIA/person{number // 2}_virus_{number}"
        )
        path = folder / "noise" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (142, 142), dtype=np.uint8)).save(path)
    home = folder / "home of noise"
    inventory = ingest(str(folder / "noise"), home, Data())
    return make_version(inventory, validate(inventory, home, Gate(), None), home)


def _timed(action: Any) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
