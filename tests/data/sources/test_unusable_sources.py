"""Every source that cannot be used, and the one sentence that says so."""

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pneumo.data.sources.schemes import ingest
from pneumo.errors import DataError
from pneumo.settings.data import Data
from tests.data.place import Place


def missing(place: Place) -> str:
    return str(place.top / "nowhere")


def empty(place: Place) -> str:
    (place.top / "empty").mkdir()
    return str(place.top / "empty")


def one_class(place: Place) -> str:
    place.make.write(place.top / "one/NORMAL/a.jpeg", place.jpeg())
    return str(place.top / "one")


def no_images(place: Place) -> str:
    place.make.write(place.top / "notes/NORMAL/a.txt", b"x")
    place.make.write(place.top / "notes/PNEUMONIA/b.tiff", b"x")
    return str(place.top / "notes")


def unknown_class(place: Place) -> str:
    return place.put("train/COVID/a.jpeg", place.jpeg())


def a_text_file(place: Place) -> str:
    return str(place.make.write(place.top / "notes.txt", b"hello"))


def unknown_scheme(place: Place) -> str:
    return "ftp://example/set"


def zip_of(place: Place, name: str, data: bytes = b"x", size: int = 1) -> str:
    with zipfile.ZipFile(place.top / "a.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for number in range(size):
            packed.writestr(name.format(number), data)
    return str(place.top / "a.zip")


def zip_outside(place: Place) -> str:
    return zip_of(place, "../evil.jpeg")


def zip_bomb(place: Place) -> str:
    return zip_of(place, "NORMAL/{}.jpeg", bytes(10 * 2**20), 8)


def zip_of_a_file_and_a_folder(place: Place) -> str:
    with zipfile.ZipFile(place.top / "a.zip", "w") as packed:
        packed.writestr("NORMAL", b"x")
        packed.writestr("NORMAL/a.jpeg", b"x")
    return str(place.top / "a.zip")


def zip_long_name(place: Place) -> str:
    return zip_of(place, f"NORMAL/{'a' * 300}.jpeg")


def zip_truncated(place: Place) -> str:
    path = Path(zip_of(place, "NORMAL/{}.jpeg", place.jpeg(), 20))
    path.write_bytes(path.read_bytes()[:3000])
    return str(path)


def zip_encrypted(place: Place) -> str:
    path = Path(zip_of(place, "NORMAL/a.jpeg"))
    data = bytearray(path.read_bytes())
    data[6] |= 1  # the flag in the file's header
    data[data.index(b"PK\1\2") + 8] |= 1  # and in the directory
    path.write_bytes(data)
    return str(path)


def zip_that_is_text(place: Place) -> str:
    return str(place.make.write(place.top / "a.zip", b"404: not found"))


def tar_absolute(place: Place) -> str:
    member = tarfile.TarInfo("/etc/evil.jpeg")
    with tarfile.open(place.top / "a.tar", "w") as packed:
        packed.addfile(member, io.BytesIO())
    return str(place.top / "a.tar")


def tar_link(place: Place) -> str:
    member = tarfile.TarInfo("NORMAL/a.jpeg")
    member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(place.top / "a.tar", "w") as packed:
        packed.addfile(member)
    return str(place.top / "a.tar")


def tar_truncated(place: Place) -> str:
    with tarfile.open(place.top / "a.tar.gz", "w:gz") as packed:
        packed.add(place.root, "chest_xray")
    path = place.top / "a.tar.gz"
    path.write_bytes(path.read_bytes()[:5000])
    return str(path)


def labels_of(place: Place, text: str, encoding: str = "utf-8") -> str:
    place.make.write(place.top / "scans/a.jpeg", place.jpeg())
    place.make.write(place.top / "scans/b.jpeg", place.jpeg(quality=50))
    return str(place.make.write(place.top / "scans/labels.csv", text.encode(encoding)))


def labels_missing_row_image(place: Place) -> str:
    return labels_of(place, "path,label\na.jpeg,0\nb.jpeg,1\nc.jpeg,1\n")


def labels_doubled(place: Place) -> str:
    return labels_of(place, "path,label\na.jpeg,0\nb.jpeg,1\na.jpeg,1\n")


def labels_without_column(place: Place) -> str:
    return labels_of(place, "file,label\na.jpeg,0\n")


def labels_unknown(place: Place) -> str:
    return labels_of(place, "path,label\na.jpeg,0\nb.jpeg,maybe\n")


def labels_outside(place: Place) -> str:
    return labels_of(place, "path,label\n../a.jpeg,0\nb.jpeg,1\n")


def labels_empty(place: Place) -> str:
    return labels_of(place, "")


def labels_without_label(place: Place) -> str:
    return labels_of(place, "path,label\na.jpeg,0\nb.jpeg,\n")


def labels_in_many_folders(place: Place) -> str:
    for folder in "xy":
        place.make.write(place.top / f"scans/{folder}/c.jpeg", place.jpeg())
    return labels_of(place, "path,label\na.jpeg,0\nc.jpeg,1\n")


def labels_not_text(place: Place) -> str:
    return labels_of(place, "path,label\nä.jpeg,0\n", "utf-16")


def labels_broken_parquet(place: Place) -> str:
    return str(place.make.write(place.top / "scans/labels.parquet", b"PAR1 nothing"))


def phantom_of_letters(place: Place) -> str:
    return "phantom:many"


def phantom_too_small(place: Place) -> str:
    return "phantom:3"


def kaggle_without_owner(place: Place) -> str:
    return "kaggle:chest-xray"


def s3_without_bucket(place: Place) -> str:
    return "s3:///prefix"


REFUSED: list[tuple[Callable[[Place], str], str]] = [
    (missing, "'.*nowhere' does not exist: check the path"),
    (empty, r"has none \(skipped: nothing\)"),
    (one_class, "has 1 image and no PNEUMONIA"),
    (no_images, r"has none \(skipped: 2 not an image file\)"),
    (unknown_class, "has a folder 'train/COVID'"),
    (a_text_file, "notes.txt is not a folder"),
    (unknown_scheme, "'ftp://example/set' does not exist"),
    (zip_outside, r"'../evil.jpeg' leads outside"),
    (zip_bomb, "as a decompression bomb does"),
    (zip_of_a_file_and_a_folder, r"a.zip cannot be unpacked \(File exists: a file and a folder of one name\)"),
    (zip_long_name, "names of at most 255 bytes in .*a.zip"),
    (zip_truncated, "a.zip cannot be unpacked"),
    (zip_encrypted, r"a.zip cannot be unpacked \(it is encrypted\)"),
    (zip_that_is_text, "a.zip cannot be unpacked"),
    (tar_absolute, "'/etc/evil.jpeg' leads outside"),
    (tar_link, "'NORMAL/a.jpeg' is a link or a device"),
    (tar_truncated, r"a.tar.gz cannot be unpacked"),
    (labels_missing_row_image, r"1 row whose image is not there \('c.jpeg'\)"),
    (labels_doubled, r"1 image named twice \('a.jpeg'\)"),
    (labels_without_column, "Expected a column path"),
    (labels_unknown, "1 label other than .*'maybe'"),
    (labels_outside, "1 path leading outside"),
    (labels_empty, "labels.csv is empty: fill it in"),
    (labels_without_label, r"1 row without path or label \('3'\)"),
    (labels_in_many_folders, r"1 row whose image is not there \('c.jpeg'\)"),
    (labels_not_text, "labels.csv has other letters: save it as CSV in UTF-8"),
    (labels_broken_parquet, "labels.parquet cannot be read"),
    (phantom_of_letters, "phantom:<number of images>, but got 'phantom:many'"),
    (phantom_too_small, "at least 40 phantom images, but 3"),
    (kaggle_without_owner, "kaggle:<owner>/<name>"),
    (s3_without_bucket, "s3://<bucket>/<prefix>, but got"),
]


@pytest.mark.parametrize(("spoil", "text"), REFUSED)
def test_a_source_that_cannot_be_used_is_refused_in_one_sentence(place, home, spoil, text):
    with pytest.raises(DataError, match=text) as caught:
        ingest(spoil(place), home, Data())
    message = str(caught.value)
    assert message.startswith("Expected ")
    assert "\n" not in message
    assert not list((home / "cache").glob("ingest/*"))
