"""Reading DICOM JSON (PS3.18, annex F) of a server that may send anything."""

import json
import re
from typing import Any

from pneumo.data.dicomweb.address import UID
from pneumo.errors import ArchiveError


def parsed(text: bytes) -> Any:
    """The content of a JSON text; None where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def values_of(row: Any, tag: str) -> list[Any]:
    """The values of an element, given by its tag as eight digits; none where it is missing or of another form."""
    element = row.get(tag) if isinstance(row, dict) else None
    value = element.get("Value") if isinstance(element, dict) else None
    return value if isinstance(value, list) else []


def first_of(row: Any, tag: str) -> Any:
    """An element's first value, or None."""
    return next(iter(values_of(row, tag)), None)


def uid_of(row: Any, tag: str) -> str:
    """A UID, safe to be put into an address.

    Raises:
        ArchiveError: there is none.
    """
    found = first_of(row, tag)
    if not isinstance(found, str) or not re.fullmatch(UID, found):
        raise ArchiveError("Expected UIDs in the archive's answer, but a row has none: check the address.")
    return found
