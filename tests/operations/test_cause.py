import pytest

from pneumo.operations import cause
from pneumo.settings import Promotion, Settings

RECIPE = {"data": "/images", "seed": 0, "backbones": None}


@pytest.fixture
def last():
    def made(digest="d", recipe=RECIPE, settings=None):
        parts = cause.tags(digest, "i", recipe, settings or Settings())
        parts = {name: parts[name] for name in cause.PARTS}
        return cause.Success(run_id="1", name="first", inventory="i", recipe=recipe, parts=parts)

    return made


def test_nothing_new_is_no_cause(last):
    assert cause.cause(last(), "d", Settings()) == ""


def test_other_data_are_a_cause(last):
    assert cause.cause(last(), "e", Settings()) == "the data set"


def test_other_settings_of_promotion_are_a_cause_and_a_port_is_none(last):
    assert cause.cause(last(), "d", Settings(promotion=Promotion(minimum_auc=0.5))) == "the settings"
    assert cause.cause(last(), "d", Settings(services={"mlflow_port": 1})) == ""


def test_other_code_is_a_cause(last, monkeypatch):
    before = last()
    monkeypatch.setattr(cause, "code_version", lambda *parts: "newer")
    assert cause.cause(before, "d", Settings()) == "the code"


@pytest.mark.services
def test_the_last_success_is_of_the_source_asked_for_and_prefers_real_images(tracker):
    def run(source, synthetic, succeeded=True):
        tags = {"stage": "pipeline", "data.source": source, "synthetic": synthetic}
        run_id = tracker.start_run(source, tags=tags)
        if succeeded:
            tracker.set_tags(run_id, cause.tags("d", "i", {**RECIPE, "data": source}, Settings()))
        tracker.finish(run_id)
        return run_id

    assert cause.last_success(tracker, None) is None
    run("/old", "false")
    real, drawn = run("/real", "false"), run("phantom", "true")
    run("/real", "false", succeeded=False)
    assert cause.last_success(tracker, None).run_id == real
    found = cause.last_success(tracker, "phantom")
    assert (found.run_id, found.recipe["data"]) == (drawn, "phantom")
    assert cause.last_success(tracker, "/never") is None
