"""Embeddings of the images that were made elsewhere: read, and joined to a dataset version."""

import hashlib
import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from pneumo.cache import code_version, is_kept, stage_key, written_once
from pneumo.data.files import tells_disk_errors
from pneumo.data.object_storage import Bucket
from pneumo.data.tables.embedding_table import Floats, Table, read_vectors
from pneumo.errors import DataError
from pneumo.records.base import EMBEDDING
from pneumo.records.data import DatasetVersion, Vectors
from pneumo.settings.data import Data

SUFFIX, FILE = ".parquet", "vectors.parquet"
NAME = re.compile(r"\w[\w .+-]{0,59}")


@tells_disk_errors
def bring_in(places: Sequence[str], version: DatasetVersion, home: Path, settings: Data) -> list[Vectors]:
    """Read files of embeddings and join them to a data set; what is wrong with them is found before any training.

    Args:
        places: Parquet files, folders of them, s3://bucket/prefix; each file becomes one candidate.
        version: the data set; each of its images needs a vector.
        home: state folder; the vectors are kept in `<home>/cache/vectors/<key>/`.
        settings: the endpoint of S3.

    Raises:
        DataError: a file is not as it should be (see `read_vectors`), lacks an image, or has the name of another.
    """
    found = [
        _kept(read_vectors(content, shown), shown, version, home)
        for place in places
        for shown, content in _files(place, settings)
    ]
    names = [item.name.lower() for item in found]
    if twice := next((item for item in found if names.count(item.name.lower()) > 1), None):
        raise DataError(f"Expected embeddings of different names, got {twice.name} twice: rename {twice.source}.")
    return found


def digests(place: str, settings: Data) -> Iterator[tuple[str, str]]:
    """Name, without folders, and sha256 of each file of embeddings at a place; see `bring_in`.

    Raises:
        DataError: there is none, or it cannot be read.
    """
    for shown, content in _files(place, settings):
        yield posixpath.basename(Path(shown).as_posix()), hashlib.sha256(content).hexdigest()


def vectors_of(path: Path, sha256: "pd.Series[str]") -> Floats:
    """Vectors, float32 (n, d), of images by their sha256, from a file that `bring_in` wrote.

    Raises:
        DataError: an image has no vector.
    """
    from pyarrow import parquet

    table = parquet.read_table(path)
    places = pd.Index(table.column("sha256").to_pylist()).get_indexer(pd.Index(sha256))
    if (missing := sha256[places < 0]).size:
        raise DataError(f"Expected a vector of every image in {path}, but {missing.iloc[0]} has none: train again.")
    flat = table.column(EMBEDDING).combine_chunks().flatten().to_numpy()
    found: Floats = flat.reshape(table.num_rows, -1)[places]
    return found


def _files(place: str, settings: Data) -> Iterator[tuple[str, bytes]]:
    """Names and contents, one after the other: all together may be more than memory holds."""
    found: list[tuple[str, Callable[[], bytes]]]
    if place.startswith("s3://"):
        bucket = Bucket(place, settings.s3_endpoint)
        found = [
            (f"s3://{bucket.name}/{item.key}", partial(bucket.get, item.key))
            for item in bucket.at_or_below()
            if item.key.endswith(SUFFIX)
        ]
    else:
        path = Path(place).expanduser()
        paths = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path] if path.is_file() else []
        found = [(str(item), partial(_content, item)) for item in paths]
    if not found:
        raise DataError(
            f"Expected a Parquet file, a folder of them or s3://bucket/prefix in `embeddings`, but there is none at"
            f" {place}: check the path."
        )
    for shown, read in found:
        yield shown, read()


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"Expected to read {path}, but: {error.strerror}; check its rights.") from None


def _kept(table: Table, shown: str, version: DatasetVersion, home: Path) -> Vectors:
    name = table.name or posixpath.basename(Path(shown).as_posix()).removesuffix(SUFFIX)
    if not NAME.fullmatch(name):
        raise DataError(
            f"Expected a name of at most 60 letters, digits, spaces and . + - for the embeddings of {shown}, got"
            f" {name[:80]!r}: rename the file, or set `name` in its metadata."
        )
    sha256, values, others = _joined(table, shown, version)
    content = hashlib.sha256(values.tobytes() + "".join(sha256).encode()).hexdigest()
    key = stage_key("vectors", content=content, version=version.digest, name=name, code=code_version("data"))
    folder = home / "cache" / "vectors" / key
    if not is_kept(folder):
        with written_once(folder) as scratch:
            _write(scratch / FILE, sha256, values)
    return Vectors(
        key=key, name=name, source=shown, path=folder / FILE, width=values.shape[1], images=version.images,
        others=others,
    )  # fmt: skip


def _joined(table: Table, shown: str, version: DatasetVersion) -> tuple[list[str], Floats, int]:
    """sha256 and vector of every image of the data set, each once, and the number of other rows."""
    manifest = pd.read_parquet(version.manifest, columns=["path", "sha256", "label", "split"])
    keys = pd.Index(table.keys)
    places = keys.get_indexer(pd.Index(manifest[table.key]))
    missing = manifest.loc[places < 0, "path"]
    if missing.size:
        raise DataError(
            f"Expected a vector of every image in {shown}, joined by column {table.key}, but {missing.size} of"
            f" {len(manifest)} have none, such as {missing.iloc[0]}: make these embeddings, too."
        )
    values = table.values[places]
    training = (manifest["split"] == "train").to_numpy()
    _require_features(values[training], manifest.loc[training, "label"], shown)
    first = ~manifest["sha256"].duplicated().to_numpy()
    return manifest["sha256"][first].tolist(), values[first], len(keys) - len(set(places))


def _require_features(values: Floats, labels: "pd.Series[str]", shown: str) -> None:
    """That the vectors of training images (n, d) differ, and that no number of them is the label under another name."""
    if not np.ptp(values, axis=0).any():
        raise DataError(f"Expected embeddings that differ in {shown}, but all training images have the same: check it.")
    classes = [values[(labels == label).to_numpy()] for label in labels.unique()]
    if len(classes) < 2 or min(map(len, classes)) < 2:
        return
    same = np.all([np.ptp(part, axis=0) == 0 for part in classes], axis=0)
    if told := np.flatnonzero(same & (np.ptp([part[0] for part in classes], axis=0) > 0)).tolist():
        raise DataError(
            f"Expected features only in {shown}, but number {told[0] + 1} of each vector is one value for all training"
            " images of a class and another one for all others, as the label itself: take it out of the file."
        )


def _write(path: Path, sha256: list[str], values: Floats) -> None:
    import pyarrow
    from pyarrow import parquet

    lists = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(values.ravel()), values.shape[1])
    parquet.write_table(pyarrow.table({"sha256": sha256, EMBEDDING: lists}), path)
