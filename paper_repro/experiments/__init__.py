"""The grids behind the tables: which specification stands in which cell, one module a group of tables."""

from collections.abc import Callable, Mapping

from paper_repro.paper.more_baselines.cells import DISTIL, ENSEMBLE, EXACT_Q, EXTENDED, FILTER, HU, NO_LABELS, OURS, SAME_LABELS, WORLD, best_on_dev, extended, hu, hu_as_written, named, narrowed
from paper_repro.paper.cells import Cell, GENERATED, LARGE, SMALL, SOURCES, TITLES, recipe_of, spec
from paper_repro.paper.information.cells import Fits, section3_2, section3_2_scores
from paper_repro.paper.noisy.cells import NOISY, NOISY_METHODS, NOISY_POOL, cross_fitted, table4
from paper_repro.paper.search.cells import search, setting_name, settings
from paper_repro.paper.ablations.sizes import BASE, BASE_DC, LARGER, LARGE_DC, QUALITY_CHECKER, figure2, first_seeds, generated_sizes, real_sizes, table2
from paper_repro.paper.ablations.switches import DEFAULT, Variant, switches, variants
from paper_repro.paper.table1.cells import ORACLE, TABLE1_METHODS, oracle, table1
from paper_repro.paper.theory.cells import GROWING_TEXTS, LIMIT_TEXTS, TOLERANCE, growing, limits, usual_runs
from paper_repro.paper.ablations.timing import TIMED, table3, timed
from paper_repro.runs.profiles import Profile

# Each grid by the name of its table; `paper-repro status` counts them.
TABLES: Mapping[str, Callable[[Profile], list[Cell]]] = {
    "Table 1": table1,
    "Table 1 extended": extended,
    "Table 2": table2,
    "Table 3": table3,
    "Table 4": table4,
    "Figure 2": figure2,
    "Sec. 3.2": section3_2,
}

# Those that say something about any benchmark; the others are about the paper's.
OF_ANY_BENCHMARK = ("Table 1", "Sec. 3.2")

__all__ = [
    "BASE",
    "BASE_DC",
    "DEFAULT",
    "DISTIL",
    "ENSEMBLE",
    "EXACT_Q",
    "EXTENDED",
    "FILTER",
    "GENERATED",
    "GROWING_TEXTS",
    "HU",
    "LARGE",
    "LARGER",
    "LARGE_DC",
    "LIMIT_TEXTS",
    "NOISY",
    "NOISY_METHODS",
    "NOISY_POOL",
    "NO_LABELS",
    "OF_ANY_BENCHMARK",
    "ORACLE",
    "OURS",
    "QUALITY_CHECKER",
    "SAME_LABELS",
    "SMALL",
    "SOURCES",
    "TABLE1_METHODS",
    "TABLES",
    "TIMED",
    "TITLES",
    "TOLERANCE",
    "WORLD",
    "Cell",
    "Fits",
    "Variant",
    "best_on_dev",
    "cross_fitted",
    "extended",
    "figure2",
    "first_seeds",
    "generated_sizes",
    "growing",
    "hu",
    "hu_as_written",
    "limits",
    "named",
    "narrowed",
    "oracle",
    "real_sizes",
    "recipe_of",
    "search",
    "section3_2",
    "section3_2_scores",
    "setting_name",
    "settings",
    "spec",
    "switches",
    "table1",
    "table2",
    "table3",
    "table4",
    "timed",
    "usual_runs",
    "variants",
]
