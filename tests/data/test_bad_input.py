"""Every bad input that was thought of, and its one clear outcome."""

import io
import json
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pneumo.data import storage
from pneumo.data.sources import ingest
from pneumo.errors import DataError
from pneumo.settings import Data

TARGET = "train/NORMAL/IM-0042-0001.jpeg"


INGEST = """
import json, sys
from pathlib import Path
import pandas as pd
from pneumo.data.sources import ingest
from pneumo.errors import DataError
from pneumo.settings import Data
try:
    rows = pd.read_parquet(ingest(sys.argv[1], Path(sys.argv[2]), Data()).manifest)
    print(json.dumps(dict(rows.loc[rows["error"].notna(), ["path", "error"]].values.tolist())))
except DataError as error:
    print(json.dumps(str(error)))
"""


def ingest_with_rights(source: Path, home: Path) -> str | dict[str, str]:
    """Errors by path, or the one that stopped it, as a user sees them to whom rights apply, also where root tests."""
    bound = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.getuid() == 0 else []
    command = [*bound, sys.executable, "-c", INGEST, str(source), str(home)]
    found: str | dict[str, str] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return found


needs_rights = pytest.mark.skipif(
    os.getuid() == 0 and not shutil.which("setpriv"), reason="rights do not apply to root without setpriv"
)


@dataclass
class Place:
    """A good set in `root` to spoil, below the folder `top`, and the helpers of conftest."""

    make: object
    root: Path
    top: Path

    def put(self, name: str, data: bytes) -> str:
        self.make.write(self.root / name, data)
        return str(self.root)

    def jpeg(self, **options: object) -> bytes:
        return self.make.encoded(self.make.picture(4242), **options)


@pytest.fixture
def place(make, chest_set, tmp_path) -> Place:
    return Place(make, chest_set, tmp_path)


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
    (one_class, "has 1 images and no PNEUMONIA"),
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
    (labels_missing_row_image, r"1 rows whose image is not there \('c.jpeg'\)"),
    (labels_doubled, r"1 images named twice \('a.jpeg'\)"),
    (labels_without_column, "Expected a column path"),
    (labels_unknown, "1 labels other than .*'maybe'"),
    (labels_outside, "1 paths that lead outside"),
    (labels_empty, "labels.csv cannot be read"),
    (labels_without_label, r"1 rows without path or label \('1'\)"),
    (labels_in_many_folders, r"1 rows whose image is not there \('c.jpeg'\)"),
    (labels_not_text, "labels.csv cannot be read"),
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


def png(width: int, height: int, data: bytes) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def pixels(place: Place) -> np.ndarray:
    return np.asarray(place.make.picture(7))


UNREADABLE: list[tuple[str, Callable[[Place], bytes], str]] = [
    ("zero bytes", lambda place: b"", "is empty"),
    ("text called .jpeg", lambda place: b"hello", "its content is of another kind"),
    ("truncated JPEG", lambda place: place.jpeg()[:700], "truncated"),
    ("JPEG header only", lambda place: place.jpeg()[:4], "cannot be decoded"),
    ("GIF called .jpeg", lambda place: place.make.encoded(Image.new("L", (9, 9)), "GIF"), "of another kind"),
    ("truncated PNG", lambda place: place.jpeg(kind="PNG")[:2000], "cannot be decoded"),
    ("PNG with damaged data", lambda place: png(64, 64, b"\0" * 99), "cannot be decoded"),
    ("decompression bomb", lambda place: png(60_000, 60_000, b""), "cannot be decoded"),
    ("image larger than any radiograph", lambda place: png(9_400, 9_400, b""), "declares 9400 x 9400"),
    ("truncated DICOM", lambda place: place.make.dicom(pixels(place))[:900], "cannot be decoded"),
    ("colour DICOM", lambda place: place.make.dicom(pixels(place), PhotometricInterpretation="RGB"), "gray pixels"),
    ("DICOM film loop", lambda place: place.make.dicom(np.stack([pixels(place)] * 2), NumberOfFrames=2), "one frame"),
    ("DICOM bomb", lambda place: place.make.dicom(pixels(place), Rows=60_000, Columns=60_000), "3,600,000,000 pixels"),
    ("DICOM cut short", lambda place: place.make.dicom(pixels(place), PixelData=b"\0" * 100), "cannot be decoded"),
    ("DICOM without an image", lambda place: place.make.dicom(pixels(place), Rows=0), "0 pixels declared"),
]


@pytest.mark.parametrize(("spoil", "text"), [case[1:] for case in UNREADABLE], ids=[case[0] for case in UNREADABLE])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning", "ignore::UserWarning")
def test_an_image_that_cannot_be_read_is_a_row_with_the_reason(place, home, spoil, text):
    rows = pd.read_parquet(ingest(place.put(TARGET, spoil(place)), home, Data()).manifest)
    bad = rows[rows["error"].notna()]
    assert bad["path"].tolist() == [TARGET]
    assert TARGET in bad["error"].iloc[0]
    assert text in bad["error"].iloc[0]


def test_a_dangling_link_is_a_row_with_the_reason(place, home):
    (place.root / TARGET).symlink_to(place.top / "gone.jpeg")
    rows = pd.read_parquet(ingest(str(place.root), home, Data()).manifest).set_index("path")
    assert "No such file" in rows.loc[TARGET, "error"]


def test_a_pipe_is_a_row_with_the_reason_and_is_not_waited_for(place, home):
    os.mkfifo(place.root / TARGET)
    rows = pd.read_parquet(ingest(str(place.root), home, Data()).manifest).set_index("path")
    assert "is a pipe or a device" in rows.loc[TARGET, "error"]


def test_a_file_too_large_for_a_radiograph_is_a_row_with_the_reason(place, home):
    with (place.root / TARGET).open("wb") as file:
        file.truncate(300 * 2**20)
    rows = pd.read_parquet(ingest(str(place.root), home, Data()).manifest).set_index("path")
    assert "at most 256 MiB" in rows.loc[TARGET, "error"]


@needs_rights
def test_a_file_without_permission_is_a_row_with_the_reason(place, home):
    place.put(TARGET, place.jpeg())
    (place.root / TARGET).chmod(0)
    found = ingest_with_rights(place.root, home)
    assert list(found) == [TARGET]
    assert f"{TARGET} gives: Permission denied" in found[TARGET]


@needs_rights
def test_a_folder_without_permission_is_refused_by_name(place, home):
    (place.root / "train").chmod(0)
    found = ingest_with_rights(place.root, home)
    (place.root / "train").chmod(0o700)
    assert f"Expected a readable folder, but {place.root / 'train'} gives: Permission denied" in found


@needs_rights
def test_a_state_folder_without_permission_is_named(place, home):
    home.mkdir()
    home.chmod(0o500)
    assert f"the disk refuses at {home}" in ingest_with_rights(place.root, home)


def test_a_directory_loop_is_entered_once_and_counted(place, home):
    (place.root / "train/NORMAL/again").symlink_to(place.root)
    found = ingest(str(place.root), home, Data())
    assert (found.images, found.skipped) == (48, {"directory loop": 1})


@pytest.mark.parametrize(
    "name",
    ["two words", "Röntgen Thorax", "снимок 1", "胸部エックス線", "صدر", "a'b\"c;$(d)&e", "x" * 240, "-rf", "%2e%2e"],
)
def test_names_in_any_alphabet_and_with_any_signs_are_kept(place, home, name):
    path = f"train/NORMAL/{name}.jpeg"
    rows = pd.read_parquet(ingest(place.put(path, place.jpeg()), home, Data()).manifest).set_index("path")
    assert rows.loc[path, "error"] is None
    assert rows.loc[path, "patient"] == name


def test_names_in_any_alphabet_come_out_of_archives(place, home):
    place.put("train/NORMAL/胸部 снимок.jpeg", place.jpeg())
    shutil.make_archive(str(place.top / "архив 1"), "zip", place.root.parent, place.root.name)
    found = ingest(str(place.top / "архив 1.zip"), home, Data())
    assert "train/NORMAL/胸部 снимок.jpeg" in set(pd.read_parquet(found.manifest)["path"])


def test_a_name_with_line_breaks_is_skipped_and_counted(place, home):
    assert ingest(place.put("train/NORMAL/a\nb.jpeg", b"x"), home, Data()).skipped == {"name is not printable text": 1}


def test_a_name_that_is_not_unicode_is_skipped_and_counted(place, home):
    (Path(os.fsdecode(os.fsencode(place.root / "train/NORMAL")) + "/" + os.fsdecode(b"\xff\xfe.jpeg"))).write_bytes(
        b"x"
    )
    assert ingest(str(place.root), home, Data()).skipped == {"name is not printable text": 1}


def test_a_state_folder_that_cannot_be_written_is_named(place):
    blocked = place.make.write(place.top / "a file", b"x")
    with pytest.raises(DataError, match=r"the disk refuses at .*a file.* move the state folder with PNEUMO_HOME"):
        ingest(str(place.root), blocked, Data())


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from pneumo.data.sources import ingest
from pneumo.errors import DataError
from pneumo.settings import Data
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
try:
    ingest(sys.argv[1], Path(sys.argv[2]), Data())
except DataError as error:
    print(error)
"""


def test_a_full_disk_is_told_and_leaves_nothing_half_written(place, home):
    """The limit on file size stands for the end of the disk: a write fails midway."""
    command = [sys.executable, "-c", FULL_DISK, str(place.root), str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "the disk refuses" in done.stdout
    assert "free space" in done.stdout
    assert not list((home / "cache").glob("pixels/*"))
    assert ingest(str(place.root), home, Data()).images == 48


LISTING = b"""<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated><Contents>
<Key>set/NORMAL/a.jpeg</Key><Size>100</Size><ETag>"e"</ETag><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>
</ListBucketResult>"""


ALWAYS = {
    "403": (403, b"<Error><Code>AccessDenied</Code></Error>"),
    "500": (500, b"<Error><Code>InternalError</Code></Error>"),
    "no S3": (200, b"<html>It works!</html>"),
}
MIDWAY = {
    "403 midway": (403, b"<Error><Code>AccessDenied</Code></Error>"),
    "changed": (412, b"<Error><Code>PreconditionFailed</Code></Error>"),
    "gone": (404, b"<Error><Code>NoSuchKey</Code></Error>"),
    "other size": (200, b"too short"),
}


class Faulty(BaseHTTPRequestHandler):
    """An S3 server that lists one object and then behaves badly."""

    fault = ""

    def do_GET(self) -> None:
        if self.fault in ALWAYS or ("list-type" not in self.path and self.fault in MIDWAY):
            self._answer(*{**ALWAYS, **MIDWAY}[self.fault])
        elif "list-type" in self.path:
            self._answer(200, LISTING)
        elif self.fault == "breaks off":
            self._answer(200, b"half", length=100)
        elif self.fault == "hangs":
            self.server.stop.wait(5)  # type: ignore[attr-defined]

    def _answer(self, status: int, body: bytes, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length or len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def faulty(s3_server, monkeypatch) -> Iterator[Callable[[str], str]]:
    """Address of an S3 server with a fault."""
    import threading

    monkeypatch.setattr(storage, "ATTEMPTS", 2)
    monkeypatch.setattr(storage, "OUTAGE_SECONDS", 0.0)
    monkeypatch.setattr(storage, "READ_TIMEOUT", 0.5)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Faulty)
    server.stop = threading.Event()  # type: ignore[attr-defined]
    Thread(target=server.serve_forever, daemon=True).start()

    def start(fault: str) -> str:
        monkeypatch.setattr(Faulty, "fault", fault)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    server.stop.set()  # type: ignore[attr-defined]
    server.shutdown()


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("403", "answers 403 AccessDenied: check the credentials"),
        ("403 midway", r"set/NORMAL/a.jpeg .* answers 403 AccessDenied: check the credentials"),
        ("changed", r"a.jpeg .* answers 412 PreconditionFailed: it changed while it was read, run again"),
        ("500", r"answers 500 InternalError: run again, or ask who runs it"),
        ("no S3", "Expected images below s3://bucket/set, but there are none: check bucket, prefix and endpoint"),
        ("gone", "answers 404 NoSuchKey: check bucket and prefix"),
        ("breaks off", r"after 2 attempts"),
        ("hangs", r"Read timeout .*after 2 attempts"),
        ("other size", "Expected 100 bytes .* but got 9 others"),
    ],
)
def test_an_s3_server_that_fails_midway_is_told_and_leaves_no_file(home, faulty, fault, text):
    with pytest.raises(DataError, match=text):
        ingest("s3://bucket/set", home, Data(s3_endpoint=faulty(fault)))
    assert not list(home.rglob("*.jpeg*"))


def test_an_s3_server_that_is_not_there_is_told(home, s3_server, monkeypatch):
    monkeypatch.setattr(storage, "ATTEMPTS", 1)
    with pytest.raises(DataError, match=r"Expected to reach s3://bucket/.*check endpoint, network"):
        ingest("s3://bucket/set", home, Data(s3_endpoint="http://127.0.0.1:9"))


def test_missing_credentials_are_told(home, s3_server, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)  # it remembers them
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "none"))
    with pytest.raises(DataError, match=r"Unable to locate credentials .*: check endpoint, network and credentials"):
        ingest("s3://hospital/set", home, Data(s3_endpoint=s3_server))


def test_a_bucket_that_is_not_there_is_told(home, s3_server):
    with pytest.raises(DataError, match="answers 404 NoSuchBucket: check bucket and prefix"):
        ingest("s3://no-such-bucket/set", home, Data(s3_endpoint=s3_server))


def test_a_key_that_leads_outside_is_refused(home, s3_server):
    import boto3

    client = boto3.client("s3", endpoint_url=s3_server)
    client.put_object(Bucket="hospital", Key="hostile/NORMAL//../../../evil.jpeg", Body=b"x")
    with pytest.raises(DataError, match="leads outside: rename that object"):
        ingest("s3://hospital/hostile", home, Data(s3_endpoint=s3_server))
    assert not list(home.rglob("evil*"))
