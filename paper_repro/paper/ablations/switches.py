"""The choices that the paper leaves open, one at a time: the switches of the losses, and other checkers.

A variant changes one thing of the default, which is what the authors' code does. ``train_source`` of a cell is the
variant's name; :data:`DEFAULT` holds CE, IMP and DIMP as in Table 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from paper_repro.method.losses import Switches
from paper_repro.method.registry import CLASSICAL
from paper_repro.paper.ablations.sizes import first_seeds, selected_by
from paper_repro.paper.cells import TITLES, Cell, spec, without_curve
from paper_repro.paper.table1.cells import table1
from paper_repro.runs.profiles import Profile
from paper_repro.runs.spec import Checker, RunSpec, Source

DEFAULT = "default"
FOLDS = 5
Change = Callable[[RunSpec], RunSpec]


@dataclass(frozen=True)
class Variant:
    """One change of the default: which ``methods`` it can touch at all, and how it changes their runs."""

    methods: tuple[str, ...]
    change: Change


def switched(**switches: object) -> Change:
    """The run with other switches of the loss."""
    return lambda run: replace(run, switches=Switches(**switches))  # type: ignore[arg-type]


def quality(change: Callable[[Checker], Checker]) -> Change:
    """The run with its quality checker changed."""
    return lambda run: replace(run, quality=change(run.quality)) if run.quality else run


def diversity(change: Callable[[Checker], Checker]) -> Change:
    """The run with its diversity checker changed."""
    return lambda run: replace(run, diversity=change(run.diversity)) if run.diversity else run


def checker_run(**changes: object) -> Callable[[Checker], Checker]:
    """A checker whose run is changed."""
    return lambda checker: replace(checker, run=replace(_run(checker), **changes))  # type: ignore[arg-type]


def apart(run: RunSpec) -> RunSpec:
    """One half of D_P' fits the quality checker, the other selects every epoch."""
    halved = quality(checker_run(source=Source("dev:fit"), selection="dev:select"))(run)
    return selected_by(halved, "dev:select")


def _at_last_epoch(checker: Checker) -> Checker:
    run = _run(checker)
    return replace(checker, run=replace(run, recipe=replace(run.recipe, select="last")))


def _run(checker: Checker) -> RunSpec:
    if checker.run is None:
        raise ValueError("exact scores have no run to change")
    return checker.run


BOTH, IMP, DIMP = ("imp", "dimp"), ("imp",), ("dimp",)
LOSS: Mapping[str, Variant] = {
    "gradient through the weight": Variant(DIMP, switched(detach=False)),
    "weight to the power 1/2": Variant(BOTH, switched(gamma=0.5)),
    "weight to the power 2": Variant(BOTH, switched(gamma=2.0)),
    "weights of mean 1 in each batch": Variant(BOTH, switched(normalise="batch")),
    "weights cut at mean x sqrt(n)": Variant(BOTH, switched(clip="sqrt-n")),
    "ratio bounded by 10": Variant(BOTH, switched(clip="bounded", alpha=0.1)),
    "p of the weight without dropout": Variant(DIMP, switched(weight_forward="eval")),
}
"""Switches of the loss. IMP's weights are constants: nothing flows through them, and no dropout is in them."""

QUALITY: Mapping[str, Variant] = {
    "calibrated": Variant(BOTH, quality(lambda checker: replace(checker, temperature="fitted"))),
    "half of D_P', the other half selects": Variant(("ce", *BOTH), apart),
    **{
        title: Variant(BOTH, quality(checker_run(method=method)))
        for method, title in {"tfidf": "logistic on TF-IDF", "frozen": "logistic on frozen states"}.items()
        if method in CLASSICAL
    },
}
"""Other quality checkers. Those of :data:`paper_repro.method.registry.CLASSICAL` are no fine-tuned networks."""

DIVERSITY: Mapping[str, Variant] = {
    f"cross-fitted, {FOLDS} folds": Variant(IMP, diversity(lambda checker: replace(checker, folds=FOLDS))),
    "of its last epoch": Variant(IMP, diversity(_at_last_epoch)),
}
"""Other diversity checkers, of which DIMP has none; :func:`variants` adds one on the profile's other encoder."""


def variants(profile: Profile) -> dict[str, Variant]:
    """Every variant by name, in the order of the table."""
    sizes = profile.ablations
    other = sizes.small if profile.encoder == sizes.large else sizes.large
    on_other = Variant(IMP, diversity(checker_run(encoder=other)))
    return {
        **LOSS,
        **{f"quality checker: {name}": variant for name, variant in QUALITY.items()},
        **{f"diversity checker: {name}": variant for name, variant in DIVERSITY.items()},
        f"diversity checker: on {other}": on_other,
    }


def switches(profile: Profile, benchmark: str = "financial", seeds: Iterable[int] | None = None) -> list[Cell]:
    """CE, IMP and DIMP on D_Q by default, and with each variant of :func:`variants`; see :func:`first_seeds`."""
    cells = []
    for seed in first_seeds(profile) if seeds is None else seeds:
        defaults = {method: spec(profile, benchmark, "generated", method, seed) for method in ("ce", *BOTH)}
        cells += [Cell(DEFAULT, TITLES[method], benchmark, seed, run) for method, run in defaults.items()]
        for name, variant in variants(profile).items():
            for method in variant.methods:
                cells.append(Cell(name, TITLES[method], benchmark, seed, variant.change(defaults[method])))
    return without_curve(cells, table1(profile))
