"""Disks of a known size below the volumes of services, which a test fills and empties."""

import errno
import os
import subprocess
from contextlib import ExitStack, contextmanager

SIZE = 3 << 30  # bytes of each; what is not written takes nothing from the machine's own disk


@contextmanager
def small_disks(folder, owners):
    """A folder on a file system of its own for each volume and its owner; none where mounting is not permitted."""
    with ExitStack() as stack:
        made = {name: _disk(folder / f"disk-{name}", owner, stack) for name, owner in owners.items()}
        yield made if all(made.values()) else {}


def _disk(place, owner, stack):
    """Not the file system's own root: there is a lost+found, where a new Postgres wants nothing."""
    place.mkdir()
    image = place.with_suffix(".ext4")
    with image.open("wb") as file:
        file.truncate(SIZE)
    stack.callback(image.unlink)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
    if subprocess.run(["mount", "-o", "loop", image, place], capture_output=True).returncode:
        return None
    stack.callback(subprocess.run, ["umount", "--lazy", place], check=True)
    inside = place / "data"
    inside.mkdir(mode=0o700)
    os.chown(inside, owner, owner)
    return inside


@contextmanager
def filled(disk):
    """A disk on which nothing is left during the block."""
    filler = disk.parent / "filler"
    with filler.open("wb") as file:
        step = 1 << 28
        while step >= 1 << 12:
            try:
                os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, step)
            except OSError as error:
                assert error.errno == errno.ENOSPC, error
                step //= 2
    try:
        yield
    finally:
        filler.unlink()
