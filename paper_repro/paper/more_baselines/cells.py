"""Table 1 extended: other weightings, and baselines that use what IMP and DIMP use, the labels of D_P'.

IMP and DIMP see the labels of D_P' through the quality checker; CE on D_Q does not. The rows with the same labels
use them as well: by training on them, by filtering or relabelling D_Q with the checker, by learning weights on them,
or by answering with the checkers themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from paper_repro.method.baselines import NO_LABELS, SAME_LABELS
from paper_repro.method.registry import METHODS
from paper_repro.paper.cells import Cell, grouped, named, spec, without_curve
from paper_repro.paper.table1.cells import table1
from paper_repro.runs.profiles import HU_VARIANTS, Profile
from paper_repro.runs.results import NOTHING_LEFT, Results
from paper_repro.runs.spec import Checker, RunSpec, Source
from paper_repro.tools.errors import UserError

OURS, WORLD = "ours", "world"
GROUPS = {
    OURS: "the paper's",
    NO_LABELS: "no labels of D_P'",
    SAME_LABELS: "labels of D_P'",
    WORLD: "true probabilities",
}
"""Titles of the groups of rows, by what their training uses. Every row's epoch is selected on D_P'."""


@dataclass(frozen=True)
class Row:
    """A row of the table: its group, the weight of a text in its loss, and what it is in a sentence."""

    group: str
    formula: str
    about: str


OTHER_ROWS: Mapping[str, Row] = {
    "checker": Row(SAME_LABELS, "1", "no generated text at all: CE on D_P'"),
    "ce_dq_dp": Row(SAME_LABELS, "1", "both together"),
    "ce_then_dp": Row(SAME_LABELS, "1", "first the generated texts, then the real ones, as the checker learns them"),
    "hu_cheap": Row(SAME_LABELS, METHODS["hu"].formula, "Hu et al. with one look ahead for the whole batch"),
    "hu_official": Row(SAME_LABELS, METHODS["hu"].formula, "Hu et al. with the recipe of its authors' experiments"),
    "imp_exact_q": Row(WORLD, "P' / Q", "IMP with a perfect diversity checker"),
    "oracle": Row(WORLD, "P / Q", "the weights that the checkers estimate"),
}
"""Rows that are no method of their own; their titles are in :mod:`paper_repro.paper.titles`."""
HU = {"faithful": "hu", "cheap": "hu_cheap", "official": "hu_official"}
"""The rows of the variants of Hu et al.'s method; only the first fills the row of the paper's Table 1."""
HU_SETTINGS: tuple[dict[str, float | str], ...] = (
    {"norm": "softmax", "w_decay": 5.0},
    {"norm": "linear", "w_decay": 10.0},
)
"""Both that the authors published (SST-5, imbalanced SST-2); the one whose model is best on D_P' is taken."""
CHEAP: dict[str, float | str] = {"group": 0, "dev_batch": 32, "chunk": 32}
OFFICIAL = {"learning_rate": 4e-5, "epochs": 10, "batch_size": 8, "max_length": 64}
PRETRAINING = 3
"""The recipe of the authors' text experiments, and their epochs of plain CE before it."""
TAUS = (0.3, 0.5, 0.7, 0.9)
LOOK_AHEAD = ("sungen", "ren", "meta_weight_net")


def rows() -> dict[str, Row]:
    """Every row that the table can have, by id, in its order. A new method of one of the groups is among them."""
    of_methods = {m.id: Row(m.group, m.formula, m.about) for m in METHODS.values() if m.group in GROUPS}
    known = {**OTHER_ROWS, **of_methods}
    return {name: row for group in GROUPS for name, row in known.items() if row.group == group}


def narrowed(
    profile: Profile,
    *,
    benchmarks: str = "",
    seeds: int = 0,
    simple_seeds: int = 0,
    look_ahead_seeds: int = 0,
    hu: str = "",
    hu_seeds: int = 0,
    look_ahead: str = "",
) -> Profile:
    """The profile with fewer ``benchmarks`` and other choices of its baselines; names are separated by commas.

    Empty and 0 leave things as they are; ``seeds`` is the most that any row has, ``simple_seeds`` are those of the
    baselines that learn no weights. Raises UserError for what is unknown.
    """
    if hu and hu not in HU_VARIANTS:
        raise UserError(f"hu={hu!r} is not known; expected one of {', '.join(HU_VARIANTS)}")
    if min(seeds, simple_seeds, look_ahead_seeds, hu_seeds) < 0:
        raise UserError(f"{seeds=}, {simple_seeds=}, {look_ahead_seeds=}, {hu_seeds=}: expected 0 or more")
    usual, most = profile.baselines, seeds or len(profile.seeds)
    chosen = replace(
        usual,
        hu=hu or usual.hu,  # type: ignore[arg-type]
        look_ahead=named(look_ahead, profile.benchmarks) or usual.look_ahead,
        seeds=min(simple_seeds or usual.seeds, most),
        look_ahead_seeds=min(look_ahead_seeds or usual.look_ahead_seeds, most),
        hu_seeds=min(hu_seeds or usual.hu_seeds, most),
    )
    names = named(benchmarks, profile.benchmarks) or profile.benchmarks
    return replace(profile, benchmarks=names, seeds=profile.seeds[:most], baselines=chosen)


def extended(profile: Profile) -> list[Cell]:
    """Table 1's rows on generated data with the quality checker and all baselines, Hu et al. on large real data too.

    Each row has the first seeds that the profile's ``baselines`` give it, Table 1's own rows have all. Cells that
    differ in an option to be chosen on D_P' share row and seed: see :func:`best_on_dev`.
    """
    cells = [cell for cell in table1(profile) if cell.train_source == "generated" or cell.method == "checker"]
    counts = profile.baselines
    for benchmark in profile.benchmarks:
        runs = {seed: _simple(profile, benchmark, seed) for seed in profile.seeds[: counts.seeds]}
        for seed in profile.seeds[: counts.look_ahead_seeds] if benchmark in counts.look_ahead else ():
            of_seed = {name: [_padded(profile, benchmark, "generated", name, seed)] for name in LOOK_AHEAD}
            runs[seed] = runs.get(seed, {}) | of_seed
        for seed, of_seed in runs.items():
            cells += [Cell("generated", name, benchmark, seed, one) for name, some in of_seed.items() for one in some]
    return without_curve(cells) + hu(profile)


def _simple(profile: Profile, benchmark: str, seed: int) -> dict[str, list[RunSpec]]:
    """The baselines that learn no weights; RHO's hold-out model is the quality checker."""
    ce, checker = (spec(profile, benchmark, pool, "ce", seed) for pool in ("generated", "dev"))
    names = ("rho", "filter", "confident", "distil", "ensemble")
    runs = {name: [spec(profile, benchmark, "generated", name, seed)] for name in names}
    runs["filter"] = [replace(runs["filter"][0], options=(("tau", tau),)) for tau in TAUS]
    runs |= {"ce_dq_dp": [replace(ce, source=Source("generated+dev"))], "ce_then_dp": [replace(checker, start=ce)]}
    if profile.kind == "miniature":
        imp = spec(profile, benchmark, "generated", "imp", seed)
        runs["imp_exact_q"] = [replace(imp, diversity=Checker(exact="q"))]
    return runs


def _padded(profile: Profile, benchmark: str, pool: str, method: str, seed: int) -> RunSpec:
    """A baseline that learns its weights from a step ahead, by differentiating through the model on padded batches."""
    made = spec(profile, benchmark, pool, method, seed)
    fidelity = "fast" if made.recipe.fidelity == "packed" else made.recipe.fidelity
    return replace(made, recipe=replace(made.recipe, fidelity=fidelity))


def hu(profile: Profile, variant: str = "", seeds: Sequence[int] | None = None) -> list[Cell]:
    """Hu et al. on generated data and, unless it is the cheaper variant, on large real data as in Table 1.

    There is a cell for each of :data:`HU_SETTINGS`: see :func:`best_on_dev`. ``variant`` and ``seeds`` are the
    profile's where they are not given.
    """
    variant = variant or profile.baselines.hu
    cells = [
        Cell(pool, HU[variant], benchmark, seed, one)
        for seed in (profile.seeds[: profile.baselines.hu_seeds] if seeds is None else seeds)
        for benchmark in profile.benchmarks
        if benchmark in profile.baselines.look_ahead
        for pool in (("generated",) if variant == "cheap" else ("generated", "train"))
        for one in _hu(profile, benchmark, pool, variant, seed)
    ]
    return without_curve(cells)


def _hu(profile: Profile, benchmark: str, pool: str, variant: str, seed: int) -> list[RunSpec]:
    made = _padded(profile, benchmark, pool, "hu", seed)
    if variant == "official":
        recipe = replace(made.recipe, **OFFICIAL)  # type: ignore[arg-type]
        plain = replace(recipe, epochs=PRETRAINING, select="last", test_curve=False)
        made = replace(made, recipe=recipe, start=replace(made, method="ce", recipe=plain))
    cheaper = CHEAP if variant == "cheap" else {}
    return [replace(made, options=tuple({**setting, **cheaper}.items())) for setting in HU_SETTINGS]


def hu_as_written(results: Results) -> list[Cell]:
    """Hu et al.'s rows of the paper's Table 1: those that the profile wants, else those that the store has."""
    profile = results.profile
    if profile.baselines.hu == "faithful":
        return best_on_dev(results, hu(profile))
    every = hu(profile, "faithful", profile.seeds)
    return best_on_dev(results, [cell for cell in every if results.result(cell.spec) is not None])


def best_on_dev(results: Results, cells: Iterable[Cell]) -> list[Cell]:
    """One cell for each row, benchmark and seed: the one whose selected epoch is best on D_P', the first of equals.

    A filter that leaves no text is no candidate. Where another candidate is missing it stands for all, so that the
    row does not pass for complete.
    """
    groups = grouped(cells, "train_source", "method", "benchmark", "seed")
    return [_best(results, group) for group in groups.values()]


def _best(results: Results, group: list[Cell]) -> Cell:
    if len(group) == 1:
        return group[0]
    found = [(cell, results.result(cell.spec)) for cell in group]
    missing = [c for c, result in found if result is None and results.failure_kind(c.spec) != NOTHING_LEFT]
    accuracies = [-1.0 if result is None else result.selected.dev_accuracy for _, result in found]
    return missing[0] if missing else group[accuracies.index(max(accuracies))]


def chosen_options(cell: Cell) -> str:
    """The options by which a cell differs from the others of its row and seed: "tau 0.7", "linear, w_decay 10"."""
    options = dict(cell.spec.options)
    if cell.method in HU.values():
        return f"{options['norm']}, w_decay {options['w_decay']:g}"
    return f"tau {options['tau']:g}" if "tau" in options else ""
