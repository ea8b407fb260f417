"""Where a table of scores is written: a file, or an object on S3, by one run at a time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from pneumo.data.files import write_whole
from pneumo.data.object_storage import Bucket
from pneumo.errors import DataError
from pneumo.serving.batch.table import COLUMNS

if TYPE_CHECKING:
    import pandas as pd

WRITERS: dict[str, Callable[["pd.DataFrame"], bytes]] = {
    ".csv": lambda table: table.to_csv(index=False).encode(),
    ".parquet": lambda table: bytes(table.to_parquet(index=False)),
}


@dataclass(frozen=True)
class Output:
    """A table's address and its file on this machine; both are the same unless it goes to a `bucket`."""

    address: str
    file: Path
    bucket: Bucket | None = None

    def write(self, table: "pd.DataFrame") -> None:
        """Write the whole table at once: readers see the old one, or all of the new one."""
        content = WRITERS[self.file.suffix](table)
        write_whole(self.file, content)
        if self.bucket:
            self.bucket.put(self.bucket.prefix, content)


def open_output(address: str, home: Path, endpoint: str | None = None) -> Output:
    """Check that a table can be written, before hours of scoring; missing folders are made.

    Args:
        address: path or s3://bucket/key that ends in .csv or .parquet.
        home: state folder, in which a table for a bucket is built.
        endpoint: of an S3 server other than AWS.

    Raises:
        DataError: another suffix or kind of address, something else is there, or the bucket cannot be reached.
    """
    suffix = Path(address).suffix
    if suffix not in WRITERS:
        raise DataError(f"Expected an output file ending in {' or '.join(WRITERS)}, got {address}: rename it.")
    bucket, file = None, Path(address).absolute()
    if address.startswith("s3://"):
        bucket = Bucket(address, endpoint)
        bucket.has(bucket.prefix)  # raises if nothing answers
        key = sha256(f"{bucket.endpoint} {address}".encode()).hexdigest()[:16]
        file = home / "runs" / f"predict-{key}" / f"table{suffix}"
    elif "://" in address:
        raise DataError(f"Expected a path or s3://bucket/key as output, got {address}: give one of these.")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if bucket is None:
            _require_own(file)
    except OSError as error:
        raise DataError(
            f"Expected a folder for the output at {file.parent}, but {error.strerror}: give another output."
        ) from None
    return Output(address if bucket else str(file), file, bucket)


def _require_own(file: Path) -> None:
    """Refuse to write over what is no table of scores, such as a list of the same images with their labels."""
    import pandas as pd
    from pyarrow import ArrowException, parquet

    if not file.exists() or (file.is_file() and file.stat().st_size == 0):
        return
    try:
        there = parquet.read_schema(file).names if file.suffix == ".parquet" else pd.read_csv(file, nrows=0).columns
        titles = list(map(str, there))
    except (ValueError, OSError, ArrowException):  # whatever it is; a folder, too
        titles = []
    if not set(COLUMNS[:3]) <= set(titles):  # of an older pneumo, too
        raise DataError(
            f"Expected nothing or a table of scores at {file}, which is replaced, but something else is there: give"
            " another output."
        )


@contextmanager
def owned(output: Output) -> Iterator[None]:
    """Hold an output during the block; one that was held by a process that died is free.

    Its lock is a file beside it during the block. It is removed while it is held: who opened it meanwhile sees that the
    file is gone, and tries again or is refused.

    Raises:
        DataError: another run holds it.
    """
    lock = FileLock(output.file.with_name(f".{output.file.name}.lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise DataError(
            f"Expected that no other run writes {output.address}, but one does: wait for it, or give another output."
        ) from None
    try:
        yield
    finally:
        with suppress(PermissionError):  # Windows keeps a file that is open, and filelock removes it there
            Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()
