"""Images from outside, broken on purpose: they are read or refused with an error of ours, and nothing else happens."""

import io
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pneumo.data.image_statistics import measure
from pneumo.data.privacy import dicom_identity
from pneumo.data.store import decode
from pneumo.errors import DataError
from pneumo.serving.bundle.inputs import read_images
from tests.security.broken import IMAGES, at_most, broken, fuzz, radiograph


def deflated(size: int) -> bytes:
    """A DICOM file in the deflated transfer syntax; what unpacks is `size` zeros longer than what is needed."""
    import pydicom
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    dataset, buffer = pydicom.dcmread(io.BytesIO(radiograph())), io.BytesIO()
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.PixelData += bytes(size)
    dataset.save_as(buffer)
    return buffer.getvalue()


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
