"""A registered version's bundle in this process, for what needs the network itself: the web page and export."""

from typing import NamedTuple

from pneumo.data.store.decode import decode
from pneumo.serving.bundle.image_bundle import Bundle, Images, load_bundle
from pneumo.serving.fresh_process.client import needs_embeddings
from pneumo.tracking import ModelVersion, Tracker
from pneumo.tracking.models.bundles import find_bundle, input_example


class Registered(NamedTuple):
    """The bundle, and the version's input example, uint8 (1, size, size)."""

    bundle: Bundle
    example: Images


def load_registered(tracker: Tracker, version: ModelVersion) -> Registered:
    """Fetch a version and load it.

    Raises:
        TrackingError: it cannot be fetched, or its files are not known to be those that were registered.
        ModelError: it is no model of pneumo, was changed, or takes embeddings and no images.
    """
    with tracker.files.verified(version.uri) as folder:
        bundle = load_bundle(find_bundle(folder))
        if not isinstance(bundle, Bundle):
            raise needs_embeddings(version)
        example = input_example(folder)
    return Registered(bundle, decode(example, bundle.spec.size, bundle.spec.fit, name="the input example")[None])
