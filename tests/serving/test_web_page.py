import os
import re
import socket
import stat
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from pneumo.data.privacy.pseudonyms import patient_secret
from pneumo.errors import DataError
from pneumo.records.base import LABELS
from pneumo.serving import answer_log
from pneumo.serving.answer_log import keyed
from pneumo.serving.bundle.image_bundle import Bundle
from pneumo.serving.bundle.scorer import Scores
from pneumo.serving.feedback import Feedback, FeedbackLog
from pneumo.serving.fresh_process.client import Answer
from pneumo.serving.page_record import page_record
from pneumo.serving.web_page import FILES, SHOWN, answer, served_page
from tests.leaks import hits
from tests.planted import KINDS, WORDS, picture

VERSION: Any = SimpleNamespace(name="pneumonia-classifier-phantom", version="1")


@pytest.fixture
def image(tiny, tmp_path):
    path = tmp_path / "xray.png"
    path.write_bytes(tiny.encoded(tiny.pictures(1)[0]))
    return path


def test_an_image_gets_its_probability_label_and_heat_map(bundle, tiny, image):
    found = answer(bundle, image)
    expected = bundle.score(tiny.pictures(1)).probability[0]
    assert found.probability == pytest.approx(expected)
    assert found.label == ("PNEUMONIA" if expected >= bundle.spec.threshold else "NORMAL")
    assert found.picture.shape == (SHOWN, SHOWN, 3) and found.picture.dtype == np.uint8


def test_an_image_of_which_the_model_gives_no_number_is_not_called_normal(bundle, image, monkeypatch):
    nothing = Scores(np.array([np.nan]), np.array([np.nan]), np.array([True]))
    monkeypatch.setattr(Bundle, "score", lambda self, images: nothing)
    with pytest.raises(DataError, match=rf"a probability of {image.name}, but the model gives no number"):
        answer(bundle, image)


def test_a_file_that_is_no_image_is_named(bundle, tmp_path):
    (tmp_path / "letter.png").write_text("Dear doctor")
    with pytest.raises(DataError, match=r"letter\.png cannot be decoded"):
        answer(bundle, tmp_path / "letter.png")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def address(bundle, home):
    pytest.importorskip("gradio", reason="the extra `app` is not installed")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    keep = page_record(home, VERSION)
    with served_page(bundle, "pneumonia-classifier-phantom version 1", keep, "127.0.0.1", port) as page:
        yield page.local_url.rstrip("/")
        folder = Path(os.environ[FILES])
    assert not folder.exists() and FILES not in os.environ


def test_a_dropped_image_is_answered_in_a_browser_that_goes_nowhere_else(browser, address, bundle, image):
    page, asked = browser.new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    page.locator("input[type=file]").first.set_input_files(image)
    page.get_by_text("Probability of pneumonia").wait_for(timeout=60_000)
    expected = answer(bundle, image)
    assert f"{expected.probability:.1%}" in page.locator("#result").inner_text()
    assert "pneumonia-classifier-phantom version 1 (tiny), trained on SYNTHETIC" in page.content()
    assert not [url for url in asked if not re.match(r"(http://127\.0\.0\.1:|blob:|data:)", url)]


def test_an_answer_is_logged_by_the_images_hash_which_the_page_shows_for_feedback(address, home, tmp_path, tiny):
    from gradio_client import Client, handle_file

    sent, letter = tmp_path / "patient.png", tmp_path / "letter.png"
    sent.write_bytes(tiny.encoded(tiny.pictures(1, seed=7)[0]))
    letter.write_text("Dear doctor")
    client, before = Client(address, verbose=False), len(answer_log.read(home)[0])
    words = [client.predict(handle_file(file), api_name="/score")[1] for file in (sent, letter)]
    scored, unreadable = answer_log.read(home)[0].iloc[before:].to_dict("records")
    assert (scored["source"], scored["version"], scored["label"] in LABELS) == ("app", "1", True)
    assert f"{scored['probability']:.1%}" in words[0] and scored["image"] in words[0]
    assert scored["image"] == keyed(sha256(sent.read_bytes()).hexdigest(), patient_secret(home))
    assert pd.isna(unreadable["label"]) and unreadable["image"] in words[1] and unreadable["seconds"] >= 0
    assert FeedbackLog(home, patient_secret(home)).add([Feedback(image=scored["image"], label="NORMAL")]) == ["kept"]


def test_an_answer_that_cannot_be_kept_says_so(tmp_path):
    (tmp_path / answer_log.FOLDER).write_text("no folder")
    said = Answer(probability=0.5, label="NORMAL", error=None, out_of_distribution=False)
    assert "not kept in" in page_record(tmp_path, VERSION)("a" * 64, said, 0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_an_x_ray_is_neither_kept_nor_handed_out_once_it_is_answered(address, kind):
    from gradio_client import Client

    sent = KINDS[kind](picture())
    (path,) = httpx.post(f"{address}/gradio_api/upload", files={"files": (f"xray.{kind}", sent)}).json()
    there = Path(os.environ[FILES])
    assert stat.S_IMODE(there.stat().st_mode) == 0o700 and Path(path).is_relative_to(there)
    assert httpx.get(f"{address}/gradio_api/file={path}").content == sent
    found = {"path": path, "meta": {"_type": "gradio.FileData"}}
    _, words = Client(address, verbose=False).predict(found, api_name="/score")
    assert "Probability of pneumonia" in words
    assert httpx.get(f"{address}/gradio_api/file={path}").status_code == 403
    kept = [(str(file), file.read_bytes()) for file in there.rglob("*") if file.is_file()]
    assert kept and hits(kept, WORDS) == [] and sent not in dict(kept).values()


def test_a_broken_file_is_answered_with_a_reason(browser, address, tmp_path):
    (tmp_path / "letter.png").write_text("Dear doctor")
    page = browser.new_page()
    page.goto(address)
    page.locator("input[type=file]").first.set_input_files(tmp_path / "letter.png")
    page.get_by_text("This file cannot be scored").wait_for(timeout=60_000)
    assert "letter.png" in page.locator("#result").inner_text()
