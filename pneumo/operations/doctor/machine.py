"""Checks of this machine: packages, weights, disk, memory, GPU, clock; nothing here imports TensorFlow."""

import os
import re
import shutil
import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from importlib import metadata
from pathlib import Path

import httpx
import psutil

from pneumo.operations import estimate
from pneumo.operations.doctor.row import Row, State
from pneumo.operations.machine_share import gpus
from pneumo.operations.prefect_api import address
from pneumo.settings import Settings
from pneumo.training.candidates.presets import preset
from pneumo.training.candidates.spec import parse_backbones
from pneumo.training.networks.backbones import module_of

SECONDS = 5.0  # seconds to wait for an answer
USUAL_IMAGES = 6000  # images of the data set that pneumo is made for
LARGEST_SKEW = 30.0  # seconds; S3 refuses a signature that is 900 s off
USUAL, DRAWN = preset("standard", synthetic=False), preset("standard", synthetic=True)


def packages(settings: Settings) -> Row:
    """Whether the installed packages are those that pneumo requires."""
    from packaging.requirements import Requirement

    wrong = []
    try:
        asked = metadata.requires("pneumo") or ()
    except metadata.PackageNotFoundError:
        advice = "run `make train`, or install its wheel: code that is only copied does not say which packages it needs"
        return Row(state="failed", found="pneumo itself is not installed as a package", advice=advice)
    for requirement in map(Requirement, asked):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            version = version_of(requirement.name)
            if version is None or version not in requirement.specifier:
                wrong.append(f"{requirement} is required, {version or 'none'} is installed")
    if wrong:
        return Row(state="failed", found="; ".join(wrong), advice="run `make train` again, it installs what is missing")
    names = ("pneumo", "prefect", "mlflow", "tensorflow", "keras")
    return Row(found=", ".join(f"{name} {version_of(name)}" for name in names))


def weights(settings: Settings) -> Row:
    """Whether the default backbones' ImageNet weights are on this machine."""
    folder = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"
    names = [file.name for file in folder.glob("*no_top*")] if folder.is_dir() else []
    wanted = [backbone.name for backbone in parse_backbones(USUAL.backbones)]
    missing = [name for name in wanted if not any(re.search(rf"{module_of(name)}_(?!v\d)", file) for file in names)]
    if missing:
        advice = "connect to a network for the first run, or give WEIGHTS=folder"
        return Row(found=f"Keras will fetch {', '.join(missing)}", advice=advice)
    return Row(found=f"of {', '.join(wanted)} in {folder}")


def disk(settings: Settings) -> Row:
    """Compare free disk space with what a run on the usual data set writes."""
    free = free_bytes(settings.home)
    needed = estimate.disk(USUAL_IMAGES, USUAL.size, USUAL.backbones)
    least = estimate.disk(480, DRAWN.size, DRAWN.backbones)
    found = f"{free / estimate.GIB:.1f} GiB free, {needed / estimate.GIB:.1f} for a run on {USUAL_IMAGES:,} images"
    state: State = "failed" if free < least else "warning" if free < needed else "ok"
    return Row(state=state, found=found, advice="" if state == "ok" else "free space, or look at `pneumo clean`")


def memory(settings: Settings) -> Row:
    """Compare free memory with what one training needs."""
    free, needed = psutil.virtual_memory().available, estimate.memory(USUAL.size)
    found = f"{free / estimate.GIB:.1f} GiB free, {needed / estimate.GIB:.1f} for a training at {USUAL.size} pixels"
    if free < needed:
        return Row(state="warning", found=found, advice="close other programs, or give a smaller image_size")
    return Row(found=found)


def gpu(settings: Settings) -> Row:
    """Whether there is a GPU, and whether TensorFlow can use it."""
    devices = gpus()
    if not devices:
        return Row(found=f"none; training uses {psutil.cpu_count()} CPU cores")
    if version_of("nvidia-cudnn-cu12") is None:
        advice = "pip install 'tensorflow[and-cuda]' in the project's .venv"
        return Row(state="warning", found=f"{len(devices)}, but TensorFlow has no CUDA libraries", advice=advice)
    return Row(found=f"{len(devices)}")


def clock(settings: Settings) -> Row:
    """Compare this machine's clock with those of the servers; S3 refuses signatures that are minutes off."""
    skews = [skew for url in _servers(settings) if (skew := _skew(url)) is not None]
    if not skews:
        return Row(state="warning", found="no server told its time", advice="run `pneumo up`")
    largest = max(skews, key=abs)
    if abs(largest) > LARGEST_SKEW:
        return Row(state="warning", found=f"{largest:+.0f} s off a server's", advice="let the system set its clock")
    return Row(found=f"within {LARGEST_SKEW:.0f} s of {len(skews)} servers")


def free_bytes(home: Path) -> int:
    """Free bytes on the disk of the state folder."""
    place = next(folder for folder in (home, *home.parents) if folder.exists())
    return shutil.disk_usage(place).free


def _servers(settings: Settings) -> Sequence[str]:
    endpoint = settings.data.s3_endpoint
    return [f"{address(settings)}/health", f"{settings.tracking_uri}/version", *([endpoint] if endpoint else [])]


def _skew(url: str) -> float | None:
    try:
        date = httpx.get(url, timeout=SECONDS).headers.get("date")
    except httpx.HTTPError:
        return None  # another check reports it
    return parsedate_to_datetime(date).timestamp() - time.time() if date else None


def version_of(name: str) -> str | None:
    """Version of an installed package or of its build for CPUs; None if neither is there."""
    for spelling in (name, f"{name}-cpu"):
        try:
            return metadata.version(spelling)
        except metadata.PackageNotFoundError:
            continue
    return None
