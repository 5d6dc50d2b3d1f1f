"""Other ways to weight, choose or relabel the training examples: one record here, one readable module each.

A module has ``Step`` (a training step), ``prepare`` (a change of the training data before the first step) or
``combined`` (nothing is trained). It gets the options of its record by name.
"""

from __future__ import annotations

from paper_repro.method.record import Method

NO_LABELS, SAME_LABELS, CHECKERS = "no labels", "same labels", "checkers"
"""Groups of methods: without the labels of D_P', with them, and those that only serve as checkers."""

_HERE = "paper_repro.method.baselines"
BASELINES = {
    method.id: method
    for method in (
        Method(
            "sungen",
            "SunGen (ours)",
            "SunGen",
            formula="s, learnt",
            about="weights are learnt so that a fresh model trained with them has a low noise-robust loss on "
            "held-out generated texts; 10 rounds, where the authors take 100 with an LSTM",
            group=NO_LABELS,
            reweights=True,
            module=f"{_HERE}.sungen",
            options={"iterations": 10, "outer": "held_out", "outer_share": 0.2, "rate": 0.25, "clip": 3.0},
        ),
        Method(
            "confident",
            "Confident learning",
            "confident",
            formula="1 or 0",
            about="CE without the texts that cross-fitted CE models believe to be mislabelled (cleanlab)",
            group=NO_LABELS,
            diversity=True,
            cross_fitted=True,
            reweights=True,
            module=f"{_HERE}.confident",
        ),
        Method(
            "hu",
            "Hu et al.'s",
            "Hu",
            formula="phi, normalised, learnt",
            about="each text's weight is moved by what an Adam step on that text alone would do to the loss on all "
            "of D_P'",
            group=SAME_LABELS,
            reweights=True,
            module=f"{_HERE}.hu",
            options={
                "w_init": 1.0,
                "w_decay": 5.0,
                "norm": "softmax",
                "group": 8,
                "dev_batch": 0,
                "chunk": 8,
                "l2": 0.01,
            },
        ),
        Method(
            "ren",
            "Ren et al.'s",
            "Ren",
            formula="max(<g_i, G>, 0), normalised",
            about="a text counts as far as its gradient points where that of a batch of D_P' does",
            group=SAME_LABELS,
            reweights=True,
            module=f"{_HERE}.ren",
        ),
        Method(
            "meta_weight_net",
            "Meta-Weight-Net",
            "MW-Net",
            formula="V(loss), learnt",
            about="a small network turns a loss into a weight; it learns on batches of D_P'",
            group=SAME_LABELS,
            reweights=True,
            module=f"{_HERE}.meta_weight_net",
            options={"look_ahead_rate": 0.1},
        ),
        Method(
            "rho",
            "RHO-Loss selection",
            "RHO",
            formula="1 or 0",
            about="of each large batch, train on the tenth with the highest ln(P'/p), the logarithm of DIMP's weight; "
            "as many updates as CE",
            group=SAME_LABELS,
            quality=True,
            reweights=True,
            module=f"{_HERE}.rho",
            options={"share": 0.1, "select_in": "eval"},
        ),
        Method(
            "filter",
            "Filter P' > tau",
            "filter",
            formula="1 or 0",
            about="CE on the texts whose label the checker believes; tau is chosen on D_P'",
            group=SAME_LABELS,
            quality=True,
            reweights=True,
            module=f"{_HERE}.filtering",
            options={"tau": 0.5},
        ),
        Method(
            "distil",
            "Self-distillation from P'",
            "distil",
            formula="-",
            about="the checker's probabilities as soft labels; the generated labels are not used",
            group=SAME_LABELS,
            quality=True,
            module=f"{_HERE}.distillation",
        ),
        Method(
            "ensemble",
            "Ensemble sqrt(Q P')",
            "ensemble",
            formula="-",
            about="no third model: the geometric mean of both checkers' answers",
            group=SAME_LABELS,
            quality=True,
            diversity=True,
            module=f"{_HERE}.ensemble",
            options={"gamma": 1.0},
        ),
        Method(
            "tfidf",
            "Logistic regression on TF-IDF",
            formula="1",
            about="a classifier of word counts, as a quality checker",
            group=CHECKERS,
            module="paper_repro.method.classical",
        ),
        Method(
            "frozen",
            "Logistic regression on frozen states",
            formula="1",
            about="a classifier of the encoder's mean hidden states, which stay as they were pre-trained",
            group=CHECKERS,
            module="paper_repro.method.classical",
        ),
    )
}
