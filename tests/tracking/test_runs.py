import json
import time
from pathlib import Path

import pandas as pd
import pytest

from pneumo.errors import TrackingError
from pneumo.records.data import DatasetVersion
from pneumo.tracking import Tracker
from pneumo.tracking.addresses import artifact
from pneumo.tracking.runs import Runs


def read(tracker: Tracker, run_id: str):  # type: ignore[no-untyped-def]
    return tracker.client.get_run(run_id)


def test_a_child_run_hangs_below_its_parent_and_carries_versions(tracker: Tracker) -> None:
    parent = tracker.runs.start("parent")
    child = tracker.runs.start("child", parent=parent, tags={"candidate": "MobileNet"})
    tags = tracker.runs.tags(child)
    assert tags["mlflow.parentRunId"] == parent
    assert tags["candidate"] == "MobileNet"
    assert tags["version.mlflow"].startswith("3.")


def test_a_run_keeps_parameters_metrics_by_step_and_files(tracker: Tracker, tmp_path: Path) -> None:
    run_id = tracker.runs.start("content")
    tracker.log.params(run_id, {"backbones": ["a", "b"], "seed": 0, "name": "text", "long": "x" * 9000})
    tracker.log.metrics(run_id, {"loss": 0.5}, step=1)
    tracker.log.metrics(run_id, {"loss": 0.25}, step=2)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file.txt").write_text("content")
    tracker.log.artifacts(run_id, tmp_path, "folder")
    tracker.log.text(run_id, "hello", "notes/hello.txt")
    found = read(tracker, run_id)
    assert found.data.params["backbones"] == '["a", "b"]'
    assert found.data.params["name"] == "text"
    assert len(found.data.params["long"]) == 6000
    assert [item.value for item in tracker.client.get_metric_history(run_id, "loss")] == [0.5, 0.25]
    assert tracker.files.download(f"runs:/{run_id}/folder/deep/file.txt", tmp_path / "back").read_text() == "content"
    assert tracker.files.download(f"runs:/{run_id}/notes/hello.txt", tmp_path / "back").read_text() == "hello"


def test_the_load_of_the_machine_is_a_metric_with_steps(tracker: Tracker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.1")
    run_id = tracker.runs.start("busy")
    with tracker.runs.watched(run_id):
        time.sleep(2)
    history = tracker.client.get_metric_history(run_id, "system/cpu_utilization_percentage")
    assert len(history) > 1 and [item.step for item in history] == list(range(len(history)))
    assert read(tracker, run_id).data.metrics["system/system_memory_usage_percentage"] > 0


def test_a_failed_run_says_why(tracker: Tracker) -> None:
    run_id = tracker.runs.start("failing")
    tracker.runs.finish(run_id, "FAILED", "no images")
    assert read(tracker, run_id).info.status == "FAILED"
    assert tracker.runs.tags(run_id)["reason"] == "no images"


def test_a_run_names_its_data_set_by_digest(tracker: Tracker, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.parquet"
    pd.DataFrame({"path": ["a.png"], "split": ["test"]}).to_parquet(manifest)
    version = DatasetVersion(
        digest="d" * 64, source="phantom", synthetic=True, root=tmp_path, manifest=manifest, images=9,
        counts={"train": {"NORMAL": 6}, "test": {"NORMAL": 1, "PNEUMONIA": 2}},
    )  # fmt: skip
    run_id = tracker.runs.start("data")
    tracker.log.dataset(run_id, version)
    found = {
        (item.tags[0].value, item.dataset.name, item.dataset.digest, json.loads(item.dataset.profile)["num_rows"])
        for item in read(tracker, run_id).inputs.dataset_inputs
    }
    assert found == {("training", "phantom", "d" * 36, 9), ("evaluation", "phantom test", "d" * 36, 3)}
    assert tracker.runs.tags(run_id)["dataset.digest"] == "d" * 64
    assert tracker.runs.tags(run_id)["synthetic"] == "true"


def test_addresses_of_pages_ask_for_those_of_training(tracker: Tracker) -> None:
    """What that opens is seen in tests/tasks/test_pages.py, in a browser."""
    experiment, mode = tracker.runs.experiment_id, "?workflowType=machine_learning"
    assert tracker.runs.url("r") == f"{tracker.uri}/#/experiments/{experiment}/runs/r{mode}"
    assert artifact(tracker.runs.url("r"), "a/b.png").endswith(f"/runs/r/artifacts/a/b.png{mode}")
    assert tracker.registry.version_url("m", "3") == f"{tracker.uri}/#/models/m/versions/3{mode}"
    assert tracker.runs.leaderboard() == (
        f"{tracker.uri}/#/experiments/{experiment}/runs{mode}&viewStateShareKey=leaderboard"
    )


@pytest.mark.parametrize("source", ["/scans of St. John's", 'the "new" ones', "a' OR tags.x = 'b"])
def test_runs_are_found_by_a_tag_that_holds_quotes(tracker: Tracker, source: str) -> None:
    runs = [tracker.runs.start("run", tags={"source": name}) for name in (source, "another")]
    for run_id in runs:
        tracker.runs.finish(run_id)
    assert [run.run_id for run in tracker.runs.newest({"source": source}, limit=9)] == runs[:1]


def test_a_tag_that_no_filter_can_hold_is_refused(tracker: Tracker) -> None:
    with pytest.raises(TrackingError, match="Expected a value without"):
        tracker.runs.newest({"source": """it's "new\""""})


def test_a_server_that_goes_away_before_its_page_is_known_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A page's address needs the experiment, and `pneumo champion` asks for it last."""
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    runs = Runs(MlflowClient("http://127.0.0.1:9"), "http://127.0.0.1:9", "gone", "http://127.0.0.1:9")
    with pytest.raises(TrackingError, match=r"stopped answering during Runs.experiment_id: see its log"):
        runs.url("r")
