"""Table 1 extended: other weightings, and baselines that use what IMP and DIMP use, the labels of D_P'.

IMP and DIMP see the labels of D_P' through the quality checker; CE on D_Q does not. The same-information rows
use them as well: by training on them, by filtering or relabelling D_Q with the checker, by learning weights on them,
or by answering with the checkers themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from paper_repro.method.recipe import Recipe
from paper_repro.paper.cells import GENERATED, LARGE, TITLES, Cell, spec, without_curve
from paper_repro.paper.table1.cells import ORACLE, oracle, table1
from paper_repro.runs.profiles import HU_VARIANTS, Profile
from paper_repro.runs.spec import Checker, RunResult, RunSpec, Source
from paper_repro.tools.errors import UserError

OURS, SAME_LABELS, NO_LABELS, WORLD = "the paper's", "labels of D_P'", "no labels of D_P'", "true probabilities"
"""The groups of rows, by what their training uses. Every row's epoch is selected on D_P', the group NO_LABELS's too."""
CHECKER, FILTER, EXACT_Q = "CE-Loss (quality checker)", "Filter P' > tau", "IMP-Loss (exact Q)"
DISTIL, ENSEMBLE = "Self-distillation from P'", "Ensemble sqrt(Q P')"
HU: Mapping[str, str] = {
    "faithful": "Hu et al.'s",
    "cheap": "Hu et al.'s, cheaper",
    "official": "Hu et al.'s, official recipe",
}
"""Titles of the variants of Hu et al.'s method; only the first one fills the row of the paper's Table 1."""
HU_RECIPE = {"learning_rate": 4e-5, "epochs": 10, "batch_size": 8, "max_length": 64}
HU_PRETRAINING = 3
"""Of the authors' text experiments: the recipe, and epochs of plain CE before it."""
TAUS = (0.3, 0.5, 0.7, 0.9)
NONE_LEFT = "filter: no example has P'(y|x)"
LOOK_AHEAD = {"ren": "Ren et al.'s", "meta_weight_net": "Meta-Weight-Net", "sungen": "SunGen (ours)"}


@dataclass(frozen=True)
class Row:
    """A row of the extended table: its group, the weight of a text in its loss, and what it is in a sentence."""

    group: str
    weight: str
    about: str


EXTENDED: Mapping[str, Row] = {
    TITLES["imp"]: Row(OURS, "P'/Q", "the paper's first loss: quality checker over diversity checker"),
    TITLES["dimp"]: Row(OURS, "P'/p", "the paper's second loss: the model itself in the diversity checker's place"),
    TITLES["quality_only"]: Row(OURS, "P'", "the paper's ablation: the quality checker's word alone"),
    TITLES["ce"]: Row(NO_LABELS, "1", "plain cross-entropy on D_Q"),
    TITLES["focal"]: Row(NO_LABELS, "1 - p", "more weight to what the model finds hard"),
    LOOK_AHEAD["sungen"]: Row(
        NO_LABELS,
        "s, learnt",
        "weights are learnt so that a fresh model trained with them has a low noise-robust loss on held-out generated "
        "texts; 10 rounds, where the authors take 100 with an LSTM",
    ),
    "Confident learning": Row(
        NO_LABELS, "1 or 0", "CE without the texts that cross-fitted CE models believe to be mislabelled (cleanlab)"
    ),
    HU["faithful"]: Row(
        SAME_LABELS,
        "softmax(phi), learnt",
        "each text's weight is moved by what an Adam step on that text alone would do to the loss on all of D_P'",
    ),
    HU["cheap"]: Row(
        SAME_LABELS,
        "softmax(phi), learnt",
        "the same with one look ahead for the whole batch, at 32 random texts of D_P' (as written: one for every 8 "
        "texts, at all of D_P')",
    ),
    HU["official"]: Row(
        SAME_LABELS,
        "softmax(phi), learnt",
        "as written, with the authors' learning rate 4e-5, 10 epochs, batches of 8, length 64, after 3 epochs of CE",
    ),
    LOOK_AHEAD["ren"]: Row(
        SAME_LABELS,
        "max(<g_i, G>, 0), normalised",
        "a text counts as far as its gradient points where that of a batch of D_P' does; nothing is remembered",
    ),
    LOOK_AHEAD["meta_weight_net"]: Row(
        SAME_LABELS,
        "V(loss), learnt",
        "a small network turns a loss into a weight; it learns on batches of D_P'",
    ),
    "RHO-Loss selection": Row(
        SAME_LABELS,
        "1 or 0",
        "of each large batch, train on the tenth with the highest ln(P'/p), the logarithm of DIMP's weight; a "
        "tenth of the updates",
    ),
    CHECKER: Row(SAME_LABELS, "1", "no generated text at all: CE on D_P'"),
    "CE-Loss on D_Q and D_P'": Row(SAME_LABELS, "1", "throw both together"),
    "CE-Loss on D_Q, then on D_P'": Row(
        SAME_LABELS, "1", "first the generated, then the real texts, as the checker learns them"
    ),
    FILTER: Row(SAME_LABELS, "1 or 0", "CE on the texts whose label the checker believes; tau is chosen on D_P'"),
    DISTIL: Row(SAME_LABELS, "-", "the checker's probabilities as soft labels; the generated labels are not used"),
    ENSEMBLE: Row(SAME_LABELS, "-", "no third model: the geometric mean of both checkers' answers"),
    EXACT_Q: Row(WORLD, "P'/true Q", "IMP with a perfect diversity checker, which only a made world can have"),
    ORACLE: Row(WORLD, "true P / true Q", "the weights that the checkers stand for, which only a made world knows"),
}
"""Every row that the extended table can have, in its order."""


class Runs(Protocol):
    @property
    def profile(self) -> Profile: ...
    def result(self, spec: RunSpec) -> RunResult | None: ...
    def failure(self, spec: RunSpec) -> str | None: ...


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
    """The profile with fewer ``benchmarks`` and other choices of its baselines; names are parted by commas.

    Empty and 0 leave things as they are; ``seeds`` is the most that any row has, ``simple_seeds`` are those of the
    baselines that learn no weights. Raises UserError for what is unknown.
    """
    names = named(benchmarks, profile.benchmarks) or profile.benchmarks
    if hu and hu not in HU_VARIANTS:
        raise UserError(f"hu={hu!r} is not known; expected one of {', '.join(HU_VARIANTS)}")
    numbers = {
        "seeds": seeds,
        "simple_seeds": simple_seeds,
        "look_ahead_seeds": look_ahead_seeds,
        "hu_seeds": hu_seeds,
    }
    if min(numbers.values()) < 0:
        raise UserError(f"{', '.join(f'{name}={value}' for name, value in numbers.items())}: expected 0 or more")
    usual, most = profile.baselines, seeds or len(profile.seeds)
    counts = {
        "seeds": min(simple_seeds or usual.seeds, most),
        "look_ahead_seeds": min(look_ahead_seeds or usual.look_ahead_seeds, most),
        "hu_seeds": min(hu_seeds or usual.hu_seeds, most),
    }
    ahead = named(look_ahead, profile.benchmarks) or usual.look_ahead
    chosen = replace(usual, hu=hu or usual.hu, look_ahead=ahead, **counts)  # type: ignore[arg-type]
    return replace(profile, benchmarks=names, seeds=profile.seeds[:most], baselines=chosen)


def named(text: str, known: Iterable[str]) -> tuple[str, ...]:
    """The benchmarks in a text, parted by commas; none for an empty one. UserError for one that is not ``known``."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if unknown := [name for name in names if name not in set(known)]:
        raise UserError(f"benchmark {unknown[0]!r} is not known; expected some of {', '.join(known)}")
    return names


def hu(profile: Profile, variant: str = "", seeds: Iterable[int] | None = None) -> list[Cell]:
    """Hu et al. on generated data and, unless it is the cheaper variant, on large real data as in Table 1.

    ``variant`` and ``seeds`` are the profile's where they are not given.
    """
    variant = variant or profile.baselines.hu
    pools = {"generated": GENERATED} if variant == "cheap" else {"generated": GENERATED, "train": LARGE}
    cells = [
        Cell(source, HU[variant], benchmark, seed, _hu(profile, benchmark, pool, variant, seed))
        for seed in (profile.seeds[: profile.baselines.hu_seeds] if seeds is None else seeds)
        for benchmark in profile.benchmarks
        if benchmark in profile.baselines.look_ahead
        for pool, source in pools.items()
    ]
    return without_curve(cells, ())


def _hu(profile: Profile, benchmark: str, pool: str, variant: str, seed: int) -> RunSpec:
    made = _looking_ahead(profile, benchmark, pool, "hu", seed)
    if variant == "cheap":
        return replace(made, options=(("group", 0), ("dev_batch", 32), ("chunk", 32)))
    if variant == "official":
        recipe: Recipe = replace(made.recipe, **HU_RECIPE)  # type: ignore[arg-type]
        plain = replace(recipe, epochs=HU_PRETRAINING, select="last", test_curve=False)
        return replace(made, recipe=recipe, start=replace(made, method="ce", recipe=plain))
    return made


def hu_as_written(results: Results) -> list[Cell]:
    """Hu et al.'s rows of the paper's Table 1: those that the profile wants, else those that the store has."""
    profile = results.profile
    if profile.baselines.hu == "faithful":
        return hu(profile)
    return [cell for cell in hu(profile, "faithful", profile.seeds) if results.result(cell.spec) is not None]


def extended(profile: Profile) -> list[Cell]:
    """Table 1's rows on generated data with the quality checker and all baselines, Hu et al. on large real data too.

    Each row has the first seeds that the profile's ``baselines`` give it, Table 1's own rows have all. Cells that
    differ in an option to be chosen on D_P' share row and seed: see :func:`best_on_dev`.
    """
    cells = [cell for cell in table1(profile) if cell.train_source == GENERATED or cell.method == CHECKER]
    for place, seed in enumerate(profile.seeds):
        for benchmark in profile.benchmarks:
            made: dict[str, list[RunSpec]] = {}
            if place < profile.baselines.seeds:
                made |= _simple(profile, benchmark, seed)
            if place < profile.baselines.look_ahead_seeds and benchmark in profile.baselines.look_ahead:
                made |= {
                    title: [_looking_ahead(profile, benchmark, "generated", method, seed)]
                    for method, title in LOOK_AHEAD.items()
                }
            cells += [Cell(GENERATED, title, benchmark, seed, one) for title, specs in made.items() for one in specs]
    return without_curve(cells, table1(profile)) + hu(profile)


def _looking_ahead(profile: Profile, benchmark: str, pool: str, method: str, seed: int) -> RunSpec:
    """A baseline that looks a step ahead, with the recipe of the CE run on the pool.

    It differentiates through transformers' own model, which knows padded batches only.
    """
    made = spec(profile, benchmark, pool, "ce", seed)
    padded = "fast" if made.recipe.fidelity == "packed" else made.recipe.fidelity
    return replace(made, method=method, recipe=replace(made.recipe, fidelity=padded))


def _simple(profile: Profile, benchmark: str, seed: int) -> dict[str, list[RunSpec]]:
    """The baselines that learn no weights; RHO's hold-out model is the quality checker."""
    ce, checker = (spec(profile, benchmark, pool, "ce", seed) for pool in ("generated", "dev"))
    quality, diversity = Checker(checker), Checker(ce)
    made = {
        "RHO-Loss selection": [replace(ce, method="rho", quality=quality)],
        "CE-Loss on D_Q and D_P'": [replace(ce, source=Source("generated+dev"))],
        "CE-Loss on D_Q, then on D_P'": [replace(checker, start=ce)],
        FILTER: [replace(ce, method="filter", quality=quality, options=(("tau", tau),)) for tau in TAUS],
        "Confident learning": [replace(ce, method="confident", diversity=Checker(ce, folds=5))],
        DISTIL: [replace(ce, method="distil", quality=quality)],
        ENSEMBLE: [replace(ce, method="ensemble", quality=quality, diversity=diversity)],
    }
    if profile.kind == "miniature":
        exact = oracle(profile, benchmark, seed).diversity
        made[EXACT_Q] = [replace(ce, method="imp", quality=quality, diversity=exact)]
    return made


def best_on_dev(results: Results, cells: Iterable[Cell]) -> list[Cell]:
    """One cell for each row, benchmark and seed: the one whose selected epoch is best on D_P', the first of equals.

    A filter that leaves no text is no candidate. Where another candidate is missing it stands for all, so that the
    row does not pass for complete.
    """
    groups: dict[tuple[str, str, str, int], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.train_source, cell.method, cell.benchmark, cell.seed), []).append(cell)
    return [_best(results, group) for group in groups.values()]


def _best(results: Results, group: list[Cell]) -> Cell:
    if len(group) == 1:
        return group[0]
    found = [(cell, results.result(cell.spec)) for cell in group]
    missing = [
        cell
        for cell, result in found
        if result is None and not (results.failure(cell.spec) or "").startswith(NONE_LEFT)
    ]
    accuracies = [-1.0 if result is None else result.selected.dev_accuracy for _, result in found]
    return missing[0] if missing else group[accuracies.index(max(accuracies))]
