import io
import tarfile
import zipfile

import pytest

from pneumo.data.sources import archives
from pneumo.data.sources.archives import Limits, extract
from pneumo.data.sources.schemes import ingest
from pneumo.errors import DataError
from pneumo.settings.data import Data


def zipped(root, archive, extra=()):
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted(root.rglob("*")):
            if path.is_file():
                packed.write(path, path.relative_to(root.parent))
        for name, data in extra:
            packed.writestr(name, data)
    return archive


def tape(archive, members):
    with tarfile.open(archive, "w:gz") as packed:
        for member, data in members:
            member.size = len(data)
            packed.addfile(member, io.BytesIO(data))
    return archive


def test_kaggles_archive_with_its_second_copy_is_the_same_set_as_the_folder(chest_set, tmp_path, home):
    copy = [(f"chest_xray/chest_xray/{p.relative_to(chest_set)}", p.read_bytes()) for p in chest_set.rglob("*.jpeg")]
    mac = [("__MACOSX/chest_xray/train/NORMAL/._IM-0002-0000.jpeg", b"x")]
    archive = zipped(chest_set, tmp_path / "archive.zip", [*copy, *mac])
    packed, folder = ingest(str(archive), home, Data()), ingest(str(chest_set), tmp_path / "other", Data())
    assert packed.key == folder.key
    assert packed.skipped == {"nested second copy": 48}


def test_a_tar_archive_is_unpacked_once(chest_set, tmp_path, home):
    with tarfile.open(tmp_path / "set.tar.gz", "w:gz") as packed:
        packed.add(chest_set, "chest_xray")
    folder = extract(tmp_path / "set.tar.gz", home)
    made = {file: file.stat().st_ino for file in folder.rglob("*.jpeg")}
    assert extract(tmp_path / "set.tar.gz", home) == folder
    assert {file: file.stat().st_ino for file in folder.rglob("*.jpeg")} == made
    assert len(list(folder.rglob("*.jpeg"))) == 48


@pytest.mark.parametrize(
    "name", ["../evil.jpeg", "a/../../evil.jpeg", "/tmp/evil.jpeg", "..\\evil.jpeg", "C:\\evil.jpeg"]
)
def test_a_path_that_leads_outside_is_refused_and_nothing_is_left(tmp_path, home, name):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("NORMAL/ok.jpeg", b"x")
        packed.writestr(name, b"x")
    with pytest.raises(DataError, match="leads outside"):
        extract(tmp_path / "a.zip", home)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "a.zip"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused(tmp_path, home, kind):
    member = tarfile.TarInfo("NORMAL/a.jpeg")
    member.type, member.linkname = kind, "/etc/passwd"
    with pytest.raises(DataError, match=r"'NORMAL/a.jpeg' is a link or a device"):
        extract(tape(tmp_path / "a.tar.gz", [(member, b"")]), home)


def test_a_symbolic_link_in_a_zip_is_refused(tmp_path, home):
    link = zipfile.ZipInfo("NORMAL/a.jpeg")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="is a link or a device"):
        extract(tmp_path / "a.zip", home)


def empty(name, kind=tarfile.REGTYPE):
    member = tarfile.TarInfo(name)
    member.type = kind
    return member, b""


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.DIRTYPE])
def test_empty_files_and_folders_of_a_tape_count(tmp_path, home, kind):
    archive = tape(tmp_path / "a.tar.gz", [empty(f"NORMAL/{number}", kind) for number in range(9)])
    with pytest.raises(DataError, match="in 3 files, as a decompression bomb does"):
        extract(archive, home, Limits(files=2))
    with pytest.raises(DataError, match="as a decompression bomb does"):  # 9 headers of 512 bytes
        extract(archive, home, Limits(ratio=1, ratio_from=2048))


def test_what_is_skipped_on_a_tape_is_not_unpacked_to_come_behind_it(tmp_path, home):
    archive = tape(tmp_path / "a.tar.gz", [(tarfile.TarInfo("__MACOSX/a"), bytes(100_000)), empty("NORMAL/a")])
    with pytest.raises(DataError, match="in 1 files, as a decompression bomb does"):
        extract(archive, home, Limits(ratio=1, ratio_from=50_000))


@pytest.mark.parametrize("name", ["NORMAL/{}.jpeg", "NORMAL/{}/"])
@pytest.mark.parametrize("comment", [b"", b"as some tools write them"])
def test_a_zip_of_too_many_empty_members_is_refused_before_they_are_held_in_memory(
    tmp_path, home, name, comment, monkeypatch
):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.comment = comment
        for number in range(9):
            packed.writestr(name.format(number), b"")
    assert extract(tmp_path / "a.zip", home / "other", Limits(files=9)).is_dir()
    monkeypatch.setattr(archives, "members", None)
    with pytest.raises(DataError, match="in 9 files, as a decompression bomb does"):
        extract(tmp_path / "a.zip", home, Limits(files=8))


def test_the_members_of_a_zip64_are_counted(tmp_path, home, monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 3)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        for number in range(9):
            packed.writestr(f"NORMAL/{number}.jpeg", b"")
    with pytest.raises(DataError, match="in 9 files, as a decompression bomb does"):
        extract(tmp_path / "a.zip", home, Limits(files=8))


@pytest.mark.parametrize(
    "limits", [Limits(files=2), Limits(total=1000), Limits(ratio=5, ratio_from=1000)], ids=["files", "total", "ratio"]
)
def test_limits_stop_a_bomb_by_what_really_comes_out(tmp_path, home, limits):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for number in range(3):
            packed.writestr(f"NORMAL/{number}.jpeg", bytes(5000))
    with pytest.raises(DataError, match="as a decompression bomb does"):
        extract(tmp_path / "a.zip", home, limits)
