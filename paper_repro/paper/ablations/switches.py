"""The choices that the paper leaves open, one at a time: the switches of the losses, and other checkers.

A variant changes one thing of the default, which is what the authors' code does. ``train_source`` of a cell is the
variant's id; :data:`DEFAULT` holds CE, IMP and DIMP as in Table 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from paper_repro.method.losses import Switches
from paper_repro.method.registry import METHODS
from paper_repro.paper import style
from paper_repro.paper.ablations.sizes import selected_by
from paper_repro.paper.ablations.variants import differences, first_seeds, notes
from paper_repro.paper.cells import Cell, spec, without_curve
from paper_repro.runs.profiles import Profile
from paper_repro.runs.spec import Checker, RunSpec, Source

DEFAULT = "default"
FOLDS = 5
TRAINED = ("ce", "imp", "dimp")
Change = Callable[[RunSpec], RunSpec]


@dataclass(frozen=True)
class Variant:
    """One change of the default: which ``methods`` it can touch at all, and how it changes their runs."""

    title: str
    methods: tuple[str, ...]
    change: Change


def switched(**switches: Any) -> Change:
    """The run with other switches of the loss."""
    return lambda run: replace(run, switches=Switches(**switches))


def checked(which: str, of_run: Mapping[str, Any] | None = None, **changes: Any) -> Change:
    """The run with its "quality" or "diversity" checker changed; ``of_run`` are changes of the checker's own run."""

    def change(run: RunSpec) -> RunSpec:
        checker: Checker | None = getattr(run, which)
        if checker is None or checker.run is None:
            return run
        changed: Any = {which: replace(checker, **changes, run=replace(checker.run, **(of_run or {})))}
        return replace(run, **changed)

    return change


def halved(run: RunSpec) -> RunSpec:
    """One half of D_P' fits the quality checker, the other selects every epoch."""
    fitted = checked("quality", {"source": Source("dev:fit"), "selection": "dev:select"})(run)
    return selected_by(fitted, "dev:select")


def last_epoch(run: RunSpec) -> RunSpec:
    """The diversity checker of the last epoch, whatever D_P' says."""
    return checked("diversity", {"recipe": replace(run.recipe, select="last")})(run)


IMP, DIMP, BOTH = ("imp",), ("dimp",), ("imp", "dimp")
LOSS: Mapping[str, Variant] = {
    "through_weight": Variant("gradient through the weight", DIMP, switched(detach=False)),
    "gamma_half": Variant("weight to the power 1/2", BOTH, switched(gamma=0.5)),
    "gamma_two": Variant("weight to the power 2", BOTH, switched(gamma=2.0)),
    "normalised": Variant("weights of mean 1 in each batch", BOTH, switched(normalise="batch")),
    "truncated": Variant("weights cut at mean x sqrt(n)", BOTH, switched(clip="sqrt-n")),
    "bounded": Variant("ratio bounded by 10", BOTH, switched(clip="bounded", alpha=0.1)),
    "no_dropout": Variant("p of the weight without dropout", DIMP, switched(weight_forward="eval")),
}
"""Switches of the loss. IMP's weights are constants: nothing flows through them, and no dropout is in them."""
CHECKERS: Mapping[str, Variant] = {
    "qc_calibrated": Variant("QC: calibrated", BOTH, checked("quality", temperature="fitted")),
    "qc_half": Variant("QC: half of D_P', the other half selects", TRAINED, halved),
    "qc_tfidf": Variant("QC: logistic on TF-IDF", BOTH, checked("quality", {"method": "tfidf"})),
    "qc_frozen": Variant("QC: logistic on frozen states", BOTH, checked("quality", {"method": "frozen"})),
    "dc_cross_fitted": Variant(f"DC: cross-fitted, {FOLDS} folds", IMP, checked("diversity", folds=FOLDS)),
    "dc_last_epoch": Variant("DC: of its last epoch", IMP, last_epoch),
}
"""Other quality (QC) and diversity checkers (DC), of which DIMP has none."""
OTHER_SIZE = "dc_other_size"
TITLES = {
    DEFAULT: "default",
    **{name: variant.title for name, variant in {**LOSS, **CHECKERS}.items()},
    OTHER_SIZE: "DC: of the other size in Table 2",
}


def variants(profile: Profile) -> dict[str, Variant]:
    """Every variant by id, in the order of the table."""
    sizes = profile.ablations
    other = checked("diversity", {"encoder": sizes.small if profile.encoder == sizes.large else sizes.large})
    return {**LOSS, **CHECKERS, OTHER_SIZE: Variant(TITLES[OTHER_SIZE], IMP, other)}


def switches(profile: Profile, benchmark: str = "financial", seeds: Iterable[int] | None = None) -> list[Cell]:
    """CE, IMP and DIMP on D_Q by default, and with each variant of :func:`variants`; see :func:`first_seeds`."""
    cells = []
    for seed in first_seeds(profile) if seeds is None else seeds:
        defaults = {method: spec(profile, benchmark, "generated", method, seed) for method in TRAINED}
        cells += [Cell(DEFAULT, method, benchmark, seed, run) for method, run in defaults.items()]
        for name, variant in variants(profile).items():
            runs = {method: variant.change(defaults[method]) for method in variant.methods}
            cells += [Cell(name, method, benchmark, seed, run) for method, run in runs.items()]
    return without_curve(cells)


@style.styled
def switches_dots(frame: pd.DataFrame, *, profile: str = "") -> Figure:
    """Each variant against the default of the same method (left) and against CE-Loss (right), in points.

    ``frame`` is that of :func:`paper_repro.paper.ablations.variants.by_variant` with the default first.
    """
    names = list(frame["variant"].unique())
    figure, axes = style.panels(2, 7.4, 1.3 + 0.27 * len(names), sharey=True)
    style.row_labels(axes[0], [TITLES.get(name, name) for name in names])
    for ax, rival, title in zip(axes, ("default", "ce"), ("its default", "CE-Loss"), strict=True):
        for method, lift in zip(TRAINED, (0.0, -0.14, 0.14), strict=True):
            here = differences(frame[frame["method"] == method], rival)
            here = here.assign(place=here["variant"].map(names.index) + lift)
            style.interval_dots(ax, here, colour=METHODS[method].colour, marker=METHODS[method].marker)
        ax.axvline(0, color=style.BLACK, linewidth=0.8)
        ax.set_xlabel(f"points above {title}")
        ax.xaxis.set_major_locator(MaxNLocator(nbins=6, min_n_ticks=3))
    style.method_legend(figure, TRAINED)
    start = "QC, DC: quality and diversity checker. Hollow: not all runs are there. Paired over seeds and texts; "
    style.caption(figure, notes(frame, "switches.csv", profile, start))
    return figure
