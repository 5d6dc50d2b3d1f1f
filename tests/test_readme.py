"""The README's numbers and links are right, and docs/items.md names every item with its notebook."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from paper_repro.paper import published
from paper_repro.report import notebooks, readme, site
from paper_repro.tools.paths import project_root

ROOT = project_root()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINKING = [
    *PAGES,
    *(path for folder in ("benchmarks", "paper_repro") for path in sorted((ROOT / folder).rglob("*.md"))),
]


def table() -> dict[str, str]:
    """The items that each row of the table in docs/items.md names, with the row's notebook."""
    text = (ROOT / "docs" / "items.md").read_text("utf-8").partition("## What was run")[2]
    found: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("| ") and not line.startswith("| item"):
            cells = [cell.strip().strip("`") for cell in line.strip("|").split("|")]
            for kind, numbers in re.findall(
                r"(Table|Figures?|Sec\.|Eqs?\.|App\.) ((?:(?:, )?(?:\d[.\d]*|[A-D]\b))+)", cells[0]
            ):
                for number in re.findall(r"\d+\.\d+|\d+|[A-D]", numbers):
                    name = {"Figures": "Figure", "Eqs.": "Eq."}.get(kind, kind)
                    found.setdefault(f"{name} {number}", cells[1])
    return found


def test_every_item_stands_in_the_table_with_its_notebook() -> None:
    items = published.items()
    expected = dict(zip(items["item"], items["notebook"], strict=True))
    assert {item: table().get(item) for item in expected} == expected


def test_every_notebook_is_linked() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    for path in notebooks.available():
        assert f"(notebooks/{path.name})" in text, path.name


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_result_tables_are_those_of_the_shipped_reference(page: Path) -> None:
    text = page.read_text("utf-8")
    assert readme.written(text) == text
    assert text.count("<!-- end -->") == len(readme.BLOCK.findall(text)), "no block is left out"


def test_a_block_that_is_out_of_date_is_written_anew() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    stale = readme.BLOCK.sub(lambda block: f"{block[1]}1.0{block[4]}", text)
    assert stale != text and readme.written(stale) == text


def test_numbers_in_the_text_do_not_break_its_paragraphs() -> None:
    """A line of Markdown that begins with a comment ends the paragraph above it."""
    text = (ROOT / "README.md").read_text("utf-8")
    assert not re.findall(r"^<!-- (?:span|verdicts)", text, flags=re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors of the headings of a page or a notebook, as GitHub makes them."""
    text = page.read_text("utf-8")
    if page.suffix == ".ipynb":
        cells = [cell["source"] for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown"]
        text = "\n".join("".join(source) for source in cells)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def defined(file: Path) -> set[str]:
    """The functions, classes and methods ("Class.method") of a file."""
    found = set()
    for node in ast.parse(file.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            inner = node.body if isinstance(node, ast.ClassDef) else []
            found |= {node.name, *(f"{node.name}.{part.name}" for part in inner if isinstance(part, ast.FunctionDef))}
    return found


def test_every_part_of_the_paper_leads_to_a_notebook_and_to_a_function() -> None:
    page = ROOT / "docs" / "items.md"
    text = page.read_text("utf-8").partition("## What was run")[0]
    rows = [re.split(r"(?<!\\)\|", line) for line in text.splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in row[1:-1]] for row in rows if "in the paper" not in row[1]]
    for item, _, notebook, code in rows:
        assert re.search(r"\.ipynb#", notebook), item
        links = site.CODE.findall(code)
        assert len(links) == code.count("](") > 0, item
        for title, function, file in links:
            assert Path(file).name == title.partition(":")[0]
            assert function in defined(page.parent / file), title
    sections = ["2.1", "2.2", "3", "3.1", "3.2", "3.3", "4.1", "4.2", "4.3", "4.4", "5.1", "5.2"]
    named = [f"Sec. {number}" for number in sections] + ["Algorithm 1", "Algorithm 2"]
    named += [f"Eq. {number}" for number in range(1, 11)] + [f"Table {number}" for number in range(1, 7)]
    items = ", ".join(row[0] for row in rows)
    assert [name for name in named if not re.search(rf"{re.escape(name)}\b(?!\.\d)", items)] == []


@pytest.mark.parametrize("page", LINKING, ids=lambda path: path.stem)
def test_every_link_leads_somewhere(page: Path) -> None:
    prose = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)\)", prose)
    for link in (link for link in links if "://" not in link):
        target, _, anchor = link.partition("#")
        path = page.parent / target if target else page
        assert path.exists(), link
        assert not anchor or anchor in anchors(path), link
