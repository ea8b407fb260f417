from types import SimpleNamespace

import numpy as np
import pytest

from pneumo.errors import ModelError
from pneumo.evaluation.bundle_checks import require_same


@pytest.mark.parametrize("now", [[0.1, 0.52], [0.1, np.nan]], ids=["another", "no number"])
def test_a_bundle_that_does_not_score_as_its_predictions_is_refused(now):
    bundle = SimpleNamespace(spec=SimpleNamespace(name="m"))
    require_same(bundle, np.array([0.1, 0.5]), np.array([0.1, 0.505]))
    with pytest.raises(ModelError, match=r"Expected model m to score test images as in its predictions"):
        require_same(bundle, np.array([0.1, 0.5]), np.array(now))
