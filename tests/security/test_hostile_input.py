"""Files from outside, broken on purpose: either they are read or an error of ours is raised, and nothing else happens.

A fixed budget: PNEUMO_FUZZ examples a target, 60 unless set; the same examples at every run. For a long search:
PNEUMO_FUZZ=20000 make test ARGS=tests/security
"""

import contextlib
import csv
import io
import os
import tarfile
import tempfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pneumo.data.image_statistics import measure
from pneumo.data.sources import archives, dicom_identity, labels
from pneumo.data.sources.embedding_table import read_vectors
from pneumo.data.store import decode
from pneumo.errors import DataError, ModelError, PneumoError, WeightsError
from pneumo.serving.bundle.inputs import read_images

BUDGET = int(os.environ.get("PNEUMO_FUZZ", "60"))
fuzz = settings(
    max_examples=BUDGET, deadline=None, derandomize=BUDGET == 60, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
LIMITS = archives.Limits(files=50, total=1 << 20, ratio_from=1 << 18)


def at_most(work):
    """Result of some work, or the DataError it raises, and the most memory that Python held for it, bytes."""
    tracemalloc.start()
    try:
        return work(), tracemalloc.get_traced_memory()[1]
    except DataError as error:
        return str(error), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def picture(kind: str, mode: str = "L", **options) -> bytes:
    coarse = np.random.default_rng(3).integers(0, 256, (24, 20), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(coarse).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def radiograph() -> bytes:
    import pydicom
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    dataset = pydicom.Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.PatientID = "1.2.840.10008.5.1.4.1.1.1", "1.2.3", "MUSTERMANN"
    dataset.PhotometricInterpretation, dataset.SamplesPerPixel, dataset.Rows, dataset.Columns = "MONOCHROME1", 1, 12, 10
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.WindowCenter, dataset.WindowWidth = 2, -5, 900, 1200
    dataset.PixelData = np.random.default_rng(4).integers(0, 4096, (12, 10), dtype=np.uint16).tobytes()
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def deflated(size: int) -> bytes:
    """A DICOM file in the deflated transfer syntax; what unpacks is `size` zeros longer than what is needed."""
    import pydicom
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    dataset, buffer = pydicom.dcmread(io.BytesIO(radiograph())), io.BytesIO()
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.PixelData += bytes(size)
    dataset.save_as(buffer)
    return buffer.getvalue()


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("set/NORMAL/a.jpeg", picture("JPEG"))
        packed.writestr("set/PNEUMONIA/b.png", picture("PNG"))
    return buffer.getvalue()


def taped(mode: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tape:
        for name in ("set/NORMAL/a.jpeg", "set/PNEUMONIA/b.jpeg"):
            entry = tarfile.TarInfo(name)
            entry.size = len(picture("JPEG"))
            tape.addfile(entry, io.BytesIO(picture("JPEG")))
    return buffer.getvalue()


IMAGES = [
    picture("JPEG"), picture("JPEG", "RGB", progressive=True), picture("PNG"), picture("PNG", "RGBA"), radiograph(),
    picture("PNG", "P"),
]  # fmt: skip
ARCHIVES = {
    ".zip": zipped(),
    ".tar": taped("w"),
    ".tar.gz": taped("w:gz"),
    ".tar.bz2": taped("w:bz2"),
    ".tar.xz": taped("w:xz"),
}
TABLE = b"path,label,patient,split\nNORMAL/a.jpeg,NORMAL,p1,train\nPNEUMONIA/b.jpeg,1,p2,test\n"


@st.composite
def broken(draw, *wholes: bytes):
    """A valid file with a few bytes changed, cut out, doubled, inserted, or its end missing."""
    data = bytearray(draw(st.sampled_from(wholes)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        kind = draw(st.sampled_from(("flip", "set", "cut", "double", "insert", "number", "end")))
        length = draw(st.integers(1, 24))
        if kind == "flip" and data:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "set":
            data[at : at + length] = bytes([draw(st.sampled_from((0, 1, 127, 128, 255)))]) * length
        elif kind == "cut":
            del data[at : at + length]
        elif kind == "double":
            data[at:at] = data[at : at + length]
        elif kind == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=24))
        elif kind == "number":
            data[at : at + 4] = draw(st.sampled_from((0, 1, 2**31 - 1, 2**32 - 1, 65535))).to_bytes(4, "little")
        else:
            del data[at:]
    return bytes(data)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile")


@fuzz
@given(broken(*IMAGES), st.sampled_from(("squash", "pad")))
def test_an_image_is_decoded_whole_or_refused(data, fit):
    try:
        pixels = decode.decode(data, 16, fit, "image")
    except DataError:
        return
    assert pixels.shape == (16, 16)
    assert pixels.dtype == np.uint8


@fuzz
@given(broken(radiograph()))
def test_a_dicom_file_is_measured_or_refused_and_never_names_its_patient(data):
    with tempfile.NamedTemporaryFile(suffix=".dcm") as file:
        Path(file.name).write_bytes(data)
        row, pixels = measure(Path(file.name), "file", b"secret")
    assert (pixels is None) == (row["error"] is not None)
    assert "MUSTERMANN" not in repr(row)


@fuzz
@given(broken(radiograph()))
def test_who_is_on_a_broken_dicom_file_is_a_hash_or_nobody(data):
    try:
        found = dicom_identity.identify(data, "x.dcm", b"secret").patient
    except DataError:
        return
    assert found is None or found.startswith("dicom-")


def test_a_deflated_dicom_file_is_refused_before_it_is_unpacked(tmp_path):
    bomb = deflated(64 << 20)
    (tmp_path / "x.dcm").write_bytes(bomb)
    assert len(bomb) < 1 << 17
    row, most = at_most(lambda: measure(tmp_path / "x.dcm", "x.dcm", b"secret")[0])
    assert "transfer syntax is the deflated one" in row["error"]
    assert most < 8 << 20


def long_name(tape):
    tape.format = tarfile.GNU_FORMAT
    tape.addfile(tarfile.TarInfo("a" * BOMB))


def long_comment(tape):
    entry = tarfile.TarInfo("NORMAL/a.jpeg")
    entry.pax_headers = {"comment": "a" * BOMB}
    tape.addfile(entry)


def many_holes(tape):
    """A sparse file whose list of holes is all there is; tarfile reads it with the header."""
    entry, content = tarfile.TarInfo("NORMAL/a.jpeg"), b"9999999\n" + b"0\n" * (BOMB // 2)
    entry.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "a.jpeg"}
    entry.size = len(content)
    tape.addfile(entry, io.BytesIO(content))


def many_comments(tape):
    """Headers that hold for all files after them; each is short."""
    for number in range(BOMB >> 17):
        header = tarfile.TarInfo.create_pax_global_header({f"comment{number}": "a" * (1 << 17)})
        tape.fileobj.write(header)
        tape.addfile(tarfile.TarInfo(f"NORMAL/{number}.jpeg"))


BOMB = 32 << 20


@pytest.mark.parametrize("fill", [long_name, long_comment, many_holes, many_comments])
def test_headers_of_an_archive_do_not_fill_the_memory(tmp_path, fill):
    archive = tmp_path / "bomb.tar.gz"
    with tarfile.open(archive, "w:gz") as tape:
        fill(tape)
    assert archive.stat().st_size < BOMB >> 8
    found, most = at_most(lambda: archives.extract(archive, tmp_path / "home"))
    assert most < 8 << 20
    assert fill is many_comments or "cannot be unpacked (a header of over 256 KiB)" in found


@pytest.mark.parametrize("suffix", ARCHIVES)
def test_an_archive_is_unpacked_inside_its_folder_or_refused(suffix, scratch):
    @fuzz
    @given(broken(ARCHIVES[suffix]))
    def unpack(data):
        with tempfile.TemporaryDirectory(dir=scratch) as name:
            folder = Path(name)
            (folder / f"set{suffix}").write_bytes(data)
            try:
                archives.extract(folder / f"set{suffix}", folder / "home", LIMITS)
            except DataError:
                assert not list(folder.glob("home/cache/archives/*"))
            assert {path.name for path in folder.iterdir()} <= {f"set{suffix}", "home"}
            written = sum(path.stat().st_size for path in folder.glob("home/**/*") if path.is_file())
            assert written <= LIMITS.total
            assert not [path for path in folder.glob("home/**/*") if path.is_symlink()]

    unpack()


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
PIECES = st.sampled_from(("..", ".", "/", "\\", "a", "C:", "NORMAL", "~", " ", "\n"))


@fuzz
@given(st.lists(st.one_of(PIECES, NAMES), min_size=1, max_size=5), st.sampled_from((b"x", b"")))
def test_no_name_in_an_archive_leads_outside(parts, content):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with zipfile.ZipFile(folder / "set.zip", "w") as packed:
            packed.writestr(zipfile.ZipInfo("/".join(parts)), content)
        with contextlib.suppress(DataError):
            archives.extract(folder / "set.zip", folder / "home", LIMITS)
        assert {path.name for path in folder.iterdir()} <= {"set.zip", "home"}


@fuzz
@given(broken(TABLE))
def test_a_label_file_is_read_or_refused(
    data,
):
    check_labels(data, "labels.csv")


@fuzz
@given(
    st.lists(
        st.lists(st.one_of(st.text(max_size=12), st.just("NORMAL/a.jpeg"), st.just("PNEUMONIA")), max_size=6),
        max_size=6,
    )
)
def test_any_table_is_read_or_refused(rows):
    text = io.StringIO()
    csv.writer(text).writerows([["path", "label", "patient", "split"], *rows])
    check_labels(text.getvalue().encode("utf-8", "surrogatepass"), "labels.csv")


def parquet() -> bytes:
    import pandas as pd

    buffer = io.BytesIO()
    pd.read_csv(io.BytesIO(TABLE), dtype=str).to_parquet(buffer)
    return buffer.getvalue()


@fuzz
@given(broken(parquet()))
def test_a_parquet_label_file_is_read_or_refused(data):
    check_labels(data, "labels.parquet")


def table_of(**columns) -> bytes:
    """A Parquet file without a word of how its columns were held."""
    import pyarrow
    from pyarrow import parquet

    file = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), file, store_schema=False)
    return file.getvalue()


def same(text: str, rows: int):
    import pyarrow

    return pyarrow.DictionaryArray.from_arrays(pyarrow.array(np.zeros(rows, np.int32)), [text])


def lists(rows: int, width: int):
    import pyarrow

    return pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(np.zeros(rows * width, np.float32)), width)


SHA = ["a" * 64] * 20_000
BOMBS = {
    "one number": (read_vectors, {"sha256": SHA, "embedding": lists(len(SHA), 1000)}),
    "one number beside": (read_vectors, {"sha256": SHA, "embedding": lists(len(SHA), 2), "x": lists(len(SHA), 1000)}),
    "one key": (read_vectors, {"path": same("a" * 4000, len(SHA)), "embedding": lists(len(SHA), 2)}),
    "one path": (None, {"path": same("a" * 4000, len(SHA)), "label": same("0", len(SHA))}),
    "one label of lists": (None, {"path": SHA, "label": lists(len(SHA), 1000)}),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_table_that_says_one_thing_a_million_times_is_refused_before_it_is_read(kind, tmp_path):
    read, columns = BOMBS[kind]
    data = table_of(**columns)
    (tmp_path / "labels.parquet").write_bytes(data)
    assert len(data) < 300_000
    with pytest.raises(DataError, match=r"labels.parquet of \d+ KiB takes \d\d MiB, as a decompression bomb does"):
        read(data, "labels.parquet") if read else labels.list_labels(tmp_path / "labels.parquet", {})


def test_a_path_that_is_long_costs_no_more_than_itself():
    keys = ["a" * 40_000, *(f"{number}" for number in range(4000))]
    data = table_of(path=keys, embedding=lists(len(keys), 2))
    found, most = at_most(lambda: read_vectors(data, "x"))
    assert len(found.keys) == len(keys) and most < 8 << 20


def test_a_label_file_of_any_size_is_not_read(tmp_path):
    with (tmp_path / "labels.csv").open("wb") as file:
        file.write(b"path,label\n")
        file.truncate(200 << 20)
    with pytest.raises(DataError, match=r"label file of at most 128 MiB, but .*labels.csv is larger"):
        labels.list_labels(tmp_path / "labels.csv", {})


def test_a_label_file_with_a_header_of_any_length_is_not_read(tmp_path):
    (tmp_path / "labels.csv").write_bytes(b"path,label" + b",a" * (1 << 18) + b"\nNORMAL/a.jpeg,0\n")
    with pytest.raises(DataError, match=r"labels.csv cannot be read \(its header has over 64 KiB\)"):
        labels.list_labels(tmp_path / "labels.csv", {})


def check_labels(data: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path in ("NORMAL/a.jpeg", "PNEUMONIA/b.jpeg"):
            (root / path).parent.mkdir(exist_ok=True)
            (root / path).write_bytes(b"image")
        (root / name).write_bytes(data)
        try:
            listing = labels.list_labels(root / name, {})
        except DataError:
            return
        assert {entry.label for entry in listing.entries} == {"NORMAL", "PNEUMONIA"}
        assert all((root / entry.path).is_file() for entry in listing.entries)


CELLS = st.one_of(
    st.none(), st.booleans(), st.floats(), st.text(max_size=200), st.binary(max_size=200), broken(*IMAGES),
    st.lists(
        st.one_of(st.integers(), st.floats(), st.text(max_size=3), st.lists(st.integers(-9, 300), max_size=4)),
        max_size=4,
    ),
)  # fmt: skip


@fuzz
@given(st.lists(CELLS, min_size=1, max_size=4))
def test_whatever_a_caller_sends_each_row_has_pixels_or_an_error(cells):
    found = read_images(cells, 16, "squash")
    assert len(found.errors) == len(cells)
    assert len(found.images) == len(found.rows) == sum(error is None for error in found.errors)


@pytest.fixture(scope="module")
def saved(scratch):
    """A tiny network as a .keras file and its weights as .h5."""
    import keras

    image = keras.Input((8, 8, 1))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(2, 3)(image))
    model = keras.Model(image, keras.layers.Dense(1, name="logit")(pooled))
    model.save(scratch / "model.keras")
    model.save_weights(scratch / "model.weights.h5")
    return model, (scratch / "model.keras").read_bytes(), (scratch / "model.weights.h5").read_bytes()


def test_a_model_file_is_loaded_or_refused(saved, scratch):
    from pneumo.serving.bundle.image_bundle import load_network

    _, whole, _ = saved

    @settings(fuzz, max_examples=max(BUDGET // 2, 20))
    @given(broken(whole))
    def load(data):
        (scratch / "broken.keras").write_bytes(data)
        with contextlib.suppress(ModelError):
            load_network(scratch / "broken.keras")

    load()


def test_a_model_file_with_another_configuration_is_loaded_or_refused(saved, scratch):
    """What a bit cannot reach: the text inside the archive, changed and packed again."""
    from pneumo.serving.bundle.image_bundle import load_network

    _, whole, _ = saved
    with zipfile.ZipFile(io.BytesIO(whole)) as packed:
        members = {name: packed.read(name) for name in packed.namelist()}

    @settings(fuzz, max_examples=max(BUDGET // 2, 20))
    @given(broken(members["config.json"]))
    def load(text):
        with zipfile.ZipFile(scratch / "changed.keras", "w") as packed:
            for name, content in members.items():
                packed.writestr(name, text if name == "config.json" else content)
        with contextlib.suppress(ModelError):
            load_network(scratch / "changed.keras")

    load()


def test_a_weight_file_is_loaded_or_refused(saved, scratch, monkeypatch):
    from pneumo.training.candidates.spec import CandidateSpec, parse_backbones
    from pneumo.training.networks import pretrained_weights

    model, _, whole = saved
    monkeypatch.setattr(pretrained_weights, "build", lambda *_args, **_named: model)
    (scratch / "weights").mkdir()
    spec = CandidateSpec(backbone=parse_backbones("MobileNet:0.25")[0], weights=str(scratch / "weights"), size=32)

    @settings(fuzz, max_examples=max(BUDGET // 2, 20))
    @given(broken(whole))
    def load(data):
        (scratch / "weights/MobileNet_0.25_no_top.weights.h5").write_bytes(data)
        with contextlib.suppress(WeightsError):
            pretrained_weights.load_backbone(spec, scratch)

    load()


def test_a_checkpoint_is_loaded_or_refused(scratch):
    from pneumo.training.process import checkpoint

    checkpoint.save(scratch / "checkpoint.npz", {"network": [np.arange(6.0)]}, {"epoch": 1})
    whole = (scratch / "checkpoint.npz").read_bytes()

    @fuzz
    @given(broken(whole))
    def load(data):
        (scratch / "checkpoint.npz").write_bytes(data)
        with contextlib.suppress(PneumoError):
            checkpoint.load(scratch / "checkpoint.npz")

    load()
