"""The search itself: what hides a patient in a file is opened before it is searched."""

import base64
import gzip
import io
import json
import zipfile

import pandas as pd
import pytest

from tests.leaks import hits
from tests.planted import KINDS, NAME, WORDS, dicom, picture


def zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("image", data)
    return file.getvalue()


def in_json(data: bytes) -> bytes:
    return json.dumps({"columns": ["image"], "data": [[base64.b64encode(data).decode()]]}).encode()


def in_lines(data: bytes) -> bytes:
    return json.dumps([base64.encodebytes(data).decode()]).encode()


def in_parquet(data: bytes) -> bytes:
    file = io.BytesIO()
    pd.DataFrame({"image": [data]}).to_parquet(file)
    return file.getvalue()


PACKED = {"as it is": bytes, "base64": in_json, "base64 in lines": in_lines, "zip": zipped, "parquet": in_parquet}
PACKED |= {"gzip": gzip.compress, "all of them": lambda data: in_json(zipped(in_parquet(in_lines(data))))}


@pytest.mark.parametrize("pack", PACKED.values(), ids=PACKED)
@pytest.mark.parametrize("kind", KINDS)
def test_a_patient_is_found_however_the_file_is_packed(kind, pack):
    found = hits([("file", pack(KINDS[kind](picture())))], WORDS)
    assert {line.rpartition(": ")[2] for line in found} == set(WORDS)


def test_a_word_in_a_table_is_found():
    file = io.BytesIO()
    pd.DataFrame({"patient": [NAME]}).to_parquet(file)
    assert f"p.parquet!patient[0]: {NAME}" in hits([("p.parquet", file.getvalue())], [NAME])


def test_nothing_is_found_where_nothing_is():
    assert hits([("file", in_json(dicom(picture())))], ["Mirabellenbaum"]) == []
