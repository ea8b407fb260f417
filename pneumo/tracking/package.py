"""Digest of a logged model's folder: kept when the model is logged, compared before its code is run."""

import hashlib
from pathlib import Path

TAG = "package.sha256"  # tag of a logged model, and of the versions registered from it


def files_digest(folder: Path) -> str:
    """sha256 over names and contents of all files below a folder."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        with file.open("rb") as content:
            line = f"{file.relative_to(folder).as_posix()}\0{hashlib.file_digest(content, 'sha256').hexdigest()}\n"
        digest.update(line.encode())
    return digest.hexdigest()
