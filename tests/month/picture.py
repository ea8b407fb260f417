"""The page on answers in a real browser."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Browser

COLOURS = 64  # of a palette: the picture stays below 200 KiB


def photographed(browser: "Browser", file: Path, out: str | None) -> str:
    """What is written on a page; its picture goes to `out`."""
    page = browser.new_page(viewport={"width": 960, "height": 800}, color_scheme="light")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    words = page.text_content("body") or ""  # those in drawings, too
    if out:
        shot = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB").quantize(COLOURS)
        shot.save(out, optimize=True)
    page.close()
    assert asked == [file.as_uri()]
    return words
