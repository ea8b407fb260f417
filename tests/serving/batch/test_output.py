"""Where the table of a scoring is written, and that it has one owner."""

import io
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from pneumo.errors import DataError
from pneumo.serving.batch.find_images import find_images
from pneumo.serving.batch.output import open_output, owned
from pneumo.serving.batch.scoring import predict, score
from pneumo.serving.batch.table import columns_of, to_table
from pneumo.settings.data import Data

HOLD = """
import sys, time
from pathlib import Path
from pneumo.serving.batch.output import open_output, owned
with owned(open_output(sys.argv[1], Path(sys.argv[2]))):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("address", ["predictions.csv", "s3://hospital/scores/predictions.csv"])
def test_an_output_has_one_owner_until_it_dies(folder, tmp_path, s3_server, monkeypatch, address):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_server)
    out = address if "://" in address else str(tmp_path / address)
    owner = subprocess.Popen([sys.executable, "-c", HOLD, out, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert owner.stdout.readline() == b"held\n"
        with pytest.raises(DataError, match=f"that no other run writes {out}, but one does"):
            predict(None, None, [str(folder)], out, tmp_path, Data())
    finally:
        owner.kill()
        owner.communicate()
    with owned(open_output(out, tmp_path)):
        pass


def test_a_scoring_that_fails_leaves_nothing_beside_its_output(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        predict(None, None, [str(tmp_path / "gone")], str(tmp_path / "predictions.csv"), tmp_path, Data())
    assert list(tmp_path.iterdir()) == []


def test_a_table_is_written_to_a_bucket(folder, answer, tmp_path, s3_server):
    import boto3

    out = open_output("s3://hospital/scores/predictions.parquet", tmp_path, s3_server)
    result = score(find_images([str(folder)], Data(), tmp_path), answer, "tiny 1", out)
    assert (result.out, result.images) == ("s3://hospital/scores/predictions.parquet", 6)
    client = boto3.client("s3", endpoint_url=s3_server)
    content = client.get_object(Bucket="hospital", Key="scores/predictions.parquet")["Body"].read()
    assert pd.read_parquet(io.BytesIO(content)).equals(pd.read_parquet(result.table))
    assert not (tmp_path / "s3:").exists()


def test_a_bucket_that_is_not_there_is_told_before_anything_is_scored(tmp_path, s3_server):
    with pytest.raises(DataError, match=r"s3://nobody/predictions\.csv .* check bucket"):
        open_output("s3://nobody/predictions.csv", tmp_path, s3_server)


OTHERS = {"predictions.xlsx": r"ending in \.csv or \.parquet", "gs://bucket/predictions.csv": "a path or s3://"}


@pytest.mark.parametrize("address", OTHERS)
def test_an_output_of_another_kind_is_refused(tmp_path, address):
    with pytest.raises(DataError, match=rf"{OTHERS[address]}.*, got {address}"):
        open_output(address, tmp_path)


@pytest.mark.parametrize("name", ["labels.csv", "labels.parquet", "folder.csv"])
def test_what_is_no_table_of_scores_is_not_written_over(tmp_path, name):
    file = tmp_path / name
    labels = pd.DataFrame({"path": ["a.png"], "label": ["NORMAL"]})
    {"labels.csv": labels.to_csv, "labels.parquet": labels.to_parquet, "folder.csv": Path.mkdir}[name](file)
    with pytest.raises(DataError, match=rf"a table of scores at {file}, .* something else is there: give another"):
        open_output(str(file), tmp_path)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_of_scores_and_an_empty_file_are_replaced(tmp_path, suffix):
    out = open_output(str(tmp_path / f"predictions{suffix}"), tmp_path)
    out.write(to_table([], columns_of(True)))
    again = open_output(out.address, tmp_path)
    again.file.write_bytes(b"")  # as by mktemp
    assert again == out == open_output(out.address, tmp_path)


def test_an_output_whose_folder_cannot_be_made_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"folder for the output at \S+, but .*: give another output"):
        open_output(str(tmp_path / "file" / "predictions.csv"), tmp_path)
