"""Data, checkpoint and result on their way between machines: every machine here is a folder of its own."""

import errno
import json
import shutil
from pathlib import Path

import pytest

from pneumo.data.object_storage import Bucket
from pneumo.data.quality.gate import validate
from pneumo.data.sources.schemes import ingest
from pneumo.data.store.image_store import decode_all
from pneumo.data.store.packs import push
from pneumo.data.store.versions import make_version
from pneumo.errors import DataError
from pneumo.records.model import Candidate
from pneumo.settings import Settings
from pneumo.settings.data import Data, Gate
from pneumo.training.process import remote
from pneumo.training.process.job import FILES, checkpoint_file, result_folder
from pneumo.training.process.progress import Progress, silent


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A version of a drawn set, and its home."""
    home = tmp_path_factory.mktemp("made")
    inventory = ingest("phantom:48", home, Data())
    return make_version(inventory, validate(inventory, home, Gate(), None), home), home


@pytest.fixture
def fetched(monkeypatch):
    """Keys that are fetched from now on."""
    keys, get = [], Bucket.get
    monkeypatch.setattr(Bucket, "get", lambda self, key, etag=None: keys.append(key) or get(self, key, etag))
    return keys


@pytest.fixture
def machine(tmp_path, s3_server, request):
    """Settings of another machine, by its name; the bucket's prefix is the test's own."""
    storage = f"s3://hospital/{request.node.name}"

    def settings(name):
        return Settings(home=tmp_path / name, data=Data(storage=storage, s3_endpoint=s3_server))

    return settings


def finished(settings, key="abc"):
    """A candidate as a training leaves it."""
    folder = result_folder(settings.home, key)
    folder.mkdir(parents=True)
    record = Candidate(
        name="MobileNet 0.25", key=key, run_id="run", model=folder / "model.keras",
        predictions=folder / "predictions.parquet", validation_auc=0.9, shifted_auc=0.8, selection_score=0.85,
        minutes=1,
    )  # fmt: skip
    for name in FILES:
        (folder / name).write_bytes(f"content of {name}".encode())
    (folder / "candidate.json").write_text(record.model_dump_json())
    return record


def test_data_come_by_their_digest_alone_and_once(made, machine, fetched):
    version, home = made
    store = decode_all(version, home, 32, "squash")
    push(version, machine("head").data)
    there, decoded = remote.prepare_data(version.digest, 32, "squash", machine("worker"))
    assert there.digest == version.digest
    assert str(there.root).startswith(str(machine("worker").home))
    assert decoded.key == store.key
    assert decoded.path.read_bytes() == store.path.read_bytes()
    fetched.clear()
    remote.prepare_data(version.digest, 32, "squash", machine("worker"))
    assert fetched == []


def test_a_machine_whose_copy_was_removed_pulls_again(made, machine):
    version, _ = made
    push(version, machine("head").data)
    first, _ = remote.prepare_data(version.digest, 32, "squash", machine("worker"))
    shutil.rmtree(first.root)
    again, _ = remote.prepare_data(version.digest, 32, "squash", machine("worker"))
    assert again.root.is_dir()


def test_a_candidate_arrives_as_it_was_sent(machine):
    sent = finished(machine("worker"))
    remote.upload_candidate(sent, machine("worker"))
    here = remote.fetch_candidate(sent, machine("head"))
    assert here.model == result_folder(machine("head").home, "abc") / "model.keras"
    assert here.model.read_bytes() == sent.model.read_bytes()
    assert here.selection_score == sent.selection_score


def test_a_candidate_that_changed_on_the_storage_is_refused(machine):
    sent = finished(machine("worker"))
    remote.upload_candidate(sent, machine("worker"))
    bucket = remote._bucket(machine("worker"))
    bucket.put(bucket.key("train", "abc", "model.keras"), b"another model")
    with pytest.raises(DataError, match=r"Expected model\.keras of MobileNet 0\.25 \(abc\)"):
        remote.fetch_candidate(sent, machine("head"))
    assert not result_folder(machine("head").home, "abc").exists()


def test_an_unfinished_training_goes_on_elsewhere(machine):
    lost, other = machine("lost"), machine("other")
    file = checkpoint_file(lost.home, "abc")
    file.parent.mkdir(parents=True)
    report = remote.mirrored("abc", lost, silent)
    file.write_bytes(b"epoch 1")
    report(Progress(name="m", stage="tuning", epoch=1, metrics={"loss": 0.5}))
    remote.fetch_checkpoint("abc", other)
    assert checkpoint_file(other.home, "abc").read_bytes() == b"epoch 1"


def test_a_checkpoint_that_did_not_come_whole_is_none(machine, monkeypatch):
    lost, other = machine("lost"), machine("other")
    file = checkpoint_file(lost.home, "abc")
    file.parent.mkdir(parents=True)
    file.write_bytes(b"epoch 1")
    remote.mirrored("abc", lost, silent)(Progress(name="m", stage="tuning", epoch=1, metrics={"loss": 0.5}))

    def full(path, data):
        with path.open("wb") as target:
            target.write(data[:3])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(Path, "write_bytes", full)
        remote.fetch_checkpoint("abc", other)
    assert not checkpoint_file(other.home, "abc").exists()
    remote.fetch_checkpoint("abc", other)
    assert checkpoint_file(other.home, "abc").read_bytes() == b"epoch 1"


def test_steps_within_an_epoch_send_nothing(machine):
    file = checkpoint_file(machine("worker").home, "abc")
    file.parent.mkdir(parents=True)
    file.write_bytes(b"old")
    remote.mirrored("abc", machine("worker"), silent)(Progress(name="m", stage="tuning", epoch=1, step=3))
    remote.fetch_checkpoint("abc", machine("other"))
    assert not checkpoint_file(machine("other").home, "abc").exists()


def test_a_checkpoint_of_this_machine_is_not_replaced(machine):
    lost, other = machine("lost"), machine("other")
    for settings, text in ((lost, b"theirs"), (other, b"mine")):
        checkpoint_file(settings.home, "abc").parent.mkdir(parents=True)
        checkpoint_file(settings.home, "abc").write_bytes(text)
    remote.mirrored("abc", lost, silent)(Progress(name="m", stage="tuning", epoch=1, metrics={"loss": 0.5}))
    remote.fetch_checkpoint("abc", other)
    assert checkpoint_file(other.home, "abc").read_bytes() == b"mine"


def test_a_finished_training_leaves_no_checkpoint_behind(machine):
    settings = machine("worker")
    sent = finished(settings)
    checkpoint_file(settings.home, "abc").parent.mkdir(parents=True)
    checkpoint_file(settings.home, "abc").write_bytes(b"last")
    remote.mirrored("abc", settings, silent)(Progress(name="m", stage="tuning", epoch=1, metrics={"loss": 0.5}))
    remote.upload_candidate(sent, settings)
    remote.fetch_checkpoint("abc", machine("other"))
    assert not checkpoint_file(machine("other").home, "abc").exists()


def test_the_list_of_files_is_written_last(machine, monkeypatch):
    """So a candidate that can be seen is complete."""
    keys, put = [], Bucket.put
    monkeypatch.setattr(Bucket, "put", lambda self, key, data: keys.append(key) or put(self, key, data))
    remote.upload_candidate(finished(machine("worker")), machine("worker"))
    assert keys[-1].endswith("files.json")
    assert json.loads(remote._bucket(machine("worker")).get(keys[-1])).keys() == set(FILES)


def test_without_a_bucket_it_says_what_to_set(tmp_path):
    with pytest.raises(DataError, match=r"data\.storage in mlflow\.yaml is empty"):
        remote.fetch_checkpoint("abc", Settings(home=tmp_path))
