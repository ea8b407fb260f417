"""Tiny drawn sets and shared helpers of the data tests."""

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageFilter

from pneumo.data.quality.gate import validate
from pneumo.data.sources.schemes import ingest
from pneumo.data.store.versions import make_version
from pneumo.records.data import DatasetVersion
from pneumo.settings.data import Data, Gate
from tests.data.place import Place


def picture(seed: int, size: tuple[int, int] = (96, 80)) -> Image.Image:
    """A smooth, left-right symmetric random picture that passes for a chest; width, height."""
    random = np.random.default_rng(seed)
    small = random.uniform(20, 220, (12, 6))
    array = np.concatenate([small, small[:, ::-1]], axis=1).astype(np.uint8)
    return Image.fromarray(array).resize(size, Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(1))


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def dicom(pixels: np.ndarray, patient: str = "MUSTERMANN-17", **attributes: object) -> bytes:
    """A DICOM file with a gray image; attributes replace or add data elements by keyword."""
    import pydicom
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    dataset = pydicom.Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    bits = pixels.dtype.itemsize * 8
    values = {
        "PatientID": patient,
        "PatientName": "Mustermann^Erika",
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1",
        "SOPInstanceUID": "1.2.3",
        "PhotometricInterpretation": "MONOCHROME2",
        "SamplesPerPixel": 1,
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": 0,
        "PixelData": pixels.tobytes(),
    }
    for keyword, value in (values | attributes).items():
        setattr(dataset, keyword, value)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def kaggle_set(root: Path, patients: int = 8, test: bool = True) -> Path:
    """A set in Kaggle's layout, two images a patient, names as there."""
    seed = 0
    for patient in range(patients):
        split = "test/" if test and patient % 4 == 0 else "val/" if test and patient == 1 else "train/" if test else ""
        for image in range(2):
            names = {
                f"NORMAL/IM-{patient:04d}-{image:04d}.jpeg",
                f"PNEUMONIA/person{patient}_bacteria_{image}.jpeg",
                f"PNEUMONIA/person{patient}_virus_{image}.jpeg",
            }
            for name in sorted(names):
                seed += 1
                write(root / f"{split}{name}", encoded(picture(seed), quality=92))
    return root


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """The helpers of this file."""
    return SimpleNamespace(
        picture=picture, encoded=encoded, write=write, kaggle_set=kaggle_set, version_of=version_of, dicom=dicom
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def chest_set(tmp_path: Path) -> Path:
    return kaggle_set(tmp_path / "chest_xray")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[DatasetVersion, Path]:
    """A version of a tiny set that no test changes, and its home."""
    folder = tmp_path_factory.mktemp("made")
    return version_of(str(kaggle_set(folder / "chest_xray")), folder / "home"), folder / "home"


def version_of(source: str, home: Path, data: Data | None = None, gate: Gate | None = None) -> DatasetVersion:
    inventory = ingest(source, home, data or Data())
    return make_version(inventory, validate(inventory, home, gate or Gate(), None), home)


@pytest.fixture
def place(make, chest_set, tmp_path) -> Place:
    return Place(make, chest_set, tmp_path)
