"""Pretrained weights: found, checked and loaded, or an error; training never silently starts at random."""

import fnmatch
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from pneumo.cache import is_kept, stage_key, written_once
from pneumo.data.object_storage import Bucket
from pneumo.data.sources.s3 import fetch_to
from pneumo.errors import DataError, WeightsError
from pneumo.settings import load_settings
from pneumo.training.candidates.spec import Backbone, CandidateSpec
from pneumo.training.networks.backbones import build

KERAS = "imagenet"
NONE = "none"


def locate(backbone: Backbone, weights: str, size: int, home: Path) -> Path | None:
    """The backbone's weight file; None where Keras fetches the weights or none are wanted.

    Args:
        backbone: the backbone; of several files for it, see `choose`.
        weights: "imagenet", "none", a folder, or an s3:// address, from which the file is first copied to `home`.
        size: image size in training, pixels a side.
        home: state folder.

    Raises:
        WeightsError: there is no such file; the message names it and the place.
    """
    if weights in (KERAS, NONE):
        return None
    if weights.startswith("s3://"):
        return _fetched(backbone, weights, size, home)
    folder = Path(weights)
    if not folder.is_dir():
        raise WeightsError(
            f'Expected a folder of weight files, "imagenet" or "none", got {weights!r}: correct weights.'
        )
    return folder / choose(backbone, [file.name for file in folder.iterdir()], size, weights)


def patterns(backbone: Backbone) -> tuple[str, ...]:
    """File names that hold the backbone's weights, best first; the number after alpha is the size in pixels."""
    plain = (f"{backbone.name}_[0-9][0-9][0-9]_no_top.weights.h5", f"{backbone.name}_no_top.weights.h5")
    if backbone.alpha is None:
        return plain
    return (
        f"{backbone.name}_{backbone.alpha}_[0-9][0-9][0-9]_no_top.weights.h5",
        f"{backbone.name}_{backbone.alpha}_no_top.weights.h5",
        *(plain if backbone.alpha == 1.0 else ()),
    )


def choose(backbone: Backbone, names: Iterable[str], size: int, place: str) -> str:
    """The file whose weights were learned at the size nearest to `size` pixels; of two equally near the larger.

    Features learned at one size work badly at another (Touvron et al. 2019). A file whose name tells no size is taken
    only if no name does. Of two files of the same size the one with the more exact name is taken.

    Raises:
        WeightsError: there is none; the message names `place`.
    """
    known = sorted(names)
    if found := [name for pattern in patterns(backbone) for name in fnmatch.filter(known, pattern)]:
        return min(found, key=lambda name: (not _learned_at(name), abs(_learned_at(name) - size), -_learned_at(name)))
    raise WeightsError(
        f"Expected weights of {backbone} in {place}, found no file {' or '.join(patterns(backbone))}: "
        'put it there, or choose other weights ("imagenet" lets Keras fetch them, "none" starts at random).'
    )


def _learned_at(name: str) -> int:
    told = re.search(r"_(\d{3})_no_top", name)
    return int(told[1]) if told else 0


def identity(spec: CandidateSpec, home: Path) -> str:
    """Identity of the weights in a key: the file's digest, so that moving the folder changes nothing."""
    file = locate(spec.backbone, spec.weights, spec.size, home)
    return spec.weights if file is None else hashlib.sha256(file.read_bytes()).hexdigest()


def load_backbone(spec: CandidateSpec, home: Path) -> Any:
    """The Keras backbone of a spec with its pretrained weights in place.

    Raises:
        WeightsError: the file is missing, does not fit or has NaN in it, or Keras cannot fetch its own.
    """
    backbone, file = spec.backbone, locate(spec.backbone, spec.weights, spec.size, home)
    if spec.weights == KERAS:
        return _from_keras(spec)
    model = build(backbone.name, backbone.alpha, spec.size)
    if file is not None:
        try:
            model.load_weights(file)
        except (ValueError, KeyError, OSError, RuntimeError, TypeError) as error:  # OSError is h5py's for a broken file
            reason = str(error).strip().splitlines()[0]
            raise WeightsError(f"Expected weights of {backbone} in {file}, but they do not fit: {reason}") from error
        # Fused kernels of TensorFlow turn NaN into zero, so the outputs may not tell.
        if not all(np.isfinite(values).all() for values in model.get_weights()):
            raise WeightsError(f"Expected numbers in {file}, found NaN or infinity: fetch the file again.")
    return model


def _from_keras(spec: CandidateSpec) -> Any:
    try:
        return build(spec.backbone.name, spec.backbone.alpha, spec.size, weights=KERAS)
    except Exception as error:  # Keras raises a bare Exception when a download fails
        if type(error) is not Exception:
            raise
        raise WeightsError(
            f"Expected Keras to fetch ImageNet weights of {spec.backbone}, but the download failed ({error}): "
            "connect to the network, or give weights as a folder."
        ) from error


def _fetched(backbone: Backbone, address: str, size: int, home: Path) -> Path:
    """A verified local copy of the backbone's weight file in a bucket; fetched again only if it has changed there."""
    try:
        bucket = Bucket(address.rstrip("/") + "/", load_settings().data.s3_endpoint)
        items = {item.key.removeprefix(bucket.prefix): item for item in bucket.list()}
        name = choose(backbone, items, size, address)
        folder = home / "cache" / "weights" / stage_key("weights", address=address, etag=items[name].etag)
        if not is_kept(folder):
            with written_once(folder) as scratch:
                fetch_to(scratch / name, items[name], bucket)
    except DataError as error:
        raise WeightsError(f"Expected weights of {backbone} from {address}, but: {error}") from error
    return folder / name
