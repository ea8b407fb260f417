"""Disks of a known size below the state of services, which a test fills and empties."""

import os
import subprocess
from contextlib import contextmanager

SIZE = "3g"  # of each; what is not written takes no memory


@contextmanager
def small_disks(folder, owners):
    """A file system in memory for each volume, owned as the service needs it; none where mounting is not permitted."""
    made = {}
    try:
        for name, owner in owners.items():
            place = folder / name
            place.mkdir()
            options = f"size={SIZE},mode=0700,uid={owner},gid={owner}"
            if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True).returncode:
                break
            made[name] = place
        yield made if len(made) == len(owners) else {}
    finally:
        for place in made.values():
            subprocess.run(["umount", "--lazy", place], check=True)


@contextmanager
def filled(disk, leave=0):
    """A disk on which so many bytes are left during the block."""
    filler = disk / "filler"
    with filler.open("wb") as file:
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        os.posix_fallocate(file.fileno(), 0, free - leave)
    try:
        yield
    finally:
        filler.unlink()
