"""The documentation site as a browser shows it: nothing breaks, nothing scrolls sideways."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    "index", "tutorials/first_network", "how-to/training", "explanation/one_layer",
    "explanation/peers", "reference/cells", "reference/cli", "reference/api/train",
)  # fmt: skip
WIDTHS = {"desktop": 1280, "phone": 360}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the site is served: from files, a browser does not give scripts the style sheets."""
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "-q", "docs", str(folder)]
    built = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.nightly
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_site_in_a_browser(address: str, width: str, scheme: str) -> None:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    assert program, "Chromium is missing; run: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        size = {"width": WIDTHS[width], "height": 800}
        page = browser.new_page(viewport=size, color_scheme=scheme)
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        for name in PAGES:
            page.goto(f"{address}/{name}.html")
            assert page.evaluate("document.documentElement.scrollWidth") <= WIDTHS[width], name
            assert page.evaluate(
                "[...document.querySelectorAll('article img')].every(one => one.naturalWidth > 50)"
            ), name
            found = Axe().run(page).response["violations"]
            grave = [
                (one["id"], one["nodes"][0]["html"][:200])
                for one in found
                if one["impact"] in ("serious", "critical")
            ]
            assert not grave, name
        assert not said
        browser.close()
