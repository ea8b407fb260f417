"""Whatever an archive answers has a clear outcome: no image is made of it, no identifier is told, nothing fills up."""

import numpy as np
import pytest

from pneumo.data.dicomweb import archive as archive_module
from pneumo.data.dicomweb import connection
from pneumo.data.dicomweb.address import parse
from pneumo.data.dicomweb.archive import Archive
from pneumo.data.sources.dicomweb import mirror
from pneumo.errors import ArchiveError, DataError
from pneumo.settings.data import Data
from tests.data.dicomweb.faulty_archive import IMAGE, MULTIPART, STUDY, parts, serving


@pytest.fixture(scope="module")
def image(make):
    return make.dicom(np.asarray(make.picture(1)), StudyInstanceUID=STUDY, SOPInstanceUID=IMAGE, Modality="CR")


@pytest.fixture(scope="module")
def faulty(image):
    with serving(image) as server:
        yield server


@pytest.fixture
def server(faulty, monkeypatch):
    monkeypatch.setattr(connection, "ATTEMPTS", 2)
    for name in ("USER", "PASSWORD"):
        monkeypatch.delenv(f"PNEUMO_DICOMWEB_{name}", raising=False)
    monkeypatch.setenv("PNEUMO_DICOMWEB_TOKEN", "geheim")
    faulty.fault = lambda request: False
    faulty.asked.clear()
    return faulty


def fetched(server, home):
    (copy,) = mirror(f"{server.address}?StudyDate=20260101", home, Data())[1]
    return copy


def test_an_honest_archive_gives_its_image_once_to_whom_has_the_login(server, image, home):
    copy = fetched(server, home)
    assert copy.error is None and copy.file.read_bytes() == image
    before = len(server.asked)
    assert fetched(server, home) == copy and sum(IMAGE in path for _, path, _ in server.asked[before:]) == 0
    assert {headers["Authorization"] for *_, headers in server.asked} == {"Bearer geheim"}
    assert not any(uid in str(path) for path in home.rglob("*") for uid in (STUDY, IMAGE, "MUSTERMANN"))


def of_image(answer):
    """A fault of the image's resource alone."""
    return lambda request: request.of_image and answer(request)


BROKEN = {
    "half a file": (lambda to: to.answer(200, parts(b"x" * 99), MULTIPART, Content_Length="9999"), "breaks off"),
    "no end": (lambda to: to.answer(200, parts(to.server.image, end=b""), MULTIPART), "breaks off"),
    "a page": (lambda to: to.answer(200, b"<p>hello", "text/html"), "another content type"),
    "no multipart": (lambda to: to.answer(200, b"hello", MULTIPART), "it is broken"),
    "no DICOM": (lambda to: to.answer(200, parts(b"hello"), MULTIPART), "a DICOM file of the archive"),
    "half a header": (lambda to: to.answer(200, parts(to.server.image[:140]), MULTIPART), "cannot be read"),
    "another image": (
        lambda to: to.answer(200, parts(to.server.image.replace(IMAGE.encode(), b"1.2.77.1.1.2")), MULTIPART),
        "gives another one",
    ),
    "two images": (lambda to: to.answer(200, parts(to.server.image, to.server.image), MULTIPART), "but got several"),
    "compressed": (lambda to: to.answer(200, b"x", MULTIPART, Content_Encoding="gzip"), "compresses it unasked"),
    "gone": (lambda to: to.answer(404), "answers 404"),
    "elsewhere": (lambda to: to.answer(302, Location="http://127.0.0.1:9/"), "the address to which it leads"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_image_that_does_not_come_whole_is_an_error_of_its_own(name, server, home):
    answer, why = BROKEN[name]
    server.fault = of_image(answer)
    copy = fetched(server, home)
    assert why in copy.error and not any(uid in copy.error for uid in (STUDY, IMAGE))
    assert not [path for path in copy.file.parent.iterdir()]


def test_an_endless_message_is_cut_off(server, home, monkeypatch):
    monkeypatch.setattr(archive_module, "MAXIMUM_BYTES", 2**20)
    sent = []

    def endless(request):
        request.send_response(200)
        request.send_header("Content-Type", MULTIPART)
        request.end_headers()
        request.wfile.write(parts(end=b"--limit\r\nContent-Type: application/dicom\r\n\r\n"))
        while True:  # until the other side hangs up
            request.wfile.write(b"\0" * 2**16)
            sent.append(2**16)

    server.fault = of_image(endless)
    assert "at most 1 MiB" in fetched(server, home).error
    assert sum(sent) < 2**26 and not list((home / "cache" / "dicomweb").rglob("*.*"))


def test_an_answer_that_goes_on_too_long_is_cut_off(server, home, monkeypatch):
    monkeypatch.setattr(connection, "LONGEST_ANSWER", -1.0)
    with pytest.raises(DataError, match="goes on sending"):
        fetched(server, home)


def test_a_busy_archive_is_asked_again_when_it_says(server, image, home, monkeypatch):
    waited, answers = [], iter([503])
    monkeypatch.setattr(connection.time, "sleep", waited.append)
    server.fault = of_image(lambda to: any(to.answer(status, Retry_After="7") for status in answers))
    assert fetched(server, home).file.read_bytes() == image and waited == [7.0]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda to: to.answer(401), r"answers 401: give its login in the environment \(PNEUMO_DICOMWEB_PASSWORD"),
        (lambda to: to.answer(503, Retry_After="0"), "it answers 503, 2 times: run again later"),
        (lambda to: to.answer(503, Retry_After="86400"), "come again in 86400 s"),
        (lambda to: to.answer(429, Retry_After="Fri, 31 Dec 2100 23:59:59 GMT"), "come again in"),
    ],
)
def test_an_archive_that_cannot_be_used_ends_the_run(answer, why, server, home):
    server.fault = of_image(answer)
    with pytest.raises(ArchiveError, match=why) as error:
        fetched(server, home)
    assert IMAGE not in str(error.value)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda to: to.answer(200, b"<p>hello", "text/html"), "another content type"),
        (lambda to: to.answer(200, b"[" * 100_000), "Expected DICOM JSON"),
        (lambda to: to.answer(200, b'{"a": 1}'), "Expected DICOM JSON"),
        (lambda to: to.rows({"0020000D": "../../etc"}), "Expected UIDs"),
        (lambda to: to.answer(200, b"[{}]"), "Expected UIDs"),
        (lambda to: to.answer(204), "but none match"),
    ],
)
def test_a_search_that_is_no_search_ends_the_run(answer, why, server, home):
    server.fault = answer
    with pytest.raises(DataError, match=why):
        fetched(server, home)


def test_an_archive_that_knows_no_pages_is_not_asked_for_ever(server, home):
    server.fault = lambda to: "instances?" in to.path and to.rows(*[{"00080018": IMAGE}] * 500)
    assert fetched(server, home).error is None


def test_what_an_archive_does_not_say_it_stored_is_not_stored(server):
    archive = Archive(parse(server.address))
    for answer in (
        lambda to: to.answer(200, b"{}"),
        lambda to: to.answer(409, b'{"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [272]}}]}}'),
        lambda to: to.answer(200, b"stored"),
    ):
        server.fault = answer
        with pytest.raises(DataError, match="did not store 1"):
            archive.store(STUDY, {"1.2.3": b"file"})


def test_an_address_where_nobody_listens_fails_at_once(mlflow_control, home):
    with pytest.raises(ArchiveError, match="Expected to reach"):
        mirror(f"dicomweb+http://127.0.0.1:{mlflow_control.free_port()}/dw?StudyDate=20260101", home, Data())
