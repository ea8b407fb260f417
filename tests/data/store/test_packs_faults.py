"""Data versions through a network that fails: every fault is survived or told, and never a wrong byte is kept."""

from urllib.parse import urlsplit

import boto3
import pytest

from pneumo.data import object_storage
from pneumo.data.store import packs
from pneumo.errors import DataError
from pneumo.settings.data import Data
from tests.proxy import FaultyProxy


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Do not wait as long between two attempts as one would for a real server."""
    monkeypatch.setattr(object_storage.time, "sleep", lambda _: None)
    monkeypatch.setattr(object_storage, "READ_TIMEOUT", 5.0)
    monkeypatch.setattr(object_storage, "OUTAGE_SECONDS", 0.0)


@pytest.fixture
def through(s3_server):
    def open_proxy(*plan):
        return FaultyProxy(urlsplit(s3_server).port, plan)

    return open_proxy


def pictures(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.jpeg")}


@pytest.mark.parametrize("fault", ["throttle", "unavailable", "refuse", "reset", "cut", "slow"])
def test_a_version_survives(fault, made, through, tmp_path):
    version, _ = made
    with through("pass", fault) as proxy:
        settings = Data(storage=f"s3://hospital/faults-{fault}", s3_endpoint=proxy.url)
        packs.push(version, settings)
        pulled = packs.pull(version.digest, tmp_path, settings)
    assert proxy.seen[fault] > 2
    assert pictures(pulled.root) == pictures(version.root)
    assert pulled.digest == version.digest


def test_a_server_that_stays_away_is_named(made, through, s3_server):
    said = r"503 ServiceUnavailable: see its log, make room if its disk is full"
    with through("unavailable") as proxy, pytest.raises(DataError, match=said):
        packs.push(made[0], Data(storage="s3://hospital/away", s3_endpoint=proxy.url))
    assert proxy.seen["unavailable"] >= object_storage.ATTEMPTS
    assert "Contents" not in boto3.client("s3", endpoint_url=s3_server).list_objects_v2(
        Bucket="hospital", Prefix="away"
    )


def test_a_connection_that_always_breaks_is_named(made, through):
    with through("refuse") as proxy, pytest.raises(DataError, match=r"check endpoint, network and credentials"):
        packs.push(made[0], Data(storage="s3://hospital/broken", s3_endpoint=proxy.url))


def test_a_server_that_goes_away_midway_is_waited_for(s3_server, monkeypatch):
    """Nothing listens for a while, as when the server is started again."""
    from botocore.exceptions import EndpointConnectionError

    monkeypatch.setattr(object_storage, "OUTAGE_SECONDS", 60.0)
    bucket = object_storage.Bucket("s3://hospital/outage", s3_server)
    bucket.put("outage/a", b"before")
    failing, real = iter([EndpointConnectionError(endpoint_url="x")] * 20), bucket._client.get_object

    def away(**arguments):
        for error in failing:
            raise error
        return real(**arguments)

    monkeypatch.setattr(bucket._client, "get_object", away)
    assert bucket.get("outage/a") == b"before"


def test_a_wrong_address_is_told_at_once():
    with pytest.raises(DataError, match=r"after 1 attempts"):
        object_storage.Bucket("s3://hospital/x", "http://127.0.0.1:9").get("x")
