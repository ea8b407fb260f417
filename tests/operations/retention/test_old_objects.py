"""Dataset versions on S3: old ones go, with the images that only they have."""

import time
import uuid
from functools import partial
from pathlib import Path

import pandas as pd

from pneumo.data.store import old_objects, packs
from pneumo.data.store.versions import keep_version
from pneumo.operations import retention
from pneumo.settings import Settings
from pneumo.settings.data import Data
from pneumo.settings.unattended import Retention

ROW = {"path": "a", "sha256": "s", "label": "NORMAL", "subtype": "none", "patient": "p", "split": "train"}


def test_without_a_champion_no_data_version_goes(tmp_path, s3_server, monkeypatch):
    """MLflow's database may be new, or a restored one: nothing tells which data are needed."""
    place = Data(storage=f"s3://hospital/new-{uuid.uuid4().hex[:6]}", s3_endpoint=s3_server)
    for name, images in (("a", "12"), ("b", "34")):
        pushed(tmp_path / name, images, place)
    settings = Settings(home=tmp_path, data=place, retention=Retention(days=1, runs=1))

    class Later(retention.datetime):
        @classmethod
        def now(cls, zone=None):
            return super().now(zone) + retention.timedelta(days=2)

    monkeypatch.setattr(retention, "datetime", Later)
    found = [
        list(retention._old_data(settings, "us", partial(frozenset, digests))) for digests in ((), ("of a champion",))
    ]
    assert found[0] == []
    assert {item.kind for item, _ in found[1]} == {"data version", "data shard"}


def test_old_versions_leave_s3_with_the_images_that_only_they_have(tmp_path, s3_server):
    place = Data(storage=f"s3://hospital/prune-{uuid.uuid4().hex[:6]}", s3_endpoint=s3_server)
    versions = []
    for name, images in (("a", "12"), ("b", "23"), ("c", "34")):
        versions.append(pushed(tmp_path / name, images, place))
        time.sleep(1.1)  # S3 tells times in seconds
    later = retention.datetime.now(retention.UTC) + retention.timedelta(days=1)
    assert old_objects.surplus(place, "us", {versions[0]}, newest=1, before=later - retention.timedelta(days=2)) == (
        [],
        [],
    )
    doomed, shards = old_objects.surplus(place, "us", {versions[0]}, newest=1, before=later)
    assert [one.name for one in doomed] == [versions[1]], "the first is needed, the last the newest"
    assert all(old_objects.remove(place, one) for one in [*doomed, *shards])
    assert set(packs.stored(place)) == {versions[0], versions[2]}
    for digest in (versions[0], versions[2]):
        packs.pull(digest, tmp_path / "elsewhere", place)


def test_what_was_written_or_came_to_be_needed_since_the_plan_stays_on_s3(tmp_path, s3_server):
    place = Data(storage=f"s3://hospital/late-{uuid.uuid4().hex[:6]}", s3_endpoint=s3_server)
    pushed(tmp_path / "a", "12", place)
    second = pushed(tmp_path / "b", "34", place)
    later = retention.datetime.now(retention.UTC) + retention.timedelta(days=1)
    (version,), (shard,) = old_objects.surplus(place, "us", {second}, newest=0, before=later)
    assert not old_objects.remove(place, shard), "the version that needs it is still there"
    bucket = packs.bucket_of(place)
    time.sleep(1.1)  # S3 tells times in seconds
    bucket.put(version.keys[0], bucket.get(version.keys[0]))
    assert not old_objects.remove(place, version), "it was pushed again"
    (version,), (shard,) = old_objects.surplus(place, "us", {second}, newest=0, before=later)
    assert old_objects.remove(place, version)
    pushed(tmp_path / "c", "15", place)
    assert not old_objects.remove(place, shard), "a version came that has an image in it"
    packs.pull(packs.stored(place)[0], tmp_path / "elsewhere", place)


def test_what_another_experiment_uses_stays_on_s3(tmp_path, s3_server):
    """Two MLflow servers may push to one prefix; each house-keeping knows the champions of its own only."""
    place = Data(storage=f"s3://hospital/two-{uuid.uuid4().hex[:6]}", s3_endpoint=s3_server)
    theirs = pushed(tmp_path / "a", "12", place, user="them")
    both = pushed(tmp_path / "b", "34", place, user="them")
    packs.mark_used(both, "us", place)
    nobodys = pushed(tmp_path / "c", "56", place)
    bucket = packs.bucket_of(place)
    bucket.delete(bucket.key("users", nobodys, "us"))  # as a person's push, or that of an earlier pneumo, leaves it
    later = retention.datetime.now(retention.UTC) + retention.timedelta(days=1)
    (version,), _ = old_objects.surplus(place, "us", (), newest=0, before=later)
    assert version.name == both
    assert not old_objects.remove(place, version)
    assert set(packs.stored(place)) == {theirs, both, nobodys}
    assert old_objects.surplus(place, "us", (), newest=0, before=later)[0] == [], "it is no longer ours"
    mine, _ = old_objects.surplus(place, "them", (), newest=0, before=later)
    assert {one.name for one in mine} == {theirs, both}
    assert all(old_objects.remove(place, one) for one in mine)
    assert packs.stored(place) == [nobodys]


def test_what_trainings_elsewhere_left_goes_when_it_is_old(s3_server):
    place = Data(storage=f"s3://hospital/left-{uuid.uuid4().hex[:6]}", s3_endpoint=s3_server)
    bucket = packs.bucket_of(place)
    for key in (bucket.key("train", "k1", "model.keras"), bucket.key("train", "k1", "files.json")):
        bucket.put(key, b"x")
    bucket.put(bucket.key("checkpoints", "k2"), b"x")
    now = retention.datetime.now(retention.UTC)
    assert old_objects.old_trainings(place, now - retention.timedelta(days=1)) == []
    doomed = old_objects.old_trainings(place, now + retention.timedelta(days=1))
    assert {one.name: one.bytes for one in doomed} == {"k1": 2, "k2": 1}
    for one in doomed:
        old_objects.remove(place, one)
    assert list(bucket.list()) == []


def pushed(root: Path, images: str, place: Data, user: str = "us") -> str:
    """A version of files with these contents, which are no pictures, on the storage; returns its digest."""
    import hashlib

    rows = []
    for content in images:
        (root / content).parent.mkdir(parents=True, exist_ok=True)
        (root / content).write_text(content * 100)
        data = (root / content).read_bytes()
        row = {"path": content, "sha256": hashlib.sha256(data).hexdigest(), "label": "NORMAL", "subtype": "none"}
        rows.append({**row, "patient": content, "split": "train", "bytes": len(data)})
    version = keep_version(pd.DataFrame(rows), str(root), False, root, root.parent / "home")
    packs.mark_used(version.digest, user, place)
    packs.push(version, place.model_copy(update={"storage_originals": True}))
    return version.digest
