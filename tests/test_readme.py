"""The README names every item of the paper, with the notebook that makes it."""

from __future__ import annotations

import re

from paper_repro.paper import published
from paper_repro.report import notebooks, readme
from paper_repro.tools.paths import project_root


def table() -> dict[str, str]:
    """The items that each row of the README's table names, with the row's notebook."""
    text = (project_root() / "README.md").read_text("utf-8").split("## What is reproduced")[1].split("\n#")[0]
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


def test_every_notebook_is_named() -> None:
    text = (project_root() / "README.md").read_text("utf-8")
    for path in notebooks.available():
        assert f"`notebooks/{path.name}`" in text, path.name


def test_its_result_tables_are_those_of_the_shipped_reference() -> None:
    text = (project_root() / "README.md").read_text("utf-8")
    assert readme.BLOCK.search(text) and readme.written(text) == text
