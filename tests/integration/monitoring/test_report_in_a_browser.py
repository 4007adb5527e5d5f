"""The page of a check in a real browser: on a desk and on a phone, from a file, with nothing else there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from monitoring.report import page
from tests.toy import toy
from tests.unit.monitoring.test_report import checked

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None, reason="no Chromium here, so the page was not looked at (apt install chromium)"
    ),
]


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_shows_every_plot(tmp_path: Path, width: int, scheme: Any) -> None:
    from playwright.sync_api import sync_playwright

    file = tmp_path / "page.html"
    file.write_text(page(toy(), *checked(times=3.0), ["Something."], "monitor_toy-1"))
    seen: list[str] = []
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-software-rasterizer"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        shown = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        for event in ("pageerror", "console"):
            shown.on(event, lambda said: seen.append(str(said)))
        shown.on("request", lambda request: seen.append(request.url))
        shown.goto(file.as_uri())
        assert seen == [file.as_uri()]
        assert shown.evaluate("document.documentElement.scrollWidth") <= width
        assert shown.locator(".verdict").bounding_box()["y"] < 200  # type: ignore[index]
        figures = shown.locator("figure svg")
        assert figures.count() == 3
        for number in range(3):
            box = figures.nth(number).bounding_box()
            assert box is not None
            assert box["width"] > 200
            assert box["height"] > 30
        # Ink differs from paper in either scheme.
        colours = shown.evaluate(
            "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        )
        assert colours[0] != colours[1]
        browser.close()
