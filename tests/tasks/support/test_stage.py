"""Stages in a flow of a real Prefect: what was found is shown as Cached, and what a stage depends on decides."""

import numpy as np
import pytest
from prefect import flow
from prefect.testing.utilities import prefect_test_harness

from pneumo.cache import is_kept, stage_key, written_once
from pneumo.records.data import DatasetVersion, ImageStore
from pneumo.records.model import Candidate
from pneumo.tracking import Tracker
from pneumo.training.candidates import candidate as candidates
from pneumo.training.candidates.spec import candidate_specs
from tasks import training
from tasks.support.stage import stage


@pytest.fixture(scope="module", autouse=True)
def prefect():
    with prefect_test_harness(server_startup_timeout=180):
        yield


def state_of(work, *args, **kwargs):
    """The name of the task's state, and its result."""

    @flow
    def run():
        future = work.submit(*args, **kwargs)
        future.wait()
        return future.state.name, future.state.result()

    return run()


def test_work_is_completed_and_what_was_found_is_cached(tmp_path):
    @stage("double")
    def double(number):
        folder = tmp_path / stage_key("double", number=number)
        if not is_kept(folder):
            with written_once(folder) as scratch:
                (scratch / "result").write_text(str(2 * number))
        return int((folder / "result").read_text())

    assert state_of(double, 2) == ("Completed", 4)
    assert state_of(double, 2) == ("Cached", 4)
    assert state_of(double, 3) == ("Completed", 6)


def test_an_error_of_a_stage_is_the_flows(tmp_path):
    @stage("fails")
    def fails():
        raise ValueError("no image")

    with pytest.raises(ValueError, match="no image"):
        flow(lambda: fails())()


@pytest.fixture
def train(mlflow_server, tmp_path, monkeypatch):
    """Trains in a run of its own and says how the task ended; only the training process itself is a stand-in."""
    monkeypatch.setenv("PNEUMO_TRACKING__URI", mlflow_server)
    monkeypatch.setenv("PNEUMO_TRACKING__EXPERIMENT", "stages")

    def work(job, on_progress, threads):
        candidate = Candidate(
            name=job.name, key=job.key, run_id=job.run_id, model=job.folder / "model.keras",
            predictions=job.folder / "predictions.parquet", validation_auc=0.9, shifted_auc=0.9, selection_score=0.9,
            minutes=1,
        )  # fmt: skip
        with written_once(job.folder) as scratch:
            (scratch / "candidate.json").write_text(candidate.model_dump_json())
            (scratch / "history.json").write_text('{"epochs": [{"epoch": 1, "loss": 0.5}]}')

    monkeypatch.setattr(candidates, "run", work)
    version = DatasetVersion(
        digest="d" * 64, source="s", synthetic=True, root=tmp_path, manifest=tmp_path, images=1, counts={}
    )
    store = ImageStore(key="k", path=tmp_path, size=32, fit="squash", images=1)
    tracker = Tracker(mlflow_server, "stages")

    def begin(weights):
        parent = tracker.runs.start("pipeline")
        spec = candidate_specs("MobileNet:0.25", str(weights), 32, 1)[0]
        name, candidate = state_of(training.train, spec, version, store, tmp_path, parent)
        assert tracker.runs.tags(candidate.run_id)["mlflow.parentRunId"] == parent
        return name, candidate, tracker.client.get_metric_history(candidate.run_id, "loss")

    return begin


def test_replaced_weights_or_another_backend_are_another_training(train, tmp_path, monkeypatch):
    folder = tmp_path / "weights"
    folder.mkdir()
    file = folder / "MobileNet_0.25_224_no_top.weights.h5"
    file.write_bytes(np.zeros(8).tobytes())
    name, first, _ = train(folder)
    assert name == "Completed"
    name, again, curve = train(folder)
    assert (name, again.key) == ("Cached", first.key)
    assert again.run_id != first.run_id and [point.value for point in curve] == [0.5]
    file.write_bytes(np.ones(8).tobytes())
    name, other, _ = train(folder)
    assert name == "Completed" and other.key != first.key
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert train(folder)[0] == "Completed"
