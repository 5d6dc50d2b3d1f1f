"""The report and the website in a real browser: two widths, light and dark."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_output

from paper_repro.report import notebooks, site
from paper_repro.tools.paths import Paths

sync_api = pytest.importorskip("playwright.sync_api", reason="the extra browser (playwright) is not installed")
pytest.importorskip("myst_nb", reason="the extra site is not installed (pip install -r docs/requirements.lock)")

WIDTHS = (1280, 390)
NOTEBOOKS = [f"notebooks/{notebooks.find(number).stem}" for number in ("0", "4", "7", "10")]
PAGES = ["index", "report", "docs/items", "docs/running", *NOTEBOOKS]
WIDE = "wide_table"
PROSE = """() => {
  for (const listing of document.querySelectorAll("pre, code")) listing.style.display = "none";
  return document.body.innerText;
}"""
RAW = re.compile(r"\$[^$\n]+\$|\\(?:frac|sum|hat|mathbb|log)\b|\\\(|\bnan\b", re.IGNORECASE)
RENDERED = "document.querySelectorAll('.math').length <= document.querySelectorAll('mjx-container').length"
GROUNDS = """[...document.querySelectorAll("main img")].map(picture => {
  const clear = "rgba(0, 0, 0, 0)", ground = place => getComputedStyle(place).backgroundColor;
  let place = picture;
  while (ground(place) == clear) place = place.parentElement;
  return ground(place);
})"""
BRIGHTNESS = """name => getComputedStyle(document.body)[name].match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0)"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The website of demo with its report from the shipped reference. One notebook was run: it shows a wide table."""
    root = tmp_path_factory.mktemp("browser")
    paths = Paths.of("demo", str(root / "results"), str(root / "figures"))
    source = notebooks.find("11")
    notebook = nbformat.read(source, as_version=4)
    table = pd.DataFrame({f"column {number}": [1.5, None] for number in range(40)}).to_html(classes=WIDE)
    notebook.cells.append(new_code_cell("table", outputs=[new_output("display_data", {"text/html": table})]))
    paths.notebooks.mkdir(parents=True)
    nbformat.write(notebook, paths.notebooks / source.name)
    return site.build(paths).parent


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    place = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_api.sync_playwright() as playwright:
        try:
            started = playwright.chromium.launch(executable_path=place)
        except sync_api.Error as error:
            pytest.skip(f"no browser starts here: {str(error).splitlines()[0]}")
        yield started
        started.close()


def opened(browser: Any, address: str, width: int, scheme: str) -> Any:
    """The page once its formulas stand; nothing may be asked of a network."""
    tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(address)
    tab.wait_for_function(RENDERED)
    assert not [url for url in asked if not url.startswith(("file:", "data:"))]
    return tab


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_its_window_and_shows_no_source_of_formulas(browser: Any, folder: Path, name: str) -> None:
    for width in WIDTHS:
        tab = opened(browser, (folder / f"{name}.html").as_uri(), width, "light")
        assert tab.evaluate("document.scrollingElement.scrollWidth") <= width
        assert not RAW.findall(tab.evaluate(PROSE)), f"{name} at {width} pixels"
        tab.close()


def test_a_wide_table_scrolls_inside_itself(browser: Any, folder: Path) -> None:
    tab = opened(browser, (folder / "notebooks" / "11_why.html").as_uri(), 390, "light")
    inside, seen = tab.evaluate(
        f"[...document.querySelectorAll('.{WIDE}')].map(t => [t.scrollWidth, t.clientWidth])[0]"
    )
    assert seen < 390 < inside
    tab.close()


@pytest.mark.parametrize("name", ["report", "index"])
def test_light_and_dark_differ_and_pictures_keep_a_light_ground(browser: Any, folder: Path, name: str) -> None:
    for scheme in ("light", "dark"):
        tab = opened(browser, (folder / f"{name}.html").as_uri(), 1280, scheme)
        ground, text = (tab.evaluate(BRIGHTNESS, which) for which in ("backgroundColor", "color"))
        assert (ground > text) == (scheme == "light")
        grounds = set(tab.evaluate(GROUNDS))
        assert grounds and grounds <= {"rgb(255, 255, 255)"}
        tab.close()
