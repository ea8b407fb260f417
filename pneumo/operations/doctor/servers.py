"""Checks of Prefect, MLflow and S3; nothing here imports prefect or mlflow."""

import os
import uuid
from pathlib import Path
from tempfile import TemporaryFile

from pneumo.data.object_storage import Bucket
from pneumo.errors import DataError
from pneumo.operations import access
from pneumo.operations.deploy import RESULTS, S3_BLOCK, deployment_names, results_block
from pneumo.operations.doctor.machine import version_of
from pneumo.operations.doctor.row import Row
from pneumo.operations.prefect_api import PrefectApi, address
from pneumo.settings import Settings
from pneumo.tracking import complaint, store

SECONDS = 5.0  # seconds to wait for an answer


def prefect_server(settings: Settings) -> Row:
    """Whether Prefect answers, and has the version of this installation."""
    api = _api(settings)
    there, here = api.version(), version_of("prefect")
    if there != here:
        return Row(state="warning", found=f"{api.url} is Prefect {there}, here is {here}", advice="run one version")
    return Row(found=f"{api.url}, Prefect {there}")


def worker(settings: Settings) -> Row:
    """Whether a worker of the pool is online."""
    online = _api(settings).workers_online()
    if not online:
        return Row(state="warning", found="none is online: runs would wait", advice="run `pneumo up`")
    return Row(found=", ".join(online))


def deployments(settings: Settings) -> Row:
    """Whether every deployment of flows/prefect.yaml is registered."""
    names = deployment_names()
    missing = sorted(set(names) - _api(settings).deployments().keys())
    if missing:
        return Row(state="warning", found=f"{', '.join(missing)} missing", advice="run `pneumo up`")
    return Row(found=", ".join(names))


def mlflow_server(settings: Settings) -> Row:
    """Whether MLflow's API answers at this host name."""
    wrong = complaint(settings.tracking_uri)
    if wrong is None:
        return Row(found=settings.tracking_uri)
    advice = "start the server with --allowed-hosts naming this host" if "403" in wrong else "run `pneumo up`"
    return Row(state="failed", found=f"{settings.tracking_uri}: {wrong}", advice=advice)


def mlflow_database(settings: Settings) -> Row:
    """Whether the database's schema is that of the installed MLflow; another server checks its own at the start."""
    if settings.tracking.uri or os.environ.get(access.DATABASE) or os.environ.get(access.ELSEWHERE):
        return Row(found="checked by the server when it starts")
    database = settings.home / "mlflow.db"
    there, wanted = store.schema(database)
    if there != wanted:
        advice = f"stop the servers, copy {database}, run `mlflow db upgrade sqlite:///{database}`"
        return Row(state="failed", found=f"revision {there}, but {wanted} is wanted", advice=advice)
    return Row(found=f"revision {there}")


def artifacts_through_mlflow(settings: Settings) -> Row:
    """Whether a file can be written, read and deleted through the server."""
    wrong, left = store.artifact_round_trip(settings.tracking_uri, settings.tracking.experiment, SECONDS)
    if wrong:
        return Row(state="failed", found=wrong, advice="see the MLflow server's log, and its --artifacts-destination")
    if left:  # S3 servers that require an MD5 sum refuse MLflow's way to delete; no run needs it
        advice = "`pneumo clean` deletes without MLflow; the reason is in the MLflow server's log"
        return Row(state="warning", found=f"written and read, but {left}", advice=advice)
    return Row(found="written, read, deleted")


def artifacts_directly(settings: Settings) -> Row:
    """Whether the store behind the server works directly, if it is known here."""
    place = access.artifact_store(settings)
    if place is None:
        return Row(found="not known here: MLFLOW_ARTIFACTS_DESTINATION is not set")
    if place.startswith("s3://"):
        bucket = _bucket(place, settings.data.s3_endpoint)
        return _bucket_round_trip(bucket, bucket)
    folder = Path(place)
    folder.mkdir(parents=True, exist_ok=True)
    return _folder_round_trip(folder)


def data_storage(settings: Settings) -> Row:
    """Whether objects can be written, read and deleted with these credentials at this endpoint."""
    if not settings.data.storage:
        return Row(found="not used: data.storage is empty")
    bucket = _bucket(settings.data.storage, settings.data.s3_endpoint)
    return _bucket_round_trip(bucket, bucket)


def prefect_results(settings: Settings) -> Row:
    """Whether Prefect's results go to the server of the data: written as Prefect does, read as the data are."""
    name = results_block()
    if not name:
        return Row(found=f"on this machine: {RESULTS} is not set")
    block = _api(settings).block(S3_BLOCK, name)
    if block is None:
        return Row(state="failed", found=f"the block {S3_BLOCK}/{name} is missing", advice="run `pneumo up`")
    place = f"s3://{block['bucket_name']}/{block['bucket_folder']}"
    try:
        return _bucket_round_trip(_bucket(place, None), _bucket(place, settings.data.s3_endpoint))
    except DataError as error:
        advice = "give AWS_ENDPOINT_URL_S3, which Prefect and MLflow read, and data.s3_endpoint one address"
        return Row(state="failed", found=str(error), advice=advice)


def _folder_round_trip(folder: Path) -> Row:
    try:
        with TemporaryFile(dir=folder) as file:
            file.write(b"pneumo")
            file.flush()
    except OSError as error:
        return Row(state="failed", found=f"{folder}: {error.strerror}", advice="check the rights and the disk")
    return Row(found=str(folder))


def _bucket_round_trip(writer: Bucket, reader: Bucket) -> Row:
    """Write with one client and read with another; the row says where the second one looked."""
    key = reader.key(store.PROBE)
    try:
        _write_and_read(writer, reader, key)
    except DataError:
        # Another doctor may have deleted it before it was read, so try once more with a name that nobody else knows.
        key = reader.key(f"{uuid.uuid4().hex}-{store.PROBE}")
        _write_and_read(writer, reader, key)
    reader.delete(key)
    return Row(found=f"{reader.url} at {reader.endpoint}: written, read, deleted")


def _write_and_read(writer: Bucket, reader: Bucket, key: str) -> None:
    writer.put(key, b"pneumo")
    if reader.get(key) != b"pneumo":
        words = f"Expected {reader.url} to give back what was written, but it gave something else: check the server."
        raise DataError(words)


def _bucket(url: str, endpoint: str | None) -> Bucket:
    return Bucket(url, endpoint, attempts=1, timeout=SECONDS)


def _api(settings: Settings) -> PrefectApi:
    return PrefectApi(address(settings), timeout=SECONDS, busy=SECONDS)
