"""The registered model, logged and loaded as MLflow does it."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

FRESH = """
import base64, json, sys
import pandas as pd
from mlflow.pyfunc import load_model
model = load_model(sys.argv[1])
images = [base64.b64decode(text) for text in json.loads(sys.stdin.read())]
table = model.predict(pd.DataFrame({"image": images}), params={"threshold": float(sys.argv[2])})
import pneumo
print(json.dumps({"rows": json.loads(table.to_json(orient="records")), "package": pneumo.__file__}))
"""


@pytest.fixture
def image(tiny):
    return tiny.pictures(1, seed=3)[0]


def test_bytes_text_path_and_pixels_give_the_same(model, bundle, tiny, image, tmp_path):
    data = tiny.encoded(image)
    (tmp_path / "image.png").write_bytes(data)
    text = base64.b64encode(data).decode()
    cells = [data, text, f"data:image/png;base64,{text}", tmp_path / "image.png", image, image.tolist()]
    table = model.predict(pd.DataFrame({"image": pd.Series(cells, dtype=object)}))
    assert list(table.columns) == ["probability", "label", "error", "out_of_distribution"]
    np.testing.assert_allclose(table["probability"], bundle.score(image[None]).probability[0], atol=1e-6)
    assert table["error"].isna().all()


def test_a_bad_image_is_a_row_with_an_error_and_the_others_are_scored(model, tiny, image):
    good = tiny.encoded(image)
    bad = {"nothing": None, "empty": b"", "text": b"this is no image" * 9, "half": good[: len(good) // 2]}
    cells = [good, *bad.values(), Path("no/such/row 6.png"), np.zeros((2, 2, 7)), image.astype(float) - 300, 3.5, good]
    table = model.predict(pd.DataFrame({"image": pd.Series(cells, dtype=object)}))
    scored = table["error"].isna()
    assert scored.tolist() == [True, *[False] * 8, True]
    assert table.loc[scored, "probability"].between(0, 1).all()
    assert table.loc[~scored, ["probability", "label"]].isna().all(axis=None)
    assert table.loc[~scored, "error"].str.contains(r"row \d").all()


def test_an_array_of_shares_is_refused_not_scored_as_black(model, image):
    cells = [image / 255, (image / 255).astype(np.float32).tolist(), (image > 90).astype(np.uint8), image * 0.5]
    table = model.predict(pd.DataFrame({"image": pd.Series(cells, dtype=object)}))
    assert table["probability"].isna().tolist() == [True, True, True, False]
    assert table["error"][:3].str.contains(r"row \d holds an array whose brightest pixel is .*multiply it by 255").all()


def test_a_cell_that_cannot_be_compared_costs_its_own_row_only(model, tiny, image):
    cells = pd.Series([pd.NA, pd.Series([1.0, 2.0]), float("nan"), pd.NaT, tiny.encoded(image)], dtype=object)
    errors = model.predict(pd.DataFrame({"image": cells}))["error"]
    held = ["nothing", "a Series", "nothing", "nothing"]
    assert errors[4] is None
    assert [f"row {row} holds {what}: give one" in errors[row] for row, what in enumerate(held)] == [True] * 4


def test_a_text_never_opens_a_file_nor_tells_whether_there_is_one(model, tiny, image, short):
    (short / "there.png").write_bytes(tiny.encoded(image))
    cells = [str(short / name) for name in ("there.png", "gone.png")]
    errors = model.predict(pd.DataFrame({"image": cells}))["error"]
    assert errors.str.contains("a pathlib.Path").all()
    there, gone = (errors[row].replace(cells[row], "").replace(f"row {row}", "") for row in range(2))
    assert there == gone


def test_the_threshold_is_a_parameter_of_inference(model, image, tiny):
    frame = pd.DataFrame({"image": [tiny.encoded(image)]})
    assert model.predict(frame, params={"threshold": 0.0})["label"].item() == "PNEUMONIA"
    assert model.predict(frame, params={"threshold": 1.0})["label"].item() == "NORMAL"


def test_a_threshold_out_of_bounds_is_refused(model, image, tiny):
    with pytest.raises(Exception, match=r"Expected a threshold in 0\.\.1, got 1\.5"):
        model.predict(pd.DataFrame({"image": [tiny.encoded(image)]}), params={"threshold": 1.5})


def test_an_empty_batch_gives_an_empty_table(model):
    assert len(model.predict(pd.DataFrame({"image": pd.Series([], dtype=object)}))) == 0


def test_a_fresh_process_far_from_the_project_gives_the_same(saved, model, tiny, tmp_path):
    images = [tiny.encoded(picture) for picture in tiny.pictures(3, seed=9)]
    sent = json.dumps([base64.b64encode(data).decode() for data in images])
    run = subprocess.run(
        [sys.executable, "-P", "-c", FRESH, str(saved), "0.5"],
        input=sent, capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    got = json.loads(run.stdout.splitlines()[-1])
    assert got["package"].startswith(str(saved))
    expected = model.predict(pd.DataFrame({"image": images}), params={"threshold": 0.5})
    np.testing.assert_allclose([row["probability"] for row in got["rows"]], expected["probability"], atol=1e-6)


def test_nothing_in_the_model_is_pickled(saved):
    suffixes = {path.suffix for path in saved.rglob("*") if path.is_file()}
    assert not suffixes & {".pkl", ".pickle", ".joblib"}
