"""The website is built from executed notebooks and needs no network."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from paper_repro.report import site
from paper_repro.tools import paths as places
from paper_repro.tools.paths import Paths

FOLDED = "<details>\n<summary>Solution</summary>\n\n```python\nanswer = 42\n```\n\n</details>"

pytest.importorskip("myst_nb", reason="the extra site is not installed (pip install -r docs/requirements.lock)")


def test_a_tiny_site_shows_outputs_and_loads_nothing_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "NOTEBOOKS", tmp_path / "notebooks")
    monkeypatch.setattr(places, "REFERENCE", tmp_path / "reference")
    paths = Paths.of("demo", str(tmp_path / "results"), str(tmp_path / "figures"))
    cells = [new_markdown_cell("# 01 · Weights\n\n$w = P'/Q$"), new_code_cell("6 * 7"), new_markdown_cell(FOLDED)]
    for folder in (tmp_path / "notebooks", paths.notebooks):
        folder.mkdir(parents=True)
        nbformat.write(new_notebook(cells=cells), folder / "01_a.ipynb")
        frame = {"text/html": "<table>\n<td>forty-two</td>\n<td>NaN</td>\n</table>"}
        cells[1].outputs = [new_output("execute_result", frame, execution_count=1)]
    built = site.build(paths).parent
    html = (built / "notebooks" / "01_a.html").read_text("utf-8")
    assert "forty-two" in html and 'class="math' in html and "NaN" not in html
    assert re.search(r"<details>(?:(?!</details>).)*42(?:(?!</details>).)*</details>", html, re.DOTALL)
    loaded = re.findall(r"<(?:script|img|iframe)[^>]*\bsrc=\"([^\"]+)|<link[^>]*stylesheet[^>]*href=\"([^\"]+)", html)
    assert not [address for pair in loaded for address in pair if "//" in address]
    assert "report.html" not in (built / "index.html").read_text("utf-8"), "there is none"
    (dimp,) = re.findall(r'href="code\.html#([\w-]*losses-dimp)"', (built / "docs" / "items.html").read_text("utf-8"))
    listing = (built / "docs" / "code.html").read_text("utf-8").partition(f'id="{dimp}"')[2].partition("</section>")[0]
    text = re.sub("<[^>]+>", "", listing)
    assert "def _dimp(" in text and "log_quality" in text and "def _imp(" not in text, "the function and no other"
    assert list((built / "paper_repro").rglob("DATA_CARD.html"))
