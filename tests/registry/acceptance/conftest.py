from typing import Any

import pytest

from pneumo.registry.acceptance import subject
from pneumo.registry.promotion import load_check
from pneumo.tracking.models.bundles import Bundles
from tests.registry.acceptance.place import LIMITS, draw


@pytest.fixture
def here(world: Any, quick: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A champion, and the labels of another place in `here.place`."""
    monkeypatch.setattr(subject, "ask", load_check.ask)
    log = Bundles.log
    monkeypatch.setattr(Bundles, "log", lambda *args: log(*args[:5], world.model_file))
    world.policy(**LIMITS)
    assert world.promote(world.candidate("fair", noise=1.0)).promoted
    world.place = str(draw(world.folder / "our_xrays", 90))
    return world
