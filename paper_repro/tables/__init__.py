"""Tables of the paper beside ours, as long data frames that become CSV files; figures are drawn from these.

Numbers are per cent. A cell whose runs are missing or failed says so in ``status`` and is never passed off as
complete; the paper's rows that this project cannot fill yet stand in their place, empty.
"""

from paper_repro.paper.ablations.tables import ablation_claims, by_variant
from paper_repro.paper.beside_paper import beside_paper, differences, printed, side_by_side, title
from paper_repro.paper.more_baselines.tables import baseline_claims, baseline_differences, best_rivals, families, predicted_twins, table1_extended
from paper_repro.paper.claims import claims, counted
from paper_repro.paper.more_baselines.cost import baselines_cost
from paper_repro.paper.csv_files import load, records, save, write
from paper_repro.paper.information.tables import Estimate, Scored, VARIANTS, entropy_bound, entropy_bound_of_paper, estimates, information_claims, input_shift, nearest, section3_2
from paper_repro.paper.noisy.tables import Scores, noisy_claims, noisy_detection, noisy_log_weights, noisy_measured, noisy_memory, noisy_scores
from paper_repro.paper.outcomes import BENCHMARK_TITLES, FEW_SHOT, Key, OTHER_DATA, Outcome, RULE, Runs, benchmark_title, comparison, in_order, measures, outcomes_of, verdict
from paper_repro.paper.run_table import runs, timings
from paper_repro.paper.search.tables import RULES, search_rules, search_settings
from paper_repro.paper.theory.tables import theory_claims
from paper_repro.paper.ablations.table3 import ABOUT_RULE, PHASE_TITLES, phases, ratio_interval, table3, timing_claims

__all__ = [
    "ABOUT_RULE",
    "BENCHMARK_TITLES",
    "FEW_SHOT",
    "OTHER_DATA",
    "PHASE_TITLES",
    "RULE",
    "RULES",
    "VARIANTS",
    "Estimate",
    "Key",
    "Outcome",
    "Runs",
    "Scored",
    "Scores",
    "ablation_claims",
    "baseline_claims",
    "baseline_differences",
    "baselines_cost",
    "benchmark_title",
    "beside_paper",
    "best_rivals",
    "by_variant",
    "claims",
    "comparison",
    "counted",
    "differences",
    "entropy_bound",
    "entropy_bound_of_paper",
    "estimates",
    "families",
    "in_order",
    "information_claims",
    "input_shift",
    "load",
    "measures",
    "nearest",
    "noisy_claims",
    "noisy_detection",
    "noisy_log_weights",
    "noisy_measured",
    "noisy_memory",
    "noisy_scores",
    "outcomes_of",
    "phases",
    "predicted_twins",
    "printed",
    "ratio_interval",
    "records",
    "runs",
    "save",
    "search_rules",
    "search_settings",
    "section3_2",
    "side_by_side",
    "table1_extended",
    "table3",
    "theory_claims",
    "timing_claims",
    "timings",
    "title",
    "verdict",
    "write",
]
