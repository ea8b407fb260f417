"""What the links of Prefect's pages open, in a real browser on a real MLflow server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from pneumo.data.quality import data_docs
from pneumo.data.quality.great_expectations_suites import WHOLE_SET, Outcome
from pneumo.data.quality.image_expectations import IMAGES
from pneumo.data.quality.set_expectations import FIGURES
from pneumo.tracking import Tracker
from pneumo.tracking.addresses import artifact
from tasks.pages.links import DATA_DOCS


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    page.set_default_timeout(120_000)
    yield page
    page.close()


def test_the_link_to_the_data_docs_opens_them_with_all_that_was_found(mlflow_server, page, tmp_path):
    images = [Outcome(row, row.name != "no duplicates", 9, []) for row in IMAGES]
    copies = [(f"train/{number}.jpeg", "a.jpeg = b.jpeg") for number in range(30)]
    images = [Outcome(row.expectation, row.passed, 99, [] if row.passed else copies) for row in images]
    whole = [Outcome(row, True, 1, []) for row in FIGURES]
    text = data_docs.page({"images": images, WHOLE_SET: whole}, {row.column: "0" for row in FIGURES}, "1.0")
    (tmp_path / data_docs.PAGE).write_text(text)
    tracker = Tracker(mlflow_server, "pages")
    run_id = tracker.runs.start("pipeline")
    tracker.log.artifacts(run_id, tmp_path, Path(DATA_DOCS).parent.name)
    page.goto(artifact(tracker.runs.url(run_id), DATA_DOCS))
    expect(page.get_by_text("Model registry").first).to_be_visible()
    expect(page.get_by_text("Judges")).to_have_count(0)  # of MLflow's mode for language models
    shown = page.frame_locator("iframe")
    assert "21 of 22 expectations met in suite “images”" in shown.locator("p.sub").inner_text()
    assert shown.locator(".row.passed").count() == len(IMAGES) + len(FIGURES) - 1
    assert not shown.locator("li").first.is_visible()
    shown.get_by_text("30 images").click()
    assert shown.get_by_text("train/29.jpeg").is_visible()
