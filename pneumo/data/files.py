"""Writing files that are complete or absent."""

import os
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Write a file next to its place and rename it there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.part")
    scratch.write_bytes(data)
    os.replace(scratch, path)
