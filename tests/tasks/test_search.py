"""The search as a task of a flow, with a real MLflow and a real Prefect; the trainings stand in."""

import pytest
from prefect import flow
from prefect.testing.utilities import prefect_test_harness

from pneumo.records.data import DatasetVersion, ImageStore
from pneumo.records.model import Candidate
from pneumo.tracking import Tracker
from pneumo.training.candidates.spec import candidate_specs
from pneumo.training.process.progress import Progress
from tasks import search as searching


@pytest.fixture(scope="module", autouse=True)
def prefect():
    with prefect_test_harness(server_startup_timeout=180):
        yield


@pytest.mark.slow
def test_each_trial_is_a_child_run_that_says_how_it_ended(mlflow_server, tmp_path, monkeypatch):
    monkeypatch.setenv("PNEUMO_TRACKING__URI", mlflow_server)
    monkeypatch.setenv("PNEUMO_TRACKING__EXPERIMENT", "search")
    begun = []

    def decode(version, home, size, fit):
        return ImageStore(key="k", path=tmp_path, size=size, fit=fit, images=1)

    def train(spec, version, store, run_id, home, follow):
        assert store.size == spec.size
        score = 0.9 - 0.1 * len(begun)
        begun.append(spec)
        follow(Progress(name=spec.name, stage="tuning", epoch=1, epochs=1, metrics={"score": score}))
        return Candidate(
            name=spec.name, key="k", run_id=run_id, model=tmp_path, predictions=tmp_path, validation_auc=score,
            shifted_auc=score, selection_score=score, minutes=1,
        )  # fmt: skip

    monkeypatch.setattr(searching, "decode_all", decode)
    monkeypatch.setattr(searching.candidates, "train", train)
    version = DatasetVersion(
        digest="d" * 64, source="s", synthetic=True, root=tmp_path, manifest=tmp_path, images=1, counts={}
    )
    spec, tracker = candidate_specs("MobileNet:0.25", "none", 32, 1)[0], Tracker(mlflow_server, "search")
    parent = tracker.runs.start("pipeline")

    @flow
    def run():
        return searching.search(spec, 0.05, version, "squash", tmp_path, parent)

    assert run() == spec
    below = {"mlflow.parentRunId": parent}
    assert len(tracker.runs.newest(below, "FINISHED", 100)) >= 3
    assert all("pruned" in found.tags["reason"] for found in tracker.runs.newest(below, "KILLED", 100))
    assert not tracker.runs.unfinished(below)
    trials = len(begun)
    assert run() == spec and len(begun) == trials
