"""The README is short, its numbers and links are right, and docs/items.md names every item with its notebook."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from paper_repro.paper import published
from paper_repro.report import notebooks, readme
from paper_repro.tools.paths import project_root

ROOT = project_root()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def table() -> dict[str, str]:
    """The items that each row of the table in docs/items.md names, with the row's notebook."""
    text = (ROOT / "docs" / "items.md").read_text("utf-8")
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


def test_the_readme_is_read_in_one_sitting() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.splitlines()) <= 120 and len(text.split()) <= 1200


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


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_every_link_leads_somewhere(page: Path) -> None:
    prose = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)\s]+)\)", prose)
    for link in (link for link in links if "://" not in link):
        target, _, anchor = link.partition("#")
        path = page.parent / target if target else page
        assert path.exists(), link
        assert not anchor or anchor in anchors(path), link
