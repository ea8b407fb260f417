"""Pseudonyms of patients: keyed hashes that replace the names in a header, a label file or a path."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from filelock import FileLock

from pneumo.errors import DataError

KEY_VARIABLE, KEY_FILE = "PNEUMO_PATIENT_KEY", "patient.key"
SHORTEST = 16  # bytes


def pseudonym(kind: str, text: str, secret: bytes) -> str:
    """HMAC-SHA-256 of a patient with the patient key, cut to 96 bits, behind where it was read: "dicom-07ab..."."""
    return f"{kind}-{hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()[:24]}"


def patient_secret(home: Path) -> bytes:
    """Key of the pseudonyms: PNEUMO_PATIENT_KEY, else a file that is made once and that only its owner can read.

    The same key on two machines gives the same pseudonyms, and so the same dataset digest.

    Raises:
        DataError: the file is shorter than a key.
    """
    if given := os.environ.get(KEY_VARIABLE):
        return given.encode()
    path = home / KEY_FILE
    if not path.exists():
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{KEY_FILE}.lock")):
            if not path.exists():  # nobody was faster
                _make(path)
    key = path.read_bytes()
    if len(key) < SHORTEST:
        raise DataError(
            f"Expected a key of at least {SHORTEST} bytes in {path}, found {len(key)}: put back the key that the"
            " patients of this state folder were hashed with, or remove the file to have a new one made."
        )
    return key


def _make(path: Path) -> None:
    scratch = path.with_name(f".{path.name}.part")
    scratch.unlink(missing_ok=True)
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secrets.token_hex(32).encode())
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
