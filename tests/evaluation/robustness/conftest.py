"""The tiny drawn set of the trainings' tests: these tests look at its pixels."""

import pytest

from pneumo.training.dataset_images import Images, open_images
from tests.training.conftest import write_set


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    return open_images(*write_set(tmp_path_factory.mktemp("set")))
