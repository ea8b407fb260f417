"""Addresses of DICOMweb archives: what they may hold; logins, and filters that name a patient, are refused."""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from pneumo.errors import DataError

SCHEMES = {"dicomweb": "https", "dicomweb+http": "http"}
LABELS = "labels"
DATES = r"\d{8}(-(\d{8})?)?|-\d{8}"
UID = r"[0-9.]{1,64}"
FILTERS = {  # of QIDO-RS, that name no patient: an address is shown in logs and on pages
    "StudyDate": DATES,
    "StudyInstanceUID": UID,
    "Modality": "[A-Z]{2,16}",
    "BodyPartExamined": "[A-Z ]{1,16}",
    LABELS: r"[^\0]+",
}
USER, PASSWORD, TOKEN = "PNEUMO_DICOMWEB_USER", "PNEUMO_DICOMWEB_PASSWORD", "PNEUMO_DICOMWEB_TOKEN"
FORM = "dicomweb://host[:port]/path?StudyDate=20260101-20260131"


@dataclass(frozen=True)
class Address:
    """`url` is where requests go, `shown` the same as a user writes it; neither has a login or a query."""

    url: str
    shown: str
    filters: Mapping[str, str]

    @property
    def labels(self) -> str | None:
        """The label file that the query names."""
        return self.filters.get(LABELS)


def is_dicomweb(source: str) -> bool:
    """Whether a source is the address of a DICOMweb archive."""
    return source.partition("://")[0] in SCHEMES


def parse(source: str, plain_http: bool = False) -> Address:
    """The parts of dicomweb://host[:port]/path?query; dicomweb+http:// is for loopback, with `plain_http` for all.

    Raises:
        DataError: it holds a login, which is not repeated, or another filter than `FILTERS`.
    """
    parts = urlsplit(source)
    if "@" in source:
        raise DataError(
            f"Expected an address without user and password, found one: give {USER} and {PASSWORD}, or {TOKEN}, in the"
            " environment."
        )
    try:
        host, netloc = parts.hostname, parts.netloc if parts.port != 0 else ""
    except ValueError:  # a port that is no number
        host = netloc = ""
    if parts.scheme not in SCHEMES or not (host and netloc) or parts.fragment or re.search(r"[\s\\]", source):
        raise DataError(f"Expected {FORM}, but got another address: correct it.")
    if SCHEMES[parts.scheme] == "http" and not (plain_http or _is_loopback(host)):
        raise DataError(
            f"Expected dicomweb:// for {host}, but got dicomweb+http://, by which anybody on the way reads images and"
            " login: use TLS, or set data.dicomweb_http: true for a network that is trusted."
        )
    place = netloc + parts.path.rstrip("/")
    return Address(f"{SCHEMES[parts.scheme]}://{place}", f"{parts.scheme}://{place}", _filters(parts.query))


def login() -> tuple[str, str] | str | None:
    """User and password, or a token, from the environment; None without either.

    Raises:
        DataError: a user without a password, or both kinds.
    """
    user, password, token = (os.environ.get(name, "") for name in (USER, PASSWORD, TOKEN))
    if bool(user) != bool(password) or (user and token):
        raise DataError(f"Expected {USER} with {PASSWORD}, or {TOKEN} alone, but others are set: correct that.")
    return (user, password) if user else token or None


def _filters(query: str) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    filters = dict(pairs)
    for name, value in pairs:
        if name not in FILTERS:
            raise DataError(
                f"Expected only {', '.join(FILTERS)} in the query of a dicomweb address, which is shown in logs, but it"
                " has another filter: leave it out."
            )
        if not re.fullmatch(FILTERS[name], value):
            raise DataError(f"Expected {name} as {FILTERS[name]} in the query, but it has another form: correct it.")
    if len(filters) != len(pairs):
        raise DataError("Expected each filter once in the query of a dicomweb address: leave the second one out.")
    return filters


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
