import pytest

from pneumo.monitoring import retraining
from pneumo.operations.flow_runs.reconcile import REASON
from pneumo.settings import Settings
from pneumo.settings.promotion import Promotion, Registry

RECIPE = {"data": "/images", "seed": 0, "backbones": None}
FILES = {"the pretrained weights of MobileNet 1.0": "aa", "the embeddings chexnet.parquet": "bb"}


@pytest.fixture
def last():
    def made(digest="d", recipe=RECIPE, settings=None, files=FILES):
        parts = retraining.tags(digest, "i", recipe, settings or Settings(), {})
        parts = {name: parts[name] for name in retraining.PARTS}
        read = {"recipe": recipe, "parts": parts, "files": files}
        return retraining.RepeatableRun(run_id="1", name="first", inventory="i", **read)

    return made


def differs(last, digest="d", settings=None, files=FILES):
    return retraining.cause(last, retraining.tags(digest, "i", RECIPE, settings or Settings(), files))


def test_nothing_new_is_no_cause(last):
    assert differs(last()) == ""


def test_other_data_are_a_cause(last):
    assert differs(last(), "e") == "the data set"


def test_other_settings_of_promotion_are_a_cause_and_a_port_is_none(last):
    assert differs(last(), settings=Settings(promotion=Promotion(minimum_auc=0.5))) == "the settings"
    assert differs(last(), settings=Settings(services={"mlflow_port": 1})) == ""


def test_other_code_is_a_cause(last, monkeypatch):
    before = last()
    monkeypatch.setattr(retraining, "code_version", lambda *parts: "newer")
    assert differs(before) == "the code or a library"


@pytest.mark.parametrize("name", FILES)
def test_other_weights_or_embeddings_at_the_same_address_are_a_cause_that_is_named(last, name):
    assert differs(last(), files={**FILES, name: "cc"}) == name
    assert differs(last(), "e", files={**FILES, "the embeddings new.parquet": "cc"}) == (
        "the data set, the embeddings new.parquet"
    )


def test_files_that_an_older_run_did_not_note_or_that_cannot_be_read_now_are_no_cause(last):
    assert differs(last(files=None)) == ""
    assert differs(last(), files={}) == ""


def test_the_same_files_are_cut_anew_once_code_or_settings_have_changed(last, monkeypatch):
    before = last()
    assert retraining.is_cut_alike(before, "i", Settings())
    assert not retraining.is_cut_alike(before, "j", Settings())
    assert not retraining.is_cut_alike(before, "i", Settings(promotion=Promotion(minimum_auc=0.5)))
    monkeypatch.setattr(retraining, "code_version", lambda *parts: "newer")
    assert not retraining.is_cut_alike(before, "i", Settings())


def test_an_old_recipe_loses_what_is_not_known_any_more_and_gains_what_is_new():
    found, unknown = retraining.complete({"data": "/images", "size": 96}, {"data": "phantom", "image_size": None})
    assert found == {"data": "/images", "image_size": None}
    assert unknown == ["size"]


@pytest.mark.services
def test_the_last_success_is_of_the_source_asked_for_and_prefers_real_images(tracker):
    def run(source, synthetic, succeeded=True):
        tags = {"stage": "pipeline", "data.source": source, "synthetic": synthetic}
        run_id = tracker.runs.start(source, tags=tags)
        if succeeded:
            tracker.runs.set_tags(run_id, retraining.tags("d", "i", {**RECIPE, "data": source}, Settings(), {}))
        tracker.runs.finish(run_id)
        return run_id

    assert retraining.last_success(tracker, None) is None
    run("/old", "false")
    real, drawn = run("/real", "false"), run("phantom", "true")
    run("/real", "false", succeeded=False)
    assert retraining.last_success(tracker, None).run_id == real
    found = retraining.last_success(tracker, "phantom")
    assert (found.run_id, found.recipe["data"]) == (drawn, "phantom")
    assert retraining.last_success(tracker, "/never") is None


def ended(tracker, recipe, status="FINISHED", reason=None):
    """A pipeline run of a source called `recipe["data"]`."""
    run_id = tracker.runs.start("pipeline", tags={"stage": "pipeline", "data.source": recipe["data"]})
    tracker.runs.set_tags(run_id, retraining.tags("d", "i", recipe, Settings(), {}))
    tracker.runs.finish(run_id, status, reason)
    return run_id


@pytest.mark.services
def test_the_champion_s_recipe_is_repeated_and_not_that_of_a_trial_after_it(tracker):
    names = Registry(model=f"lungs-{tracker.experiment}", phantom_model=f"drawn-{tracker.experiment}")
    settings = Settings(registry=names)
    good = ended(tracker, {"data": "/scans", "epochs": 3})
    trial = ended(tracker, {"data": "/scans", "epochs": 0})
    assert retraining.model_run(tracker, settings, "/scans").run_id == trial
    made = tracker.client.create_logged_model(tracker.runs.experiment_id).model_uri
    number = tracker.registry.register(made, names.model, tags={"pipeline.run": good})
    tracker.registry.set_alias(names.model, "champion", number)
    for source in ("/scans", None):
        assert retraining.model_run(tracker, settings, source).recipe == {"data": "/scans", "epochs": 3}
    ended(tracker, {"data": "/other", "epochs": 0})
    assert retraining.model_run(tracker, settings, "/other").run_id == good


@pytest.mark.services
def test_real_images_are_not_trained_on_by_the_recipe_of_drawn_ones_nor_the_other_way(tracker):
    names = Registry(model=f"lungs-{tracker.experiment}", phantom_model=f"drawn-{tracker.experiment}")
    settings = Settings(registry=names)
    drawn = ended(tracker, {"data": "phantom", "epochs": 1})
    runs = {names.phantom_model: drawn}
    for expected in (None, "real"):
        for name, run_id in runs.items():
            made = tracker.client.create_logged_model(tracker.runs.experiment_id).model_uri
            number = tracker.registry.register(made, name, tags={"pipeline.run": run_id})
            tracker.registry.set_alias(name, "champion", number)
        found = retraining.model_run(tracker, settings, "/never seen", synthetic=False)
        assert (found and found.run_id) == runs.get(names.model) and (found is None) == (expected is None)
        assert retraining.model_run(tracker, settings, "phantom:99", synthetic=True).run_id == drawn
        runs[names.model] = ended(tracker, {"data": "/scans", "epochs": 3})


@pytest.mark.services
def test_what_was_tried_once_is_not_tried_for_ever(tracker):
    now = retraining.tags("d", "i", {"data": "/tried"}, Settings(), {})
    assert retraining.tried(tracker, now) == ""
    for _ in range(3):
        assert retraining.tried(tracker, now) == ""
        ended(tracker, {"data": "/tried"}, "FAILED")
    assert retraining.tried(tracker, now).startswith(
        "3 runs with the same data, parameters, settings and code failed or died"
    )
    assert retraining.tried(tracker, retraining.tags("e", "i", {"data": "/tried"}, Settings(), {})) == ""
    ended(tracker, {"data": "/done"})
    done = retraining.tried(tracker, retraining.tags("d", "i", {"data": "/done"}, Settings(), {}))
    assert done == "data, parameters, settings and code are those of pipeline"


@pytest.mark.services
def test_a_run_that_dies_every_time_is_not_tried_for_ever_and_a_cancelled_one_is_no_try(tracker):
    now = retraining.tags("d", "i", {"data": "/large"}, Settings(), {})
    for _ in range(3):
        ended(tracker, {"data": "/large"}, "KILLED", "the flow run was cancelled")
    for _ in range(3):
        assert retraining.tried(tracker, now) == ""
        ended(tracker, {"data": "/large"}, "KILLED", REASON)
    assert "failed or died" in retraining.tried(tracker, now)
