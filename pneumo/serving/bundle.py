"""The folder that is registered and served: model.keras, familiarity.npz and serving.json."""

import hashlib
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from pneumo.errors import ModelError
from pneumo.serving.familiarity import Familiarity
from pneumo.serving.network import activation_network, embedding_network
from pneumo.stages import LABELS, Fit, Record

if TYPE_CHECKING:
    import keras

MODEL, FAMILIARITY, SPEC = "model.keras", "familiarity.npz", "serving.json"
BATCH = 64
Images = NDArray[np.uint8]


class ServingSpec(Record):
    """What it takes to use a model as it was evaluated; probability = sigmoid((logit + offset) / temperature)."""

    name: str
    size: int
    fit: Fit
    temperature: float
    offset: float = 0.0  # none in bundles of the first version
    threshold: float
    dataset: str
    synthetic: bool
    model_sha256: str
    familiarity_sha256: str
    labels: tuple[str, str] = LABELS


class Scores(NamedTuple):
    """One value per image: probability of pneumonia in 0..1, distance to the training data, and whether too far."""

    probability: NDArray[np.float64]
    distance: NDArray[np.float64]
    unlike: NDArray[np.bool_]


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle; networks are built once and warm up at their first call."""

    spec: ServingSpec
    model: "keras.Model"
    familiarity: Familiarity

    @cached_property
    def _scorer(self) -> "keras.Model":
        return embedding_network(self.model)

    @cached_property
    def _mapper(self) -> "keras.Model":
        return activation_network(self.model)

    def score(self, images: Images) -> Scores:
        """Score decoded images uint8 (n, size, size)."""
        logits, embeddings = run_network(self._scorer, images)
        distance = self.familiarity.distance(embeddings)
        return Scores(self.probability(logits[:, 0]), distance, distance > self.familiarity.limit)

    def maps(self, images: Images) -> NDArray[np.float32]:
        """Heat maps (n, height, width) in units of the logit; positive places speak for pneumonia."""
        return run_network(self._mapper, images)[1]

    def probability(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Calibrated probability of pneumonia of logits (n,)."""
        from scipy.special import expit

        calibrated: NDArray[np.float64] = expit((logits.astype(np.float64) + self.spec.offset) / self.spec.temperature)
        return calibrated

    def label(self, probability: NDArray[np.float64], threshold: float | None = None) -> NDArray[np.str_]:
        """The class at the model's own or another threshold in 0..1."""
        limit = self.spec.threshold if threshold is None else threshold
        return np.where(probability >= limit, self.spec.labels[1], self.spec.labels[0])


def run_network(network: "keras.Model", images: Images, batch: int = BATCH) -> list[NDArray[np.float32]]:
    """All outputs of a network for images uint8 (n, size, size), a batch at a time."""
    parts = [
        [np.asarray(item) for item in network.predict_on_batch(images[at : at + batch, ..., None].astype(np.float32))]
        for at in range(0, len(images), batch)
    ]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def write_bundle(folder: Path, model: Path, familiarity: Familiarity, **spec: object) -> ServingSpec:
    """Write a bundle into an existing empty folder; `spec` has the fields of ServingSpec other than the sha256s."""
    shutil.copyfile(model, folder / MODEL)
    familiarity.save(folder / FAMILIARITY)
    digests = {"model_sha256": _digest(folder / MODEL), "familiarity_sha256": _digest(folder / FAMILIARITY)}
    written = ServingSpec.model_validate({**spec, **digests})
    (folder / SPEC).write_text(written.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return written


def read_spec(folder: Path) -> ServingSpec:
    """Read serving.json.

    Raises:
        ModelError: it is missing or not what it should be.
    """
    try:
        return ServingSpec.model_validate_json((folder / SPEC).read_bytes())
    except FileNotFoundError:
        raise ModelError(
            f"Expected a model bundle with {SPEC} in {folder}, found none: give the folder that holds it."
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ModelError(f"{folder / SPEC}, key {key}: {first['msg'].lower()}; register the model anew.") from None


def load_bundle(folder: Path) -> Bundle:
    """Check the files against their sha256 and load them, the model in Keras's safe mode.

    Raises:
        ModelError: a file is missing, changed, or not loadable in safe mode.
    """
    spec = read_spec(folder)
    for name, expected in ((MODEL, spec.model_sha256), (FAMILIARITY, spec.familiarity_sha256)):
        _check(folder / name, expected)
    return Bundle(spec, load_network(folder / MODEL), Familiarity.load(folder / FAMILIARITY))


def load_network(path: Path) -> "keras.Model":
    """A .keras file of built-in layers only.

    Raises:
        ModelError: Keras refuses it in safe mode.
    """
    import keras

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    # On a broken or hostile file Keras, h5py and zipfile raise almost anything.
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"{path}: expected a .keras file that loads in safe mode, but Keras says: {reason}") from error


def _check(path: Path, expected: str) -> None:
    if not path.is_file():
        raise ModelError(f"Expected {path.name} in the bundle {path.parent}, found none: register the model anew.")
    if (found := _digest(path)) != expected:
        raise ModelError(f"{path}: expected sha256 {expected}, found {found}: the file was changed; register it anew.")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
