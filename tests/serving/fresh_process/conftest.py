"""The bundle and the model file of the tracker's tests, in which the 'network' is one number."""

from tests.tracking.conftest import bundle, model_file

__all__ = ["bundle", "model_file"]
