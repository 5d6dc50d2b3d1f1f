"""The primer as slides: what is on them, and what is not. The exporter runs without a network."""

from __future__ import annotations

import re
from collections import Counter

import nbformat
from nbconvert.exporters import SlidesExporter

from paper_repro.tools.paths import NOTEBOOKS


def test_the_primer_becomes_slides_with_its_results_and_without_its_solutions() -> None:
    notebook = nbformat.read(NOTEBOOKS / "00_importance_weighting.ipynb", as_version=4)
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=f"(result {number})")]
    page, _ = SlidesExporter(exclude_input=True).from_notebook_node(notebook)
    kinds = [cell.metadata.slideshow.slide_type for cell in notebook.cells]
    count = Counter(kinds)
    assert set(count) == {"slide", "subslide", "skip", "-"}
    assert page.count("<section>") == page.count("</section>") == 2 * count["slide"] + count["subslide"]

    shown = {int(number) for number in re.findall(r"\(result (\d+)\)", page)}
    code = {n for n, cell in enumerate(notebook.cells) if cell.cell_type == "code"}
    assert shown == {n for n in code if kinds[n] != "skip"}
    headings = re.findall(r"^#+ (.*)$", "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown"), re.M)
    assert [h for h in headings if h != "Set-up" and h not in re.sub(r"<[^>]+>|&#182;", "", page)] == []
    assert "Solution 1" not in page and "import numpy" not in page
