"""What `pneumo train` makes of its options, before anything is started."""

import pytest
from typer.testing import CliRunner

from pneumo.cli import app, train
from pneumo.operations.flow_runs import summary


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Parameters that a command would send; the work itself is left out."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlflow.yaml").touch()
    sent = []
    monkeypatch.setattr(train, "_to_the_end", lambda deployment, parameters, *_: sent.append(parameters))
    monkeypatch.setattr(summary, "show", lambda *_: None)

    def asked(*words):
        done = CliRunner().invoke(app, ["train", *map(str, words)])
        return done, sent[-1] if sent else None

    return asked


def test_a_path_is_absolute_however_it_is_given(asked, tmp_path):
    """The worker has another working folder."""
    for name in ("scans", "nets", "vectors.parquet"):
        (tmp_path / name).mkdir()
    words = (
        "--param",
        "data=scans",
        "--param",
        "weights=nets",
        "--param",
        'embeddings=["vectors.parquet", "s3://b/v"]',
    )
    _, sent = asked(*words)
    assert sent == {
        "data": str(tmp_path / "scans"),
        "weights": str(tmp_path / "nets"),
        "embeddings": [str(tmp_path / "vectors.parquet"), "s3://b/v"],
    }


def test_a_folder_does_not_take_the_place_of_a_name(asked, tmp_path):
    for name in ("phantom", "none", "imagenet"):
        (tmp_path / name).mkdir()
    assert asked()[1] == {"data": "phantom"}
    assert asked("--weights", "none")[1]["weights"] == "none"
    assert asked("--weights", "imagenet")[1]["weights"] == "imagenet"


@pytest.mark.parametrize("source", ["", "x" * 5000, "a\0b"])
def test_what_is_no_path_is_left_to_the_run_to_refuse(asked, source):
    """An empty one, of a variable that is not set, was the working folder."""
    assert asked("--data", source)[1] == {"data": source}


@pytest.mark.parametrize("value", ["NaN", "1e999", "-Infinity", "[1, NaN]"])
def test_a_number_without_end_is_wrong_usage(asked, value):
    done, sent = asked("--param", f"learning_rate={value}")
    assert done.exit_code == 2 and "expected a finite number" in done.output and sent is None
