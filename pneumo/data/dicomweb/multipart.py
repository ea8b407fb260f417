"""DICOM files in multipart/related messages, as WADO-RS answers and STOW-RS asks for them (PS3.18, 8.6.1.2)."""

import importlib.util
import uuid
from collections.abc import Iterable, Sequence
from typing import IO

from pneumo.data.dicomweb.connection import BrokenAnswerError
from pneumo.errors import DataError, ServiceError

DICOM = "application/dicom"


def require_parser() -> None:
    """Check, before anything is asked, that answers can be read.

    Raises:
        ServiceError: python-multipart is not installed.
    """
    if importlib.util.find_spec("python_multipart") is None:
        raise ServiceError(
            "Expected python-multipart to read the answers of an archive, but it is not installed: run"
            " `pip install python-multipart`."
        )


def write_single(file: IO[bytes], content_type: str, chunks: Iterable[bytes]) -> None:
    """Write the only part of a message to a file, chunk by chunk.

    Raises:
        BrokenAnswerError: the message ends without its end.
        DataError: it is no multipart message, is broken, or has other than one part of DICOM.
    """
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser, parse_options_header

    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind.lower() != b"multipart/related" or not boundary:
        raise DataError("Expected multipart/related of the archive, but got another content type: check its path.")
    begun, ended = [], []

    def begin() -> None:
        begun.append(True)
        if len(begun) > 1:
            raise DataError("Expected one image in an answer of the archive, but got several: ask who runs it.")

    def data(content: bytes, start: int, end: int) -> None:
        file.write(content[start:end])

    try:
        parser = MultipartParser(
            boundary,
            {"on_part_begin": begin, "on_part_data": data, "on_end": lambda: ended.append(True)},
        )
        for chunk in chunks:
            parser.write(chunk)
    except FormParserError:  # its text quotes the message
        raise DataError("Expected a multipart message of the archive, but it is broken: ask who runs it.") from None
    if not ended:
        raise BrokenAnswerError


def message(files: Sequence[bytes]) -> tuple[str, bytes]:
    """Content type and body of a message of DICOM files."""
    boundary = uuid.uuid4().hex
    start = f"--{boundary}\r\nContent-Type: {DICOM}\r\n\r\n".encode()
    body = b"".join(start + file + b"\r\n" for file in files)
    return f'multipart/related; type="{DICOM}"; boundary={boundary}', body + f"--{boundary}--\r\n".encode()
