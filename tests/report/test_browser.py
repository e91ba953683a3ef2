"""Pages in a real browser: an empty console, figures with a size, nothing that scrolls sideways."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, sync_playwright

from tests.report.test_report import trained, verified  # noqa: F401, fixtures
from vecq_hw.report import compare, report

pytestmark = pytest.mark.nightly
VIEWS = {
    "desktop": (1280, 900, "light"),
    "phone": (360, 740, "light"),
    "dark": (1280, 900, "dark"),
    "dark phone": (360, 740, "dark"),
}


@pytest.fixture(scope="module")
def browser():
    program = shutil.which("chromium") or shutil.which("google-chrome")
    assert program, "Chromium is missing; run: apt-get install chromium"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def pages(trained, verified, tmp_path_factory):  # noqa: F811
    folder = tmp_path_factory.mktemp("pages")
    made = {
        "training": report(trained),
        "verification": report(verified),
        "comparison": compare([trained, verified]),
    }
    for name, page in made.items():
        (folder / f"{name}.html").write_text(page.html)
    return folder


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", ["training", "verification", "comparison"])
def test_a_page_in_a_browser(browser: Browser, pages: Path, name: str, view: str) -> None:
    width, height, scheme = VIEWS[view]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, offline=True
    )
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("requestfailed", lambda request: said.append(request.url))
    page.goto((pages / f"{name}.html").as_uri())
    assert said == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    sizes = page.eval_on_selector_all(
        "svg, img",
        "all => all.map(one => one.getBoundingClientRect()).map(r => [r.width, r.height])",
    )
    assert sizes or name == "comparison"
    assert all(wide > 100 and high > 60 for wide, high in sizes), sizes
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    violations = Axe().run(page).response["violations"]
    assert [(one["id"], one["impact"]) for one in violations] == []
    assert len(page.screenshot(full_page=True)) > 10_000
    context.close()


@pytest.mark.parametrize("name", ["training", "verification", "comparison"])
def test_a_page_on_paper(browser: Browser, pages: Path, name: str) -> None:
    """A4 with margins of a centimetre is 718 pixels wide, and no browser's theme makes it dark."""
    context = browser.new_context(viewport={"width": 718, "height": 1047}, color_scheme="dark")
    page = context.new_page()
    page.emulate_media(media="print")
    page.goto((pages / f"{name}.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == 718
    ink = "getComputedStyle(document.documentElement).getPropertyValue('--ink')"
    assert page.evaluate(ink) == "#1b1f24"
    assert page.pdf(format="A4")[:5] == b"%PDF-"
    context.close()
