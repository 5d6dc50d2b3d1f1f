"""The grids behind the tables: which specification stands in which cell, one module a group of tables."""

from collections.abc import Callable, Mapping

from paper_repro.experiments.grid import GENERATED, LARGE, SMALL, SOURCES, TITLES, Cell, recipe_of, spec
from paper_repro.experiments.table1 import ORACLE, TABLE1_METHODS, oracle, table1
from paper_repro.profiles import Profile

# Each grid by the name of its table; `paper-repro status` counts them.
TABLES: Mapping[str, Callable[[Profile], list[Cell]]] = {"Table 1": table1}

__all__ = [
    "GENERATED",
    "LARGE",
    "ORACLE",
    "SMALL",
    "SOURCES",
    "TABLE1_METHODS",
    "TABLES",
    "TITLES",
    "Cell",
    "oracle",
    "recipe_of",
    "spec",
    "table1",
]
