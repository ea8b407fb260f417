"""The drawn sets of the data's tests, and the tiny network of serving's."""

from tests.data.conftest import chest_set, home, make
from tests.serving.conftest import bundle, bundle_folder, tiny

__all__ = ["bundle", "bundle_folder", "chest_set", "home", "make", "tiny"]
