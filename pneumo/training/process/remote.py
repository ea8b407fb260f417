"""A training on another machine: data are found by their digest, checkpoint and result go through S3.

Only the bucket of data.storage is shared: `train/<key>/` in it holds a finished candidate, `checkpoints/<key>` an
unfinished one.
"""

import hashlib
import json

from filelock import FileLock

from pneumo.cache import is_kept, written_once
from pneumo.data.files import write_whole
from pneumo.data.object_storage import Bucket
from pneumo.data.store import packs
from pneumo.data.store.image_store import decode_all
from pneumo.data.store.versions import list_versions
from pneumo.errors import DataError
from pneumo.records.base import Fit
from pneumo.records.data import DatasetVersion, ImageStore
from pneumo.records.model import Candidate
from pneumo.settings import Settings
from pneumo.training.process.job import FILES, checkpoint_file, read, result_folder
from pneumo.training.process.progress import OnProgress, Progress

LIST = "files.json"


def prepare_data(digest: str, size: int, fit: Fit, settings: Settings) -> tuple[DatasetVersion, ImageStore]:
    """A dataset version and its decoded images on this machine; pulled from the storage the first time.

    Raises:
        DataError: the storage lacks the version or cannot be reached.
    """
    lock = settings.home / "cache" / "pulled" / f"{digest[:16]}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):  # several trainings may start here at once
        kept = [version for version in list_versions(settings.home) if version.digest == digest]
        here = next((version for version in kept if version.root.is_dir()), None)
        version = here or packs.pull(digest, settings.home, settings.data)
    return version, decode_all(version, settings.home, size, fit)


def upload_candidate(candidate: Candidate, settings: Settings) -> None:
    """Put a finished candidate on the storage, the list of its files last, and delete its checkpoint there."""
    bucket, folder = _bucket(settings), candidate.model.parent
    contents = {name: (folder / name).read_bytes() for name in FILES}
    for name, content in contents.items():
        bucket.put(bucket.key("train", candidate.key, name), content)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    bucket.put(bucket.key("train", candidate.key, LIST), json.dumps(hashes).encode())
    bucket.delete(bucket.key("checkpoints", candidate.key))


def fetch_candidate(candidate: Candidate, settings: Settings) -> Candidate:
    """The same candidate with its files on this machine.

    Raises:
        DataError: the storage lacks it, or what is there is damaged.
    """
    folder = result_folder(settings.home, candidate.key)
    if not is_kept(folder):
        bucket = _bucket(settings)
        hashes = json.loads(bucket.get(bucket.key("train", candidate.key, LIST)))
        with written_once(folder) as scratch:
            for name in FILES:
                content = bucket.get(bucket.key("train", candidate.key, name))
                _require_same(content, hashes[name], name, candidate)
                (scratch / name).write_bytes(content)
    return read(folder, candidate.run_id)


def fetch_checkpoint(key: str, settings: Settings) -> None:
    """Fetch the checkpoint of a training that began on another machine, if there is one, to its place on this one."""
    file, bucket = checkpoint_file(settings.home, key), _bucket(settings)
    place = bucket.key("checkpoints", key)
    if not file.is_file() and bucket.has(place):
        write_whole(file, bucket.get(place))


def mirrored(key: str, settings: Settings, follow: OnProgress) -> OnProgress:
    """Follow a training and copy its checkpoint to the storage after every epoch."""
    file, bucket = checkpoint_file(settings.home, key), _bucket(settings)

    def report(event: Progress) -> None:
        follow(event)
        if event.stage == "tuning" and event.metrics and file.is_file():
            bucket.put(bucket.key("checkpoints", key), file.read_bytes())

    return report


def _bucket(settings: Settings) -> Bucket:
    if not settings.data.storage:
        raise DataError(
            "Expected a bucket by which trainings on other machines get their data, but data.storage in mlflow.yaml is"
            " empty: set s3://..., or engine.address to processes."
        )
    return Bucket(settings.data.storage, settings.data.s3_endpoint)


def _require_same(content: bytes, sha256: str, name: str, candidate: Candidate) -> None:
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(
            f"Expected {name} of {candidate.name} ({candidate.key}) on the storage as it was put there, but its content"
            " is another: train it again."
        )
