"""Points about derivations, definitions and what is left open."""

from __future__ import annotations

import math

import numpy as np
import torch

from paper_repro.method import losses
from paper_repro.paper import published
from paper_repro.paper.theory import closed_forms
from paper_repro.paper.theory.slips.checks import split_size
from paper_repro.paper.theory.slips.point import Point


def without_diversity_checker() -> Point:
    """Table 1's ablation under DIMP."""
    quality = torch.linspace(0.05, 1, 20, dtype=torch.float64).log()
    one, model = torch.zeros_like(quality), torch.linspace(0.9, 0.1, 20, dtype=torch.float64).log()
    alone = losses.weights("quality_only", model, quality)
    imp, dimp = losses.weights("imp", model, quality, one), losses.weights("dimp", one, quality)
    table = published.table("table1")
    methods = list(table.loc[table["train_source"] == "GPT-3.5 generated", "method"].unique())
    above = methods[methods.index("- w/o diversity checker") - 1]
    same = torch.equal(alone, imp) and torch.equal(alone, dimp)
    return Point(
        subject="Whose ablation is “w/o diversity checker”?",
        kind="open point",
        where="Table 1",
        printed=f"it stands under {above}",
        found="its weight P' is the numerator of both losses: with Q = 1 IMP has exactly this weight, with p = 1 DIMP "
        f"has (largest gap on 20 scores: {float((alone - imp).abs().max() + (alone - dimp).abs().max()):g})",
        follows="read it as the ablation of both; its limit, Q P' / Z, is a third one",
        borne_out=same,
    )


def lower_bound() -> Point:
    """Eq. 10, Eq. 24 and the name of the regulariser."""
    p, quality = np.meshgrid(np.linspace(1e-3, 1, 1000), np.linspace(0, 1, 501))
    loss = closed_forms.dimp_term(p, quality)
    first, last = (float((loss - closed_forms.bound(p, quality, factor)).min()) + 0.0 for factor in (2.0, 1.0))
    least = closed_forms.regulariser_minimum()
    return Point(
        subject="The lower bound's factor 2 and its regulariser",
        kind="slip",
        where="Eqs. 10, 24",
        printed="a factor 2 in Eq. 10, none in Eq. 24's last line; a “maximum entropy regulariser”",
        found=f"on {p.size:,} pairs (p, P') the loss minus the bound is at least {first:g} with the factor and "
        f"{last:g} without: both hold, Eq. 10 is the sharper. The regulariser is p log p of the observed label only, "
        f"smallest at p = {least:.4f} = 1/e whatever the number of classes; entropy is largest at 1/C",
        follows="take Eq. 10; do not read the second term as entropy: with two classes it pulls p below one half",
        borne_out=first >= -1e-12 and last >= -1e-12 and abs(least - 1 / math.e) < 1e-6,
    )


def pointwise_convergence() -> Point:
    """App. B's conditions."""
    heavy, cut = closed_forms.TailExample(2.0), closed_forms.TailExample(2.0, gap=0.3)
    return Point(
        subject="What App. B proves",
        kind="open point",
        where="App. B, Eqs. 13-20",
        printed="convergence of the IMP loss, by Chebyshev's inequality",
        found=f"P << Q does not make the variance finite: in a made example E_Q[w] = {heavy.mean:g} and E_Q[w^2] = "
        f"{heavy.second_moment:g}. Without P << Q the limit is another: E_Q[w] = {cut.mean:g}. The proof is for one "
        "fixed theta and the true P and Q; with Q fitted on the same texts the terms are no longer independent",
        follows="look at the weights' k-hat and mean; nothing is proved about the trained model, which minimises "
        "the loss over theta",
        borne_out=np.isinf(heavy.second_moment) and heavy.mean == 1 and cut.mean < 1,
    )


def ratio_is_one() -> Point:
    """App. C: what Eq. 22 conditions on."""
    seen, holdout = np.array([[30, 10, 5], [3, 20, 9]]), np.array([[4, 8, 2], [6, 1, 3]])
    direct, ratio = closed_forms.bayes_gains(seen, holdout)
    _, known = closed_forms.bayes_gains(1e12 * seen, holdout)  # as good as conditioning on the law itself
    log_p, log_quality = np.log([0.2, 0.9]), np.log([0.6, 0.3])
    weight = losses.weights("dimp", torch.from_numpy(log_p), torch.from_numpy(log_quality)).numpy()
    identity = float(np.abs(np.log(weight) - closed_forms.reducible_loss(log_p, log_quality)).max())
    return Point(
        subject="What Eq. 8's ratio is",
        kind="open point",
        where="Eq. 8, App. C",
        printed="the ratio of a model with D_P' to one without, both given theta_t; used as a weight",
        found=f"for a model that keeps a posterior, Eq. 22 is exact (gap {np.abs(direct - ratio).max():.1g}); with the "
        f"parameters known in full the ratio is 1 (largest |log| {np.abs(known).max():.1g}): D_P' tells nothing more. "
        f"The log of DIMP's weight is CE(theta_t) - CE(hold-out) (gap {identity:.1g}), the reducible hold-out loss",
        follows="read theta_t as the data seen so far. The criterion names one best point; that the ratio is a good "
        "weight for all points is a choice, to be judged by results",
        borne_out=bool(np.abs(direct - ratio).max() < 1e-12 and np.abs(known).max() < 1e-9 and identity < 1e-12),
    )


def labels_of_dev() -> Point:
    """Who sees the labels of D_P'?"""
    benchmarks = ("financial", "tweet_irony", "mrpc")
    shares = ", ".join(f"{split_size('dev', b)} of {split_size('generated', b):,}" for b in benchmarks)
    sources = list(published.table("table1")["train_source"].unique())
    return Point(
        subject="The labels of D_P'",
        kind="open point",
        where="Sec. 5, Tables 1, 4",
        printed=f"training sources: {', '.join(sources)}",
        found=f"IMP and DIMP learn from D_P' through P', CE on D_Q does not (real against generated texts: {shares}). "
        "None of the sources is D_Q and D_P' together, D_Q then D_P', or D_Q filtered by P'",
        follows="part of the gain may be that of the extra labels; the fair baselines have to be run",
        borne_out=not any("+" in source or "and" in source.split() for source in sources),
    )


def units_and_sizes() -> Point:
    """Sec. 3.2's unit, Eq. 2's sizes, Fig. 2's fractions and App. G.1."""
    small, tenth = split_size("dev", "financial"), round(split_size("train", "financial") / 10)
    entropy = float(published.table("section3_2").set_index("quantity")["value"].to_dict()["H(P)"])
    return Point(
        subject="Unit, sizes and set-ups",
        kind="slip",
        where="Sec. 3.2; Eq. 2; Fig. 2; App. G.1",
        printed="“nits”; Eq. 2 sums N terms over D_P, which has M; percentages of the training set; three parts",
        found=f"nats are meant (H(P) = {entropy:g} nats is {entropy / np.log(2):.4f} bits). The 10 % of "
        f"the training set that the text on Fig. 2 names are {tenth} texts, more than the {small} of D_P'. App. "
        "G.1 gives neither the parts' sizes nor how a label is swapped",
        follows="10 % in Fig. 2 is already more than the other experiments use; for App. G we take thirds and draw a "
        "swapped label uniformly from the other classes",
        borne_out=tenth > small,
    )


def direction_of_kl() -> Point:
    """Sec. 3.2's wording of the two divergences."""
    values = published.table("section3_2").set_index("quantity")["value"]
    return Point(
        subject="“From P to Q”",
        kind="open point",
        where="Sec. 3.2",
        printed=f"from P to Q: D_KL(Q||P) = {values['KL(Q||P)']:g}; from Q to P: {values['KL(P||Q)']:g}",
        found="it is named from the approximation to the truth: D_KL(Q||P) averages over Q what P's model needs more "
        "in nats. For Q = (0.9, 0.1) and P = (0.5, 0.5) the two are "
        f"{_kl([0.9, 0.1], [0.5, 0.5]):.3f} and {_kl([0.5, 0.5], [0.9, 0.1]):.3f}, so the order matters",
        follows="the larger number is the cost of reading generated texts with the model of the real ones",
        borne_out=values["KL(Q||P)"] > values["KL(P||Q)"],
    )


def _kl(p: list[float], q: list[float]) -> float:
    return float(np.sum(np.array(p) * np.log(np.array(p) / np.array(q))))
