"""What a recipe reads beside the images, pretrained weights and embeddings: their content at this moment."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pneumo.cache import stage_key
from pneumo.data.sources import embeddings
from pneumo.errors import DataError, WeightsError
from pneumo.settings.data import Data
from pneumo.training.candidates.presets import specs_of
from pneumo.training.candidates.search import identities
from pneumo.training.candidates.spec import CandidateSpec
from pneumo.training.networks.pretrained_weights import identity


def contents(recipe: Mapping[str, Any], synthetic: bool, home: Path, settings: Data) -> dict[str, str]:
    """Digest of each by a name for sentences, as in the keys of trainings; of what cannot be read now there is none.

    Args:
        recipe: parameters of the flow `train`.
        synthetic: whether its images are drawn.
        home: state folder.
        settings: the endpoint of S3.
    """
    searched = bool(recipe.get("search_minutes"))
    specs = [spec for spec in specs_of(recipe, synthetic) if spec.pretrained]
    weights = {f"the pretrained weights of {spec.name}": _weights(spec, searched, home) for spec in specs}
    return {name: digest for name, digest in weights.items() if digest} | _embeddings(
        recipe.get("embeddings") or (), settings
    )


def _weights(spec: CandidateSpec, searched: bool, home: Path) -> str | None:
    """Digest of the weights, with a search at all its sizes; None where they are on other machines, or out of reach."""
    try:
        found = identities(spec, home) if searched else [identity(spec, home)]
    except WeightsError:
        return None
    return stage_key("weights", identities=found)


def _embeddings(places: Sequence[str], settings: Data) -> dict[str, str]:
    """Digests by the files' names; files of one name in several folders share one."""
    found: dict[str, str] = {}
    for place in places:
        try:
            for file, digest in embeddings.digests(place, settings):
                name = f"the embeddings {file}"
                found[name] = stage_key("embeddings", before=found.get(name), content=digest)
        except DataError:  # a training will say why
            continue
    return found
