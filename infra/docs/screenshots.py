"""The pictures of the documentation, taken in a real browser from the newest run: `make screenshots`."""

import io
import shutil
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from pneumo.operations.prefect_api import PrefectApi, address
from pneumo.settings import Settings, load_settings
from pneumo.tracking import Tracker
from pneumo.tracking.addresses import artifact

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SIZE = {"width": 1440, "height": 1000}
COLOURS = 128  # of a palette: a picture stays below 200 KiB
SETTLE = 4000  # ms after the text is there, for what is drawn
# MLflow with its assistant closed.
CHOSEN = """
localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true");
localStorage.setItem("mlflow.assistant.panelOpen_v1", "false");
"""


def main() -> None:
    """Take every picture of `places`."""
    settings = load_settings()
    browser_file = shutil.which("chromium") or shutil.which("google-chrome")
    if browser_file is None:
        sys.exit("Expected Chromium, found none: install it.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_file, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        page.set_default_timeout(120_000)
        page.add_init_script(f"if (location.protocol != 'about:') {{{CHOSEN}}}")
        for name, (url, text) in places(settings).items():
            take(page, name, url, text)
        browser.close()


def places(settings: Settings) -> dict[str, tuple[str, str]]:
    """Address of each picture, and a text that is there once the page is."""
    api = PrefectApi(address(settings))
    prefect = api.url.removesuffix("/api")
    tracker = Tracker(settings.tracking_uri, settings.tracking.experiment)
    parent = tracker.runs.newest({"stage": "pipeline"})[0]
    run = f"{prefect}/runs/flow-run/{parent.tags['prefect.flow_run_id']}"
    name = settings.model_name(parent.tags["synthetic"] == "true")
    champion = tracker.registry.resolve(f"models:/{name}@champion")
    deployment: dict[str, Any] = api.deployment("pneumonia/train") or {}
    return {
        "prefect-run": (run, parent.name),
        "prefect-form": (f"{prefect}/deployments/deployment/{deployment['id']}/run", "Pixels a side"),
        "mlflow-run": (tracker.runs.url(parent.run_id), "validation_auc"),
        "mlflow-runs": (tracker.runs.leaderboard(), parent.name),
        "mlflow-figures": (artifact(tracker.runs.url(champion.run_id), "figures/roc.png"), "roc.png"),
        "mlflow-model": (tracker.registry.version_url(name, champion.version), "Not a medical device"),
    }


def take(page: Page, name: str, url: str, text: str) -> None:
    """One picture, with few colours."""
    page.goto("about:blank")
    page.goto(url)
    page.get_by_text(text).first.wait_for()
    page.wait_for_timeout(SETTLE)
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(COLOURS)
    shot.save(IMAGES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
