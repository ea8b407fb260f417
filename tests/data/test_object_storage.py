import shutil

import boto3
import pandas as pd
import pytest

from pneumo.data import object_storage
from pneumo.data.object_storage import Bucket
from pneumo.data.sources import s3 as mirrors
from pneumo.data.sources.s3 import mirror
from pneumo.data.sources.schemes import ingest
from pneumo.data.store import packs
from pneumo.errors import DataError
from pneumo.serving.batch.find_images import find_images
from pneumo.settings.data import Data


@pytest.fixture
def client(s3_server):
    return boto3.client("s3", endpoint_url=s3_server)


@pytest.fixture
def fetched(monkeypatch):
    """Keys that are fetched from now on."""
    keys: list[str] = []

    def count(name):
        real = getattr(Bucket, name)
        monkeypatch.setattr(Bucket, name, lambda self, key, *args: keys.append(key) or real(self, key, *args))

    count("get"), count("save")
    return keys


def files(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.jpeg")}


def test_a_foreign_prefix_is_mirrored_and_only_changes_are_fetched(
    make, chest_set, home, s3_server, client, upload, fetched
):
    upload(chest_set, "mirror/set")
    folder = mirror("s3://hospital/mirror/set", home, s3_server)
    assert files(folder) == files(chest_set)
    assert len(fetched) == 48
    client.put_object(Bucket="hospital", Key="mirror/set/train/NORMAL/IM-0002-0000.jpeg", Body=b"changed")
    client.put_object(Bucket="hospital", Key="mirror/set/train/NORMAL/IM-0600-0000.jpeg", Body=b"new")
    client.delete_object(Bucket="hospital", Key="mirror/set/train/NORMAL/IM-0002-0001.jpeg")
    mirror("s3://hospital/mirror/set", home, s3_server)
    assert len(fetched) == 50
    now = files(folder)
    assert now["train/NORMAL/IM-0002-0000.jpeg"] == b"changed"
    assert "train/NORMAL/IM-0002-0001.jpeg" not in now


@pytest.mark.parametrize("place", ["wards/ward1", "wards/ward1/"])
def test_a_prefix_is_a_folder_and_not_the_beginning_of_a_name(client, s3_server, home, place):
    for key in ("ward1/a.png", "ward1/more/b.png", "ward10/c.png", "ward1-old/d.png", "ward1.png"):
        client.put_object(Bucket="hospital", Key=f"wards/{key}", Body=b"an image")
    wanted = ["wards/ward1/a.png", "wards/ward1/more/b.png"]
    url = f"s3://hospital/{place}"
    assert [item.key for item in Bucket(url, s3_server).at_or_below()] == wanted
    assert [item.path for item in find_images([url], Data(s3_endpoint=s3_server), home)] == [
        f"s3://hospital/{key}" for key in wanted
    ]
    assert sorted(path.name for path in mirror(url, home, s3_server).rglob("*.png")) == ["a.png", "b.png"]


def test_a_place_may_be_one_object_or_the_whole_bucket(client, s3_server):
    client.put_object(Bucket="hospital", Key="single/one.png", Body=b"an image")
    client.put_object(Bucket="hospital", Key="single/one.png.png", Body=b"another")
    assert [item.key for item in Bucket("s3://hospital/single/one.png", s3_server).at_or_below()] == ["single/one.png"]
    assert "single/one.png" in {item.key for item in Bucket("s3://hospital", s3_server).at_or_below()}


def test_a_broken_off_mirror_goes_on(chest_set, home, s3_server, upload, monkeypatch):
    upload(chest_set, "broken-off/set")
    monkeypatch.setattr(mirrors, "BLOCK", 10)
    save, calls = Bucket.save, []

    def dies(self, key, *args):
        calls.append(key)
        if len(calls) > 25:
            raise DataError("the line went dead")
        return save(self, key, *args)

    monkeypatch.setattr(Bucket, "save", dies)
    with pytest.raises(DataError, match="line went dead"):
        mirror("s3://hospital/broken-off/set", home, s3_server)
    calls.clear()
    monkeypatch.setattr(Bucket, "save", lambda self, key, *args: calls.append(key) or save(self, key, *args))
    mirror("s3://hospital/broken-off/set", home, s3_server)
    assert len(calls) <= 48 - 20


def test_an_s3_source_is_the_same_set_as_the_folder(chest_set, home, s3_server, upload, tmp_path):
    upload(chest_set, "same/set")
    there = ingest("s3://hospital/same/set", home, Data(s3_endpoint=s3_server))
    assert there.key == ingest(str(chest_set), tmp_path / "other", Data()).key


def test_no_object_is_held_in_memory_whatever_its_size(s3_server, client, home, monkeypatch):
    content = bytes(5 * 2**20 + 7)
    client.put_object(Bucket="hospital", Key="large/a.png", Body=content)
    parts, update = [], object_storage.hashlib.md5

    class Counted:
        def __init__(self, **options):
            self.digest = update(**options)

        def update(self, part):
            parts.append(len(part))
            self.digest.update(part)

        def hexdigest(self):
            return self.digest.hexdigest()

    monkeypatch.setattr(object_storage.hashlib, "md5", Counted)
    monkeypatch.setattr(Bucket, "get", None)
    folder = mirror("s3://hospital/large", home, s3_server)
    assert (folder / "a.png").read_bytes() == content and max(parts) <= 2**20
    assert [path.name for path in folder.iterdir()] == ["a.png"]


def test_an_archive_on_s3_is_unpacked(chest_set, home, s3_server, client, tmp_path):
    shutil.make_archive(str(tmp_path / "set"), "zip", chest_set.parent, "chest_xray")
    client.upload_file(str(tmp_path / "set.zip"), "hospital", "archives/set.zip")
    assert ingest("s3://hospital/archives/set.zip", home, Data(s3_endpoint=s3_server)).images == 48


def test_an_object_that_changes_between_list_and_get_is_refused(s3_server, client):
    client.put_object(Bucket="hospital", Key="changing/a.png", Body=b"one")
    bucket = Bucket("s3://hospital/changing/", s3_server)
    (item,) = bucket.list()
    client.put_object(Bucket="hospital", Key="changing/a.png", Body=b"two")
    with pytest.raises(DataError, match=r"changing/a.png .* 412 PreconditionFailed: it changed while it was read"):
        bucket.get(item.key, item.etag)


def test_a_version_is_pushed_once_and_reproduced_from_its_digest_alone(make, made, s3_server, tmp_path, fetched):
    version, _ = made
    settings = Data(storage="s3://hospital/store", s3_endpoint=s3_server)
    assert packs.push(version, settings) == 48
    assert packs.push(version, settings) == 0
    fetched.clear()
    pulled = packs.pull(version.digest, tmp_path / "elsewhere", settings)
    assert (pulled.digest, pulled.counts) == (version.digest, version.counts)
    assert files(pulled.root) == files(version.root)
    assert len(fetched) < 6
    assert make.version_of(f"version:{version.digest}", tmp_path / "third", settings).digest == version.digest


def test_a_pulled_file_of_another_length_is_fetched_again(made, s3_server, tmp_path):
    version, _ = made
    settings = Data(storage="s3://hospital/cut", s3_endpoint=s3_server)
    packs.push(version, settings)
    pulled = packs.pull(version.digest, tmp_path / "elsewhere", settings)
    next(pulled.root.rglob("*.jpeg")).write_bytes(b"cut")
    assert files(packs.pull(version.digest, tmp_path / "elsewhere", settings).root) == files(version.root)


def test_growth_pushes_only_what_is_new_and_a_broken_off_pull_goes_on(
    make, chest_set, home, s3_server, tmp_path, fetched
):
    settings = Data(storage="s3://hospital/grown", s3_endpoint=s3_server)
    packs.push(make.version_of(str(chest_set), home), settings)
    for number in range(3):
        make.write(chest_set / f"train/NORMAL/IM-70{number}-1.jpeg", make.encoded(make.picture(700 + number)))
    grown = make.version_of(str(chest_set), home)
    assert packs.push(grown, settings) == 3
    pulled = packs.pull(grown.digest, tmp_path / "elsewhere", settings)
    lost = next(pulled.root.rglob("IM-701-1.jpeg"))
    lost.unlink()
    fetched.clear()
    packs.pull(grown.digest, tmp_path / "elsewhere", settings)
    assert lost.is_file()
    assert sum("/shards/" in key for key in fetched) == 1


def test_damaged_and_missing_versions_are_refused(made, s3_server, client, tmp_path):
    version, _ = made
    settings = Data(storage="s3://hospital/damaged", s3_endpoint=s3_server)
    packs.push(version, settings)
    with pytest.raises(DataError, match=r"Expected one version '0+' in s3://hospital/damaged, but 0 match"):
        packs.pull("0" * 64, tmp_path / "a", settings)
    (shard,) = Bucket("s3://hospital/damaged/shards/", s3_server).list()
    size = shard.size
    client.put_object(Bucket="hospital", Key=shard.key, Body=bytes(size))
    with pytest.raises(DataError, match=r"in shard .* its content is another"):
        packs.pull(version.digest, tmp_path / "b", settings)
    manifest = pd.read_parquet(version.manifest)
    manifest.loc[0, "path"] = "../../evil.jpeg"
    manifest.to_parquet(tmp_path / "m.parquet")
    key = f"damaged/versions/{version.digest}/manifest.parquet"
    client.upload_file(str(tmp_path / "m.parquet"), "hospital", key)
    with pytest.raises(DataError, match="its manifest has another digest"):
        packs.pull(version.digest, tmp_path / "c", settings)


def test_without_a_storage_address_it_says_where_to_set_one(made):
    with pytest.raises(DataError, match=r"data.storage in mlflow.yaml is empty"):
        packs.push(made[0], Data())
