"""Archives from outside, broken on purpose: nothing is written elsewhere, and neither disk nor memory is filled."""

import contextlib
import io
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumo.data.sources import archives
from pneumo.errors import DataError
from tests.security.broken import at_most, broken, fuzz, picture

LIMITS = archives.Limits(files=50, total=1 << 20, ratio_from=1 << 18)

BOMB = 32 << 20


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


ARCHIVES = {
    ".zip": zipped(),
    ".tar": taped("w"),
    ".tar.gz": taped("w:gz"),
    ".tar.bz2": taped("w:bz2"),
    ".tar.xz": taped("w:xz"),
}

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)

PIECES = st.sampled_from(("..", ".", "/", "\\", "a", "C:", "NORMAL", "~", " ", "\n"))


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
