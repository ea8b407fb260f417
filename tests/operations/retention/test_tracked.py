"""Runs and versions in MLflow: what no champion needs goes, if it is old and pneumo's own."""

from functools import partial
from pathlib import Path

import pytest

from pneumo.errors import PromotionError, TrackingError
from pneumo.operations import retention
from pneumo.operations.retention import tracked
from pneumo.registry import history
from pneumo.registry.promotion import promotion_lock
from pneumo.settings.servers import Serve
from pneumo.tracking.runs import Runs
from tests.operations.retention.conftest import names

STILL = partial(partial, promotion_lock.still)  # of settings: as the command and the flow hand it in


@pytest.mark.services
def test_champion_the_one_before_and_their_runs_stay(registered, tracker):
    settings, name, made = registered
    keep = tracked.needed(tracker, settings)
    versions = list(tracked.old_versions(tracker, settings, keep, STILL(settings)))
    runs = list(tracked.old_runs(tracker, settings, keep))
    assert names(versions) == {f"{name} 1", f"{name} 2"}
    assert {item.name.split("(")[1] for item, _ in runs} == {f"{made[0][1]})", f"{made[1][1]})"}
    assert {tracker.registry.version(name, number).tags["dataset.digest"] for number in ("3", "4")} == keep.digests


@pytest.mark.services
def test_the_version_that_scores_as_the_champions_shadow_stays(registered, tracker):
    settings, name, made = registered
    shadowed = settings.model_copy(update={"serve": Serve(shadow=1)})
    keep = tracked.needed(tracker, shadowed)
    assert names(tracked.old_versions(tracker, shadowed, keep, STILL(shadowed))) == {f"{name} 2"}
    assert made[0][1] in keep.runs


@pytest.mark.services
def test_a_removed_run_takes_its_files_and_models_with_it(registered, tracker):
    settings, name, made = registered
    keep = tracked.needed(tracker, settings)
    old = [*tracked.old_versions(tracker, settings, keep, STILL(settings)), *tracked.old_runs(tracker, settings, keep)]
    assert all(remove() for _, remove in old)
    assert [version.version for version in tracker.registry.versions(name)] == ["3", "4", "5"]
    assert tracker.client.get_run(made[0][2]).info.lifecycle_stage == "deleted"
    assert tracker.client.list_artifacts(made[0][2], "figures") == []
    assert tracker.client.list_artifacts(made[3][2], "figures") != []
    assert tracker.registry.alias(name, "champion") == "4"
    assert names(tracked.old_versions(tracker, settings, tracked.needed(tracker, settings), STILL(settings))) == set()


@pytest.mark.services
def test_what_became_of_a_run_since_the_plan_is_seen_without_planning_all_anew(registered, tracker, monkeypatch):
    settings, _, made = registered
    keep = tracked.needed(tracker, settings).model_copy(update={"runs": frozenset()})
    plan = [remove for _, remove in tracked.old_runs(tracker, settings, keep)]  # the newest first: of versions 4 to 1
    assert len(plan) == 4
    monkeypatch.setattr(Runs, "all", None)
    tracker.client.delete_run(made[0][1])  # a person did, and may restore it
    tracker.runs.start("mine", parent=made[1][2], tags={"mlflow.source.name": "notebook"})
    assert [remove() for remove in plan] == [False] * 4  # needed, needed, with a run of a person's, deleted
    tags = tracker.client.get_run(made[0][1]).data.tags
    assert "pneumo.erased" not in tags
    tracker.client.restore_run(made[0][1])
    for _, parent, *_ in made[1:]:
        tracker.client.delete_run(parent)
    assert not plan[-1](), "it is one of the newest now"
    for _, parent, *_ in made[1:]:
        tracker.client.restore_run(parent)
    assert plan[-1]()


@pytest.mark.services
@pytest.mark.parametrize("entry", ["{}", '{"version": "1", "proof": "x"}', "no JSON"])
def test_nothing_is_planned_where_the_history_has_an_entry_that_only_a_newer_pneumo_can_read(
    registered, tracker, entry
):
    settings, name, _ = registered
    tracker.registry.set_model_tag(name, "pneumo.history.000009.abc", entry)
    with pytest.raises(TrackingError, match=r"tag pneumo.history.000009.abc, .* a newer pneumo may have written it"):
        tracked.needed(tracker, settings)


@pytest.mark.services
def test_a_version_that_a_rollback_took_up_since_the_plan_stays_with_its_run(registered, tracker):
    settings, name, made = registered
    keep = tracked.needed(tracker, settings)
    old = [*tracked.old_versions(tracker, settings, keep, STILL(settings)), *tracked.old_runs(tracker, settings, keep)]
    assert len(old) == 4
    tracker.registry.set_alias(name, "champion", "1")
    assert [item.name for item in retention.apply(old, settings)] == [f"{name} 2", f"pipeline ({made[1][1]})"]
    assert tracker.registry.alias(name, "champion") == "1"
    assert tracker.client.get_run(made[0][1]).info.lifecycle_stage == "active"


@pytest.mark.services
def test_no_version_goes_while_somebody_may_be_going_back_to_it(registered, tracker):
    settings, name, _ = registered
    ((_, remove), *_) = tracked.old_versions(tracker, settings, tracked.needed(tracker, settings), STILL(settings))
    elsewhere = history.new_entry(1, history.by(Path("/another machine")), "rollback", "1", "", "4", "r", "e")
    history.append(tracker, name, elsewhere)
    with pytest.raises(PromotionError, match=r"announced version 1 .* it has not happened yet"):
        remove()
    assert tracker.registry.version(name, "1")


@pytest.mark.services
def test_the_run_that_promoted_a_version_which_another_run_had_made_stays(registered, tracker):
    settings, name, made = registered
    decisions = (("promotion", "4", made[0]), ("rejection", "2", made[1]))  # version 4 stays, version 2 goes
    for action, version, (_, parent, *_) in decisions:
        evidence = f"runs:/{parent}/promotion/decision.json"
        history.append(
            tracker, name, history.new_entry(1, history.by(Path("here")), action, version, "", "3", "r", evidence)
        )
    keep = tracked.needed(tracker, settings)
    assert names(tracked.old_runs(tracker, settings, keep)) == {f"pipeline ({made[1][1]})"}


@pytest.mark.services
def test_nothing_younger_than_the_limit_goes(registered, tracker, monkeypatch):
    settings, _, _ = registered
    monkeypatch.undo()
    keep = tracked.needed(tracker, settings)
    assert not list(tracked.old_versions(tracker, settings, keep, STILL(settings)))
    assert not list(tracked.old_runs(tracker, settings, keep))


@pytest.mark.services
def test_what_somebody_else_made_stays_and_all_that_it_rests_on(registered, tracker):
    settings, name, made = registered
    client, experiment = tracker.client, tracker.runs.experiment_id
    by_hand = client.create_run(experiment, run_name="mine").info.run_id
    client.set_terminated(by_hand)
    client.create_model_version(name, f"runs:/{by_hand}/model", by_hand)
    client.create_registered_model(f"{name}-of-a-colleague")
    source = tracker.registry.version(name, "1").source  # models:/<id of a logged model>
    client.create_model_version(f"{name}-of-a-colleague", source, model_id=source.removeprefix("models:/"))
    below = client.create_run(experiment, tags={"mlflow.parentRunId": made[1][2]}).info.run_id
    client.set_terminated(below)
    keep = tracked.needed(tracker, settings)
    assert names(tracked.old_versions(tracker, settings, keep, STILL(settings))) == {f"{name} 1", f"{name} 2"}
    assert names(tracked.old_runs(tracker, settings, keep)) == set()
