"""What is pushed to the storage names nobody, and is the same data set all the same."""

import hashlib
import io
import time
from datetime import UTC, datetime, timedelta

import boto3
import numpy as np
import pandas as pd
import pydicom
import pytest

from pneumo.data.object_storage import Bucket
from pneumo.data.store import old_objects, packs, shards
from pneumo.data.store.decode import decode
from pneumo.data.store.image_store import decode_all
from pneumo.settings.data import Data
from tests.leaks import hits
from tests.planted import KINDS, WORDS


@pytest.fixture
def named_set(make, chest_set):
    """A set with files of every kind that name a patient; two of them differ in nothing but the name."""
    for kind, write in KINDS.items():
        for number, label in enumerate(("NORMAL", "PNEUMONIA")):
            pixels = np.asarray(make.picture(900 + len(kind) * 10 + number))
            make.write(chest_set / f"train/{label}/IM-08{number}{len(kind)}-0001.{kind}", write(pixels))
    same = np.asarray(make.picture(700))
    make.write(chest_set / "train/NORMAL/IM-0991-0001.png", KINDS["png"](same))
    make.write(chest_set / "train/NORMAL/IM-0991-0002.png", make.encoded(make.picture(700), "PNG"))
    return chest_set


def objects(url: str, endpoint: str) -> list[tuple[str, bytes]]:
    bucket = Bucket(url, endpoint)
    return [(item.key, bucket.get(item.key)) for item in bucket.list()]


def test_no_object_names_a_patient_and_another_machine_has_the_same_set(make, named_set, home, s3_server, tmp_path):
    version = make.version_of(str(named_set), home)
    settings = Data(storage="s3://hospital/private", s3_endpoint=s3_server)
    assert packs.push(version, settings) == version.images
    assert hits(objects(settings.storage, s3_server), WORDS) == []
    there = tmp_path / "there"
    pulled = make.version_of(f"version:{version.digest}", there, settings)
    assert (pulled.digest, pulled.counts) == (version.digest, version.counts)
    assert pulled.root != version.root
    assert hits(((str(path), path.read_bytes()) for path in pulled.root.rglob("*.*")), WORDS) == []
    for path in pd.read_parquet(pulled.manifest)["path"]:
        np.testing.assert_array_equal(decode(pulled.root / path, 64, "pad"), decode(version.root / path, 64, "pad"))
    ours, theirs = (decode_all(one, place, 32, "squash") for one, place in ((version, home), (pulled, there)))
    np.testing.assert_array_equal(np.load(ours.path), np.load(theirs.path))
    further = Data(storage="s3://hospital/private-further", s3_endpoint=s3_server)
    assert packs.push(pulled, further) == version.images
    assert packs.pull(version.digest, tmp_path / "further", further).digest == version.digest


def test_a_pushed_dicom_file_has_the_pseudonym_of_the_manifest(make, named_set, home, s3_server, tmp_path):
    version = make.version_of(str(named_set), home)
    settings = Data(storage="s3://hospital/pseudonym", s3_endpoint=s3_server)
    packs.push(version, settings)
    pulled = packs.pull(version.digest, tmp_path / "there", settings)
    rows = pd.read_parquet(version.manifest).query("mode == 'DICOM'")
    assert len(rows) == 2
    found = [pydicom.dcmread(pulled.root / path).PatientID for path in rows["path"]]
    assert found == rows["patient"].tolist() and all(name.startswith("dicom-") for name in found)


def test_a_setting_keeps_the_files_as_they_are(make, named_set, home, s3_server, tmp_path):
    version = make.version_of(str(named_set), home)
    settings = Data(storage="s3://hospital/originals", s3_endpoint=s3_server, storage_originals=True)
    packs.push(version, settings)
    pulled = packs.pull(version.digest, tmp_path / "there", settings)
    for path in pd.read_parquet(version.manifest)["path"]:
        assert (pulled.root / path).read_bytes() == (version.root / path).read_bytes()


def test_a_store_of_an_earlier_version_is_read(make, named_set, home, s3_server, tmp_path):
    version = make.version_of(str(named_set), home)
    settings = Data(storage="s3://hospital/earlier", s3_endpoint=s3_server, storage_originals=True)
    packs.push(version, settings)
    for key, content in objects("s3://hospital/earlier/index/", s3_server):
        lines = [" ".join(line.split()[:2]) for line in content.decode().splitlines()]
        boto3.client("s3", endpoint_url=s3_server).put_object(
            Bucket="hospital", Key=key, Body=io.BytesIO("\n".join(lines).encode())
        )
    pulled = make.version_of(f"version:{version.digest}", tmp_path / "there", settings)
    assert pulled.digest == version.digest


def with_a_comment(jpeg: bytes) -> bytes:
    """The same picture in another file."""
    return jpeg[:2] + b"\xff\xfe\x00\x06text" + jpeg[2:]


def test_the_same_pictures_in_other_files_leave_a_version_as_it_is(make, chest_set, home, s3_server, tmp_path):
    settings = Data(storage="s3://hospital/again", s3_endpoint=s3_server)
    first = make.version_of(str(chest_set), home)
    packs.push(first, settings)
    for path in chest_set.rglob("*.jpeg"):
        path.write_bytes(with_a_comment(path.read_bytes()))
    second = make.version_of(str(chest_set), home)
    assert packs.push(second, settings) == second.images and second.digest != first.digest
    for version in (first, second):
        assert packs.pull(version.digest, tmp_path / "there", settings).digest == version.digest
    needed = frozenset(pd.read_parquet(first.manifest)["sha256"])
    unneeded = old_objects._unneeded(Bucket(settings.storage, s3_server), needed)
    assert len(unneeded) == len(shards.indexes(Bucket(settings.storage, s3_server))) - 1


def test_a_version_whose_index_an_earlier_pneumo_overwrote_is_pushed_again(make, named_set, home, s3_server, tmp_path):
    """Shard and index bore the hash of the shard, which is that of other files with the same pictures too."""
    version = make.version_of(str(named_set), home)
    settings = Data(storage="s3://hospital/overwritten", s3_endpoint=s3_server)
    packs.push(version, settings)
    client = boto3.client("s3", endpoint_url=s3_server)
    for (shard, content), (index, lines) in zip(
        objects(f"{settings.storage}/shards/", s3_server), objects(f"{settings.storage}/index/", s3_server), strict=True
    ):
        name = hashlib.sha256(content).hexdigest()
        for folder, old, body in (("shards", shard, content), ("index", index, lines)):
            client.delete_object(Bucket="hospital", Key=old)
            client.put_object(Bucket="hospital", Key=f"overwritten/{folder}/{name}", Body=body)
    assert packs.push(version, settings) == 0
    packs.pull(version.digest, tmp_path / "earlier", settings)
    client.put_object(Bucket="hospital", Key=f"overwritten/index/{name}", Body=f"{'0' * 64} 1 {'0' * 64}".encode())
    assert packs.push(version, settings) == version.images
    assert packs.pull(version.digest, tmp_path / "there", settings).digest == version.digest


def test_what_house_keeping_deletes_while_a_version_is_pushed_is_sent_again(
    make, chest_set, home, s3_server, monkeypatch, tmp_path
):
    version, settings = make.version_of(str(chest_set), home), Data(storage="s3://hospital/race", s3_endpoint=s3_server)
    packs.push(version, settings)
    bucket, send = Bucket(settings.storage, s3_server), packs._put_images

    def delete_first(*given):
        for item in [*bucket.list(bucket.below("index/")), *bucket.list(bucket.below("shards/"))]:
            bucket.delete(item.key)
        monkeypatch.setattr(packs, "_put_images", send)
        send(*given)

    monkeypatch.setattr(packs, "_put_images", delete_first)
    assert packs.push(version, settings) == version.images
    assert packs.pull(version.digest, tmp_path / "there", settings).digest == version.digest


def test_a_version_that_is_used_again_is_new_to_house_keeping(make, chest_set, home, s3_server):
    version, settings = make.version_of(str(chest_set), home), Data(storage="s3://hospital/used", s3_endpoint=s3_server)
    packs.mark_used(version.digest, "us", settings)
    packs.push(version, settings)
    later = datetime.now(UTC) + timedelta(days=1)
    (doomed,), _ = old_objects.surplus(settings, "us", (), newest=0, before=later)
    time.sleep(1.1)  # S3 tells times in seconds
    assert packs.push(version, settings) == 0
    assert not old_objects.remove(settings, doomed)
