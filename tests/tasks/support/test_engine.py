"""Trainings on this machine by Prefect's task runner: some at once, and one failure does not end the others."""

import math
import threading
import time

import pytest
from prefect import flow
from prefect.testing.utilities import prefect_test_harness

from pneumo.data.parallel import workers
from pneumo.errors import TrainingError
from pneumo.records.data import DatasetVersion, ImageStore
from pneumo.records.model import Candidate
from pneumo.settings import Settings
from pneumo.settings.servers import Engine
from pneumo.training.candidates.spec import candidate_specs
from tasks import training
from tasks.support import engine


@pytest.fixture(scope="module", autouse=True)
def prefect_server():
    with prefect_test_harness(server_startup_timeout=180):
        yield


@pytest.fixture
def things(tmp_path):
    version = DatasetVersion(
        digest="d" * 64, source="s", synthetic=True, root=tmp_path, manifest=tmp_path, images=1, counts={}
    )
    store = ImageStore(key="k", path=tmp_path, size=32, fit="squash", images=1)
    specs = candidate_specs("MobileNet:0.25,MobileNetV2:0.35", "none", 32, 1)
    return specs, version, store, Settings(home=tmp_path)


@pytest.fixture
def trained(monkeypatch, tmp_path):
    """Stands in for the training itself: says how many ran at once, and fails for the names that are told to."""
    state = {"now": 0, "most": 0, "fail": set(), "speechless": set(), "threads": set()}
    lock = threading.Lock()

    def stand_in(spec, *others):
        with lock:
            state["threads"].add(others[-1])
            state["now"] += 1
            state["most"] = max(state["most"], state["now"])
        time.sleep(0.1)
        with lock:
            state["now"] -= 1
        if spec.name in state["speechless"]:
            raise MemoryError
        if spec.name in state["fail"]:
            raise TrainingError(f"no weights for {spec.name}\nand more lines")
        return Candidate(
            name=spec.name, key=spec.name, run_id="r", model=tmp_path, predictions=tmp_path, validation_auc=1,
            shifted_auc=1, selection_score=1, minutes=1,
        )  # fmt: skip

    monkeypatch.setattr(training, "start_child", lambda *_: "run")
    monkeypatch.setattr(training, "_recorded", lambda _run, _name, work: work(lambda _event: None))
    monkeypatch.setattr(training.candidates, "train", stand_in)
    return state


def train_all(things):
    specs, version, store, settings = things

    @flow
    def main():
        return engine.train_all(specs, version, store, settings, "parent")

    return main()


@pytest.mark.parametrize("at_once", [1, 2])
def test_every_backbone_is_trained_and_as_many_at_once_as_asked_for(things, trained, at_once):
    specs, version, store, settings = things
    specs = candidate_specs("MobileNet:0.25,MobileNetV2:0.35,MobileNet:0.5", "none", 32, 1)
    settings = settings.model_copy(update={"engine": Engine(at_once=at_once)})
    candidates, failures = train_all((specs, version, store, settings))
    assert [candidate.name for candidate in candidates] == ["MobileNet 0.25", "MobileNetV2 0.35", "MobileNet 0.5"]
    assert failures == {}
    assert trained["most"] == at_once
    assert trained["threads"] == {None if at_once == 1 else math.ceil(workers() / 2)}


def test_one_that_fails_is_told_and_the_other_goes_on(things, trained):
    trained["fail"] = {"MobileNet 0.25"}
    candidates, failures = train_all(things)
    assert [candidate.name for candidate in candidates] == ["MobileNetV2 0.35"]
    assert failures == {"MobileNet 0.25": "no weights for MobileNet 0.25"}


def test_one_that_fails_without_words_is_told_by_its_kind(things, trained):
    trained["speechless"] = {"MobileNet 0.25"}
    candidates, failures = train_all(things)
    assert [candidate.name for candidate in candidates] == ["MobileNetV2 0.35"]
    assert failures == {"MobileNet 0.25": "MemoryError"}


def test_all_failing_is_an_error_that_names_each_reason(things, trained):
    trained["fail"] = {"MobileNet 0.25", "MobileNetV2 0.35"}
    with pytest.raises(TrainingError, match=r"all 2 failed: MobileNet 0\.25: no weights .*; MobileNetV2 0\.35: no"):
        train_all(things)


@pytest.mark.parametrize("address", ["ray:/head:10001", "dask://head", "", "ray://head/path"])
def test_an_address_that_is_no_engine_is_refused(address):
    with pytest.raises(ValueError, match="address"):
        Engine(address=address)
