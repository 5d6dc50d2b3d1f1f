"""Pictures of the tables: data frames in (from CSV), drawn on given axes, saved so that equal data give equal bytes."""

from paper_repro.paper.ablations.figures import figure2, figure3, sizes, switches
from paper_repro.paper.more_baselines.figures import baselines_cost, baselines_differences
from paper_repro.paper.checkers.figures import estimated_against_true, reliability, weights_histogram
from paper_repro.paper.table1.figure1 import CURVES, curves, figure1
from paper_repro.paper.information.figures import entropy_bound, estimate_dots, input_shift
from paper_repro.paper.noisy.figures import bars, detection, epoch_lines, noisy_bars, noisy_detection, noisy_epochs
from paper_repro.paper.search.figures import search
from paper_repro.paper.style import BLACK, BLUE, CLASS_COLOURS, GREEN, GREY, ORANGE, PURPLE, Picture, SKY, STYLE, VERMILION, save
from paper_repro.paper.table1.dots import dots, table1_dots, table_dots
from paper_repro.teaching.figures import one_knob, primer_clipping, primer_knob, primer_knobs, primer_losses, primer_sampling
from paper_repro.paper.theory.figures import theory_bound, theory_convergence, theory_fixed_points, theory_growing, theory_one_step

__all__ = [
    "BLACK",
    "BLUE",
    "CLASS_COLOURS",
    "CURVES",
    "GREEN",
    "GREY",
    "ORANGE",
    "PURPLE",
    "SKY",
    "STYLE",
    "VERMILION",
    "Picture",
    "bars",
    "baselines_cost",
    "baselines_differences",
    "curves",
    "detection",
    "dots",
    "entropy_bound",
    "epoch_lines",
    "estimate_dots",
    "estimated_against_true",
    "figure1",
    "figure2",
    "figure3",
    "input_shift",
    "noisy_bars",
    "noisy_detection",
    "noisy_epochs",
    "one_knob",
    "primer_clipping",
    "primer_knob",
    "primer_knobs",
    "primer_losses",
    "primer_sampling",
    "reliability",
    "save",
    "search",
    "sizes",
    "switches",
    "table1_dots",
    "table_dots",
    "theory_bound",
    "theory_convergence",
    "theory_fixed_points",
    "theory_growing",
    "theory_one_step",
    "weights_histogram",
]
