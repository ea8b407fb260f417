"""The folder that is registered and served: model.keras, out_of_distribution.npz and serving.json."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Discriminator, Tag, TypeAdapter, ValidationError

from pneumo.data.files import sha256_of
from pneumo.errors import ModelError
from pneumo.records.base import EMBEDDING, IMAGE, Fit
from pneumo.records.dicom_modalities import MODALITIES
from pneumo.serving.bundle.class_activation import inspected_network
from pneumo.serving.bundle.embedding_bundle import EmbeddingBundle, EmbeddingSpec
from pneumo.serving.bundle.inputs import read_images
from pneumo.serving.bundle.out_of_distribution import FeatureDistance
from pneumo.serving.bundle.scorer import Answers, Scorer, Scores, Spec

if TYPE_CHECKING:
    import keras

MODEL, OUT_OF_DISTRIBUTION, SPEC = "model.keras", "out_of_distribution.npz", "serving.json"
OLD_NAME = "familiarity.npz"  # of OUT_OF_DISTRIBUTION in older bundles
BATCH = 64
Images = NDArray[np.uint8]
Kind = TypeVar("Kind", bound=Spec)


class ServingSpec(Spec):
    """What is needed to use a model of images."""

    input: Literal["image"] = "image"  # the first bundles do not name it
    size: int
    fit: Fit
    modalities: tuple[str, ...] = MODALITIES  # of DICOM, that it was trained for; none in older bundles


@dataclass(frozen=True)
class Bundle(Scorer):
    """A loaded bundle of a model of images; its network is built once and is slow at the first call."""

    spec: ServingSpec
    inspected: "keras.Model | None" = None  # `inspected_network(model)`, if it was built before

    @cached_property
    def _network(self) -> "keras.Model":
        return self.inspected or inspected_network(self.model)

    def answer(self, cells: Sequence[Any], first: int = 0) -> Answers:
        """Decode and score images; one that cannot be read gets an error, the others their scores."""
        decoded = read_images(cells, self.spec.size, self.spec.fit, first, self.spec.modalities)
        nothing = Scores(np.zeros(0), np.zeros(0), np.zeros(0, bool))
        return Answers(self.score(decoded.images) if len(decoded.rows) else nothing, decoded.rows, decoded.errors)

    def score(self, images: Images) -> Scores:
        """Score decoded images, uint8 (n, size, size)."""
        logits, embeddings, _ = run_network(self._network, images)
        distance = self.feature_distance.distance(embeddings)
        return Scores(self.probability(logits[:, 0]), distance, self.feature_distance.is_beyond(distance))

    def maps(self, images: Images) -> NDArray[np.float32]:
        """Class activation maps (n, height, width) in units of the logit; positive places speak for pneumonia."""
        return run_network(self._network, images)[2]


def _input(content: Any) -> str:
    return str(content.get("input", IMAGE)) if isinstance(content, dict) else IMAGE


_SPECS: TypeAdapter[ServingSpec | EmbeddingSpec] = TypeAdapter(
    Annotated[
        Annotated[ServingSpec, Tag(IMAGE)] | Annotated[EmbeddingSpec, Tag(EMBEDDING)],
        Discriminator(_input),
    ]
)


def run_network(network: "keras.Model", images: Images, batch: int = BATCH) -> list[NDArray[np.float32]]:
    """All outputs of a network for images, uint8 (n, size, size), batch by batch."""
    parts = [
        [np.asarray(item) for item in network.predict_on_batch(images[at : at + batch, ..., None].astype(np.float32))]
        for at in range(0, len(images), batch)
    ]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def write_bundle(folder: Path, model: Path, distance: FeatureDistance, **spec: object) -> ServingSpec:
    """Write a bundle to an existing empty folder; `spec` has the fields of ServingSpec but the sha256s."""
    return _write(folder, model, distance, ServingSpec, spec)


def write_embedding_bundle(folder: Path, model: Path, distance: FeatureDistance, **spec: object) -> EmbeddingSpec:
    """Write a bundle of a model of embeddings; `spec` has the fields of EmbeddingSpec but the sha256s."""
    return _write(folder, model, distance, EmbeddingSpec, spec)


def _write(folder: Path, model: Path, distance: FeatureDistance, kind: type[Kind], spec: dict[str, object]) -> Kind:
    shutil.copyfile(model, folder / MODEL)
    distance.save(folder / OUT_OF_DISTRIBUTION)
    digest = sha256_of(folder / OUT_OF_DISTRIBUTION)
    digests = {"model_sha256": sha256_of(folder / MODEL), "out_of_distribution_sha256": digest}
    written = kind.model_validate({**spec, **digests})
    (folder / SPEC).write_text(written.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return written


def read_spec(folder: Path) -> ServingSpec | EmbeddingSpec:
    """Read serving.json.

    Raises:
        ModelError: it is missing or of another form.
    """
    try:
        return _SPECS.validate_json((folder / SPEC).read_bytes())
    except FileNotFoundError:
        raise ModelError(
            f"Expected a model bundle with {SPEC} in {folder}, found none: give the folder that holds it."
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"][1:]))  # its first part names the kind
        raise ModelError(f"{folder / SPEC}, key {key}: {first['msg'].lower()}; register the model anew.") from None


def load_bundle(folder: Path) -> Bundle | EmbeddingBundle:
    """Check the files against their sha256 and load them, the model in Keras's safe mode.

    Raises:
        ModelError: a file is missing, was changed, or does not load in safe mode.
    """
    spec = read_spec(folder)
    distance = folder / (OLD_NAME if (folder / OLD_NAME).is_file() else OUT_OF_DISTRIBUTION)
    for file, expected in ((folder / MODEL, spec.model_sha256), (distance, spec.out_of_distribution_sha256)):
        _check(file, expected)
    model, feature_distance = load_network(folder / MODEL), FeatureDistance.load(distance)
    if isinstance(spec, EmbeddingSpec):
        return EmbeddingBundle(spec, model, feature_distance)
    return Bundle(spec, model, feature_distance)


def load_network(path: Path) -> "keras.Model":
    """Load a .keras file, which may have built-in layers only.

    Raises:
        ModelError: Keras refuses it in safe mode.
    """
    import keras

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    # For a broken or hostile file Keras, h5py and zipfile raise almost anything.
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"{path}: expected a .keras file that loads in safe mode, but Keras says: {reason}") from error


def _check(path: Path, expected: str) -> None:
    if not path.is_file():
        raise ModelError(f"Expected {path.name} in the bundle {path.parent}, found none: register the model anew.")
    if (found := sha256_of(path)) != expected:
        raise ModelError(f"{path}: expected sha256 {expected}, found {found}: the file was changed; register it anew.")
