"""Pictures whose files name a patient in every place where such files do."""

import io

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

NAME, IDENTIFIER, BIRTH = "Zwetschgenbaum^Hannelore", "KRNK-770042", "19120229"
WORDS = ("Zwetschgenbaum", "Hannelore", IDENTIFIER, BIRTH)
DESCRIPTION, XP_COMMENT, USER_COMMENT, EXIF_IFD = 0x010E, 0x9C9C, 0x9286, 0x8769


def picture(seed: int = 0, size: int = 48) -> np.ndarray:
    """uint8 (size, size), smooth enough for JPEG."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 6), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((size, size), Image.Resampling.BICUBIC))


def dicom(pixels: np.ndarray, **attributes: object) -> bytes:
    """A DICOM radiograph, uint8 or uint16, of a named patient, also in a private tag and a nested sequence."""
    import pydicom
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    dataset, request = pydicom.Dataset(), pydicom.Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", "1.2.3.770042"
    dataset.PatientID, dataset.PatientName, dataset.PatientBirthDate = IDENTIFIER, NAME, BIRTH
    dataset.ImageComments, request.RequestedProcedureDescription = f"of {NAME}", f"thorax of {NAME}"
    dataset.RequestAttributesSequence = [request]
    dataset.private_block(0x0011, "HOSPITAL", create=True).add_new(0x01, "LO", NAME)
    dataset.PhotometricInterpretation, dataset.SamplesPerPixel = "MONOCHROME2", 1
    dataset.Rows, dataset.Columns = pixels.shape
    bits = pixels.dtype.itemsize * 8
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = bits, bits, bits - 1, 0
    dataset.PixelData = pixels.tobytes()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def jpeg(pixels: np.ndarray, orientation: int = 1) -> bytes:
    """A JPEG with EXIF (plain, UTF-16 and below), and a comment."""
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112], exif[DESCRIPTION], exif[XP_COMMENT] = orientation, NAME, NAME.encode("utf-16-le")
    exif.get_ifd(EXIF_IFD)[USER_COMMENT] = f"ASCII\0\0\0{IDENTIFIER} {BIRTH}".encode()
    Image.fromarray(pixels).save(file, "JPEG", quality=95, exif=exif, comment=f"{NAME} {BIRTH}")
    return file.getvalue()


def png(pixels: np.ndarray, orientation: int = 1) -> bytes:
    """A PNG with texts, plain and compressed, and EXIF."""
    texts, exif, file = PngInfo(), Image.Exif(), io.BytesIO()
    texts.add_text("Patient", NAME)
    texts.add_text("Birth", f"{BIRTH} {NAME} " * 20, zip=True)
    texts.add_itxt("Comment", f"{IDENTIFIER} {NAME} " * 20, zip=True)
    exif[0x0112], exif[DESCRIPTION] = orientation, NAME
    Image.fromarray(pixels).save(file, "PNG", pnginfo=texts, exif=exif)
    return file.getvalue()


KINDS = {"dcm": dicom, "jpeg": jpeg, "png": png}
