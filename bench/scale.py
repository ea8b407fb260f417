"""How time, memory and bytes grow with the data set: measured at two sizes, and from there reckoned for larger ones.

The sizes are those of PNEUMO_BENCH_SIZES, 2000,6000 unless set; `PNEUMO_BENCH_SIZES=6000,60000 python -m bench scale`
shows memory flat over a factor of ten. Images are drawn first, which is not counted.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import psutil

TARGETS = {"NIH's 112,000": 112_000, "a million": 1_000_000}
SIZE = 224  # pixels a side
FILE = 200_000  # bytes of a chest X-ray as a JPEG
SHARD = 16 * 2**20
STAGES = ("ingest", "validate", "split", "preprocess", "train, one epoch")
Row = dict[str, Any]
RUN = """
import json, sys, time
from pathlib import Path
from pneumo.data import images, phantom
from pneumo.data.quality.gate import validate
from pneumo.data.sources.schemes import ingest
from pneumo.data.store.versions import make_version
from pneumo.settings.data import Data, Gate
from pneumo.training.candidates.candidate import train
from pneumo.training.candidates.spec import candidate_specs
count, home, size = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
phantom.draw(home, count)
def lap(stage, work, *arguments):
    print(json.dumps({"begin": stage}), flush=True)
    begun = time.monotonic()
    result = work(*arguments)
    print(json.dumps({"end": stage, "seconds": time.monotonic() - begun}), flush=True)
    return result
(spec,) = candidate_specs(["MobileNet:0.25"], "none", size, 1)
inventory = lap("ingest", ingest, f"phantom:{count}", home, Data())
report = lap("validate", validate, inventory, home, Gate(), None)
version = lap("split", make_version, inventory, report, home)
store = lap("preprocess", images.decode_all, version, home, size, "squash")
lap("train, one epoch", train, spec, version, store, "bench", home)
"""


def rows() -> list[Row]:
    """Seconds and peak memory by stage and size, then what follows for larger sets."""
    sizes = sorted(int(text) for text in os.environ.get("PNEUMO_BENCH_SIZES", "2000,6000").split(","))
    measured = {size: measure(size) for size in sizes}
    return [*seen(measured), *reckoned(measured)]


def measure(images: int) -> dict[str, tuple[float, float]]:
    """Seconds and peak GiB of private memory, of all processes together, by stage."""
    found: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory(prefix="pneumo-bench-") as home:
        command = [sys.executable, "-c", RUN, str(images), home, str(SIZE)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        watch = Memory(process.pid)
        assert process.stdout
        for line in process.stdout:
            event = json.loads(line) if line.startswith("{") else {}
            if "begin" in event:
                watch.peak = 0.0
            elif "end" in event:
                found[event["end"]] = (event["seconds"], watch.peak)
        watch.over.set()
        if process.wait():
            raise RuntimeError(f"the stages failed on {images} images")
    return found


class Memory:
    """Peak of the memory that a process and its children have for themselves; pages of mapped files are not counted."""

    def __init__(self, pid: int) -> None:
        self.pid, self.peak, self.over = pid, 0.0, threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while not self.over.wait(0.2):
            try:
                root = psutil.Process(self.pid)
                total = sum(private(process.pid) for process in [root, *root.children(recursive=True)])
            except psutil.NoSuchProcess:
                continue
            self.peak = max(self.peak, total)


def private(pid: int) -> float:
    """GiB of anonymous memory of a process."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) / 2**20 for line in lines if line.startswith("RssAnon")), 0.0)


def seen(measured: dict[int, dict[str, tuple[float, float]]]) -> list[Row]:
    return [
        line
        for images, stages in measured.items()
        for stage, (seconds, peak) in stages.items()
        for line in (
            {"name": f"{images:,} images: {stage}", "value": round(seconds, 2), "unit": "s",
             "note": f"{1000 * seconds / images:.2f} ms an image"},
            {"name": f"{images:,} images: {stage}, memory", "value": round(peak, 3), "unit": "GiB", "note": ""},
        )
    ]  # fmt: skip


def reckoned(measured: dict[int, dict[str, tuple[float, float]]]) -> list[Row]:
    """Hours and bytes for larger sets: what the largest two sizes differ by, an image, from there on."""
    (few, first), (many, last) = sorted(measured.items())[-2:]
    found: list[Row] = []
    for name, images in TARGETS.items():
        found += [
            {"name": f"{name}: files", "value": images * FILE / 1e9, "unit": "GB",
             "note": f"{images * FILE // SHARD + 1:,} objects on S3, {FILE // 1000} KB an image"},
            {"name": f"{name}: decoded", "value": images * SIZE * SIZE / 1e9, "unit": "GB", "note": f"{SIZE} pixels"},
        ]  # fmt: skip
        for stage in STAGES:
            each = max(last[stage][0] - first[stage][0], 0.0) / (many - few)
            hours = (last[stage][0] + each * (images - many)) / 3600
            found.append({"name": f"{name}: {stage}", "value": round(hours, 2), "unit": "h", "note": "on this machine"})
    return found
