"""The registry's small world, for tests of the approval that a promotion waits for."""

from tests.registry.conftest import tracker, world

__all__ = ["tracker", "world"]
