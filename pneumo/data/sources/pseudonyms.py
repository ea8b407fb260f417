"""Pseudonyms of patients: keyed hashes in the place of what a header, a label file or a path calls them."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

KEY_VARIABLE, KEY_FILE = "PNEUMO_PATIENT_KEY", "patient.key"


def pseudonym(kind: str, text: str, secret: bytes) -> str:
    """A patient's HMAC-SHA-256 with the patient key, cut to 96 bits, after where it was read: "dicom-07ab..."."""
    return f"{kind}-{hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()[:24]}"


def patient_secret(home: Path) -> bytes:
    """Key of the pseudonyms: from PNEUMO_PATIENT_KEY, else a file that is made once, readable by its owner only.

    The same key on two machines gives the same patients, and so the same dataset digest.
    """
    if given := os.environ.get(KEY_VARIABLE):
        return given.encode()
    path = home / KEY_FILE
    home.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes()
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_hex(32).encode())
    return path.read_bytes()
