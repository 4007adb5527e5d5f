"""Make the pictures in docs/images.

    python docs/screenshots.py               the platform on this machine; it trains and releases `taxi` first
    python docs/screenshots.py kubernetes    the newest training of `taxi` in a cluster

Needs Chromium (Debian: apt install chromium).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page

PROJECT = Path(__file__).resolve().parents[1]
IMAGES = PROJECT / "docs" / "images"
MILLISECONDS = 60_000


@contextmanager
def browser(chromium: str, login: tuple[str, str]) -> Iterator[Page]:
    """A page of a headless Chromium, which answers with `login` where a server asks for one."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # No sandbox, which root may not have; it looks at pages of our own only. No graphics: without a card
        # for it, the login page's background would take all cores.
        flags = ["--no-sandbox", "--disable-gpu", "--disable-software-rasterizer"]
        opened = playwright.chromium.launch(executable_path=chromium, args=flags)
        page = opened.new_page(
            viewport={"width": 1400, "height": 900},
            reduced_motion="reduce",
            http_credentials={"username": login[0], "password": login[1]},
        )
        page.set_default_timeout(MILLISECONDS)
        try:
            yield page
        finally:
            opened.close()


def dashboard(
    page: Page, address: str, login: tuple[str, str], pipeline: str, folder: Path | None = None
) -> dict[str, str]:
    """Log in, look at the newest run of a pipeline and at the plots of its `explain` step.

    Returns the texts that were seen: `run`, `visualization`. With `folder`, pictures are put there.
    """
    run = newest_run(page, address, login, pipeline)
    _picture(page, folder, "dashboard-run")
    visualization = plots(page)
    _picture(page, folder, "dashboard-visualization")
    return {"run": run, "visualization": visualization}


def newest_run(page: Page, address: str, login: tuple[str, str], pipeline: str) -> str:
    """Log in, and open the newest run of a pipeline; returns what is seen of it, all its steps included."""
    page.goto(f"{address}/login")
    page.fill("input[name=username]", login[0])
    page.fill("input[name=password]", login[1])
    page.press("input[name=password]", "Enter")
    page.wait_for_url(lambda url: "/login" not in url)
    page.goto(f"{address}/projects/default/runs")
    page.get_by_role("link", name=f"{pipeline}-").first.click()
    page.get_by_role("button", name="Fit view").click()
    page.get_by_text("explanation").first.wait_for()
    return page.inner_text("body")


def log(page: Page, step: str) -> str:
    """Open a step of the run that is seen, and read its log."""
    page.get_by_text(step, exact=True).first.click()
    opened = page.get_by_role("dialog")
    opened.get_by_role("tab", name="Logs").click()
    opened.get_by_text("INFO").first.wait_for()
    return opened.inner_text()


def plots(page: Page) -> str:
    """Open the plots of the run that is seen, and read what they are."""
    page.get_by_text("explanation").first.click()
    page.get_by_role("tab", name="Visualization").click()
    page.get_by_text("Load Preview").click()
    plots = page.frame_locator("iframe").locator("body")
    plots.get_by_text("Importances").wait_for()
    return plots.inner_text()


def mlflow(page: Page, address: str, folder: Path) -> None:
    """Look at the versions of the `taxi` model."""
    page.goto(f"{address}/#/models/taxi")
    page.get_by_text("Version 1").first.wait_for()
    _picture(page, folder, "mlflow-model")


def terminal(document: dict[str, Any], folder: Path) -> None:
    """What the main job prints, as a picture of a terminal."""
    import io

    from rich.console import Console

    from console import reports

    console = Console(record=True, width=118, file=io.StringIO(), force_terminal=True)
    console.print(reports.main_job(document), highlight=False)
    console.save_svg(str(folder / "terminal.svg"), title="python run.py")


def _picture(page: Page, folder: Path | None, name: str) -> None:
    if folder is not None:
        page.evaluate("document.fonts.ready")
        page.screenshot(path=folder / f"{name}.png")


def _run(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "run.py", *arguments, "--json"]
    done = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=False)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def main() -> None:
    """Make the pictures of this machine's platform, or of a cluster's."""
    sys.path.insert(0, str(PROJECT))
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None or sys.argv[1:] not in ([], ["kubernetes"]):
        sys.exit(__doc__)
    IMAGES.mkdir(exist_ok=True)
    if sys.argv[1:]:
        _of_cluster(chromium)
    else:
        _of_this_machine(chromium)


def _of_this_machine(chromium: str) -> None:
    terminal(_run(), IMAGES)
    up = _run("up", "--detach")
    addresses = {one["service"]: one["address"] for one in up["services"]}
    kept = json.loads(Path(up["password_file"]).read_text())
    login = (kept["username"], kept["password"])
    with browser(chromium, login) as page:
        dashboard(page, addresses["zenml"], login, "train_taxi", IMAGES)
        mlflow(page, addresses["mlflow"], IMAGES)


def _of_cluster(chromium: str) -> None:
    import settings
    from stacks.kubernetes import cluster

    found = cluster.connect(settings.read())
    kept = found.environment()
    login = (kept["ZENML_STORE_USERNAME"], kept["ZENML_STORE_PASSWORD"])
    with browser(chromium, login) as page:
        newest_run(page, found.zenml, login, "train_taxi")
        _picture(page, IMAGES, "kubernetes-run")


if __name__ == "__main__":
    main()
