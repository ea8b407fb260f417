import pytest

from pneumo.errors import TrackingError
from pneumo.monitoring.drift import LastRequest


def test_what_a_newer_pneumo_noted_is_refused_in_words():
    assert LastRequest.read("announced", LastRequest(new=3).model_dump_json()).new == 3
    with pytest.raises(TrackingError, match=r"tag announced of its run.* a newer pneumo may have written it"):
        LastRequest.read("announced", '{"new": 3, "reasons": []}')
