"""What people see after a run, in a real browser: both pages tell the story."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Response, expect

from pneumo.operations.prefect_api import PrefectApi
from pneumo.tracking.addresses import artifact
from pneumo.tracking.addresses import page as address
from tests.pipeline.conftest import PHANTOM

pytestmark = [pytest.mark.services, pytest.mark.slow]
SLOW = 120_000  # ms; on a busy machine a page takes its time
NO_GRAPH = "Unable to auto-detect a suitable renderer."  # Prefect's graph, in a browser without 3D
OURS = ("artifact", "flow_runs", "deployments/filter", "runs/", "models", "get-artifact")


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that keeps what went wrong on it in `page.context.faults`."""
    page = browser.new_page(viewport={"width": 1440, "height": 1100})
    page.set_default_timeout(SLOW)
    expect.set_options(timeout=SLOW)
    faults: list[str] = []

    def answered(answer: Response) -> None:
        if answer.status >= 400 and any(part in answer.url for part in OURS):
            faults.append(f"{answer.status} {answer.url}")

    page.on("response", answered)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: faults.extend(left_this_machine(request.url)))
    yield page
    page.close()
    assert set(faults) <= {NO_GRAPH}


def left_this_machine(url: str) -> list[str]:
    found = urlsplit(url)
    return [url] if found.scheme in ("http", "https", "ws", "wss") and found.hostname != "127.0.0.1" else []


@pytest.fixture(scope="module")
def run(user: dict[str, str], first_run: Any) -> dict[str, Any]:
    """The flow run as Prefect knows it."""
    api = PrefectApi(user["PREFECT_API_URL"])
    (found,) = [run for run in api.runs(["COMPLETED"]) if run["name"].startswith("20")][:1]
    return found


def test_the_run_is_a_pipeline_with_named_stages(user, run, page):
    page.goto(f"{user['PREFECT_API_URL'].removesuffix('/api')}/runs/flow-run/{run['id']}")
    expect(page.get_by_text(run["name"]).first).to_be_visible()
    page.get_by_text("Task Runs", exact=True).click()
    for name in ("train MobileNet 0.25", "train MobileNet 0.5", "promote"):
        page.get_by_placeholder("Search by run name").first.fill(name)
        expect(page.get_by_text(name, exact=True).first).to_be_visible()


def test_the_first_page_is_the_one_that_asks_nobody_else(user, run, page):
    page.goto(user["PREFECT_API_URL"].removesuffix("/api"))
    expect(page.get_by_text("Flow Runs", exact=True).first).to_be_visible()
    assert "/v2/" not in page.url


def test_the_run_shows_its_artifacts(user, run, page):
    page.goto(f"{user['PREFECT_API_URL'].removesuffix('/api')}/runs/flow-run/{run['id']}")
    page.get_by_text("Artifacts", exact=True).last.click()
    for key in ("gate", "data", "leaderboard", "decision", "model-card", "links"):
        expect(page.get_by_text(key, exact=True).first).to_be_visible()


def test_the_form_describes_its_parameters_and_refuses_a_wrong_value(user, run, page):
    deployment = PrefectApi(user["PREFECT_API_URL"]).deployment("pneumonia/train")
    page.goto(f"{user['PREFECT_API_URL'].removesuffix('/api')}/deployments/deployment/{deployment['id']}/run")
    expect(page.get_by_text("Folder, archive, s3://bucket/prefix").first).to_be_visible()
    expect(page.get_by_text("Pixels a side, 32 to 1024").first).to_be_visible()
    page.locator("input[type=number]").last.fill("-5")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("'seed'. Failure reason: -5 is less than the minimum of 0").first).to_be_visible()


def test_the_experiment_lists_the_run_with_its_metric(user, client, run, page):
    experiment = client.get_experiment_by_name("pneumonia").experiment_id
    page.goto(address(user["MLFLOW_TRACKING_URI"], f"experiments/{experiment}/runs", viewStateShareKey="leaderboard"))
    expect(page.get_by_text(run["name"]).first).to_be_visible()
    for column in ("validation_auc", "test_auc", "test_sensitivity", "test_specificity", "minutes", "decision"):
        expect(page.get_by_text(column, exact=True).first).to_be_attached()
    expect(page.get_by_text("Judges")).to_have_count(0)


def test_the_run_has_leaderboard_metric_and_the_way_back(user, client, run, page):
    parent = parent_of(client, run)
    path = f"experiments/{parent.info.experiment_id}/runs/{parent.info.run_id}"
    page.goto(address(user["MLFLOW_TRACKING_URI"], path))
    expect(page.get_by_text("validation_auc").first).to_be_visible()
    expect(page.get_by_text("MobileNet 0.25").first).to_be_visible()
    expect(page.get_by_role("link", name="Prefect run")).to_have_attribute("href", parent.data.tags["prefect.url"])


def test_a_figure_opens(user, client, run, page):
    parent = parent_of(client, run)
    child = children_of(client, parent)[0]
    path = f"experiments/{parent.info.experiment_id}/runs/{child.info.run_id}"
    place = address(user["MLFLOW_TRACKING_URI"], path)
    page.goto(artifact(place, "figures/roc.png"))
    picture = page.locator("img[src^='blob:'], img[alt*='roc.png'], .image-outer-container img").first
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.naturalWidth") > 300


def test_the_registered_model_has_its_champion_and_its_card(user, client, run, page):
    version = client.get_model_version_by_alias(PHANTOM, "champion").version
    page.goto(address(user["MLFLOW_TRACKING_URI"], f"models/{PHANTOM}/versions/{version}"))
    expect(page.get_by_text("champion").first).to_be_visible()
    expect(page.get_by_text("Not a medical device").first).to_be_visible()


def parent_of(client: Any, run: dict[str, Any]) -> Any:
    experiment = client.get_experiment_by_name("pneumonia").experiment_id
    return client.search_runs([experiment], f"tags.stage = 'pipeline' and tags.`prefect.flow_run_id` = '{run['id']}'")[
        0
    ]


def children_of(client: Any, parent: Any) -> Any:
    words = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    return client.search_runs([parent.info.experiment_id], words)
