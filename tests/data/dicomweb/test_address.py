"""Addresses of archives: a login or a patient in them is refused and not repeated."""

import pytest

from pneumo.data.dicomweb import address
from pneumo.errors import DataError

DATES = "StudyDate=20260101-20260131"


def test_an_address_asks_by_tls_and_keeps_its_filters():
    found = address.parse(
        f"dicomweb://pacs.hospital.example:8443/dicom-web/?{DATES}&Modality=DX&BodyPartExamined=CHEST"
    )
    assert found.url == "https://pacs.hospital.example:8443/dicom-web"
    assert found.shown == "dicomweb://pacs.hospital.example:8443/dicom-web"
    assert found.filters == {"StudyDate": "20260101-20260131", "Modality": "DX", "BodyPartExamined": "CHEST"}


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("dicomweb://nurse:Tr0ub4dor@pacs/dw", "without user and password"),
        (f"dicomweb://pacs/dw?{DATES}&user=nurse@Tr0ub4dor", "without user and password"),
        (f"dicomweb://pacs/dw?{DATES}&access_token=Tr0ub4dor", "another filter"),
        ("dicomweb://pacs/dw?PatientName=Tr0ub4dor", "another filter"),
        ("dicomweb://pacs/dw?StudyDate=Tr0ub4dor", "StudyDate as"),
        (f"dicomweb://pacs/dw?{DATES}&StudyDate=20250101", "each filter once"),
        ("dicomweb://pacs:Tr0ub4dor/dw", "another address"),
        ("dicomweb:///dw", "another address"),
        (f"dicomweb+http://pacs/dw?{DATES}", "by which anybody on the way reads"),
        (f"dicomweb+http://127.0.0.1.pacs/dw?{DATES}", "by which anybody on the way reads"),
    ],
)
def test_what_would_tell_a_secret_is_refused_and_not_repeated(given, why):
    with pytest.raises(DataError, match=why) as error:
        address.parse(given)
    assert "Tr0ub4dor" not in str(error.value)


def test_plain_http_is_for_loopback_and_where_a_setting_allows_it():
    for host in ("localhost", "127.0.0.1:8042", "[::1]:8042"):
        assert address.parse(f"dicomweb+http://{host}/dw").url == f"http://{host}/dw"
    assert address.parse("dicomweb+http://pacs/dw", plain_http=True).url == "http://pacs/dw"


@pytest.mark.parametrize(
    ("given", "login"),
    [({}, None), ({"USER": "u", "PASSWORD": "p"}, ("u", "p")), ({"TOKEN": "t"}, "t"), ({"USER": "u"}, DataError),
     ({"USER": "u", "PASSWORD": "p", "TOKEN": "t"}, DataError)],
)  # fmt: skip
def test_the_login_comes_from_the_environment(given, login, monkeypatch):
    for name in ("USER", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"PNEUMO_DICOMWEB_{name}", raising=False)
    for name, value in given.items():
        monkeypatch.setenv(f"PNEUMO_DICOMWEB_{name}", value)
    if login is DataError:
        with pytest.raises(DataError, match="PNEUMO_DICOMWEB_USER with"):
            address.login()
    else:
        assert address.login() == login
