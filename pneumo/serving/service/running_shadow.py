"""The shadow that `serve.shadow` names: which version it is, and the threads that load it and let it score."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pneumo.serving.service.followed_model import FollowedModel
from pneumo.serving.service.shadow import Shadow, Tell
from pneumo.settings import Settings
from pneumo.tracking import ModelVersion, Tracker

Find = Callable[[], tuple[Tracker, ModelVersion]]


@contextmanager
def running_shadow(settings: Settings, find: Find, tell: Tell) -> Iterator[Shadow | None]:
    """Run the shadow that `serve.shadow` names, in threads of its own, during the block; None if the setting is empty.

    Args:
        find: the version that should answer.
        tell: writes a line of the service's log.
    """
    limits = settings.serve
    if limits.shadow is None:
        yield None
        return
    model = FollowedModel(other_version(find, limits.shadow), limits.uncertain, last=True)
    shadow = Shadow(model, settings.home, limits.request_mb << 20, tell)
    follow = (limits.follow_seconds, lambda words: tell(f"shadow: {words}"))
    threading.Thread(target=model.follow, args=follow, daemon=True).start()
    threading.Thread(target=shadow.run, daemon=True).start()
    try:
        yield shadow
    finally:
        shadow.close()


def other_version(find: Find, name: str) -> Callable[[], tuple[Tracker, ModelVersion] | None]:
    """A function that finds the version with an alias or a number in the model that answers; None if that answers."""

    def other() -> tuple[Tracker, ModelVersion] | None:
        tracker, answers = find()
        found = tracker.registry.resolve(f"models:/{answers.name}{'/' if name.isdecimal() else '@'}{name}")
        return None if found.version == answers.version else (tracker, found)

    return other
