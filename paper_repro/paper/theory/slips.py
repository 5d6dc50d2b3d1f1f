"""What does not add up in the paper's first version: thirteen points, each with a computation that shows it.

``assets/published/slips.csv`` states the points, the functions here check them. A "slip" contradicts the paper's own
or public numbers; an "open point" is a condition or a choice that is not named. None of them says that a result is
wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from math import e, sqrt
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import entropy

from paper_repro.measures.intervals import expected_maximum
from paper_repro.method import losses
from paper_repro.paper import published
from paper_repro.paper.csv_files import records
from paper_repro.paper.theory import closed_forms
from paper_repro.paper.theory.convergence import TailExample
from paper_repro.paper.titles import BENCHMARKS, benchmark_title

TEST_LABELS = {"tweet_irony": (473, 311), "mrpc": (578, 1147)}
"""Texts of each class, 0 first, in the public test sets (TweetEval irony, MSR Paraphrase Corpus)."""
FEW_SHOT_IN_TEXT, SENTENCES_IN_TEXT = 68.82, 4840
"""MRPC's few-shot accuracy in Sec. 5.1, and the sentences of Financial PhraseBank in App. H."""
SLACK = 1e-9
Floats = NDArray[np.float64]
Found = tuple[str, bool]
"""What a computation finds, in words, and whether it bears the point out."""


def table() -> pd.DataFrame:
    """All points, one a row: point, id, subject, kind, where, printed, found, follows, result."""
    points = pd.read_csv(published.FOLDER / "slips.csv")
    found, borne_out = zip(*(CHECKS[name]() for name in points["id"]), strict=True)
    points.insert(0, "point", range(1, len(points) + 1))
    points.insert(6, "found", found)
    return points.assign(result=["borne out" if shown else "not borne out" for shown in borne_out])


def as_text(points: pd.DataFrame) -> str:
    """The points of :func:`table` as Markdown."""
    lines = []
    for row in records(points):
        lines.append(f"**{row['point']}. {row['subject']}** ({row['kind']}; {row['where']}; {row['result']})")
        lines.append("\n".join(f"- *{name}:* {row[name]}" for name in ("printed", "found", "follows")))
    return "\n\n".join(lines).replace("<<", "≪")


# ---------------------------------------------------------------- printed numbers


def size_of(split: str, benchmark: str) -> int:
    """Texts in "train", "dev", "test" or "generated" of the paper's benchmark (Table 5)."""
    return int(value("table5", benchmark, split=split))


def value(table: str, column: str = "accuracy", **where: str) -> float:
    """The one number of a published table in the row that ``where`` describes. ValueError unless it is one row."""
    frame = published.table(table)
    for name, wanted in where.items():
        frame = frame[frame[name] == wanted]
    if len(frame) != 1:
        raise ValueError(f"{table}: {len(frame)} rows with {where}; expected one")
    return float(frame[column].iloc[0])


def counts_behind(percentage: float, size: int) -> dict[str, list[int]]:
    """How many of ``size`` answers may be right for a printed percentage, "rounded" or "truncated" to two decimals."""
    shares = 100 * np.arange(size + 1) / size
    rounded = np.abs(shares - percentage) <= 0.005 + SLACK
    truncated = (shares - percentage >= -SLACK) & (shares - percentage < 0.01 - SLACK)
    return {"rounded": np.flatnonzero(rounded).tolist(), "truncated": np.flatnonzero(truncated).tolist()}


def prints_as(values: NDArray[np.float64], printed: float) -> NDArray[np.bool_]:
    """Which percentages can be printed so, rounded or truncated to two decimals."""
    return np.asarray(
        (np.abs(values - printed) <= 0.005 + SLACK) | ((values >= printed - SLACK) & (values < printed + 0.01 - SLACK))
    )


def two_class_scores(right: NDArray[np.int64], wrong: Any) -> tuple[Floats, Floats]:
    """F1 of each class (2, tables) and accuracy (tables,) in per cent, from the right answers by class (2, tables) and
    the wrong ones (tables,). The F1 of a class that is never named rightly is 0."""
    f1, accuracy = 200 * right / np.maximum(2 * right + wrong, 1), 100 * right.sum(axis=0) / (right.sum(axis=0) + wrong)
    return f1, accuracy


def confusions(benchmark: str, accuracy: float) -> tuple[NDArray[np.int64], Floats]:
    """All tables with the test set's class counts and the printed accuracy, rounded or truncated: right answers by
    class and F1 by class, (2, tables) each."""
    first, second = TEST_LABELS[benchmark]
    totals = sorted(set().union(*counts_behind(accuracy, first + second).values()))
    pairs = [(a, t - a) for t in totals for a in range(max(0, t - second), min(first, t) + 1)]
    right = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return right, two_class_scores(right, first + second - right.sum(axis=0))[0]


def largest_excess(size: int) -> float:
    """The largest macro-F1 minus accuracy, in points, over all tables of two classes with up to ``size`` texts.

    Never above 0. With E errors, f(t) = t / (t + E) is concave; the two F1 are f(2 TP) and f(2 TN), the accuracy
    is f(TP + TN), so the mean of the first two cannot exceed the last (Jensen).
    """
    cells = np.indices((size + 1,) * 3).reshape(3, -1)
    cells = cells[:, (cells.sum(axis=0) <= size) & (cells.sum(axis=0) > 0)]
    f1, accuracy = two_class_scores(cells[:2], cells[2])
    return float((f1.mean(axis=0) - accuracy).max())


def standard_error(accuracy: float, size: int) -> float:
    """Points of one standard error of an accuracy in per cent on ``size`` texts."""
    return 100 * sqrt(accuracy / 100 * (1 - accuracy / 100) / size)


def z_value(a: float, b: float, size: int) -> float:
    """(a - b) over its standard error for two accuracies in per cent, taken as independent."""
    return (a - b) / sqrt(standard_error(a, size) ** 2 + standard_error(b, size) ** 2)


# ---------------------------------------------------------------- the checks


def few_shot_mrpc() -> Found:
    size, in_table = size_of("test", "mrpc"), value("table1", method="few_shot", benchmark="mrpc")
    counts: dict[str, list[float]] = {"rounded": [], "truncated": [], "neither": []}
    for name in ("table1", "table2", "table4"):
        for row in records(published.table(name)):
            behind = counts_behind(row["accuracy"], size_of("test", row["benchmark"]))
            counts[next((way for way in ("rounded", "truncated") if behind[way]), "neither")].append(row["accuracy"])
    text, of_table = counts_behind(FEW_SHOT_IN_TEXT, size), counts_behind(in_table, size)["rounded"]
    found = f"{in_table:g} is {of_table[0]} of {size:,}; no k/{size} gives {FEW_SHOT_IN_TEXT}, rounded or truncated. "
    found += (
        f"Of {sum(map(len, counts.values()))} accuracies in Tables 1, 2 and 4, {len(counts['rounded'])} are rounded, "
    )
    found += f"{len(counts['truncated'])} can only be truncated, {len(counts['neither'])} neither: "
    found += ", ".join(f"{accuracy:g}" for accuracy in counts["neither"])
    return found, not any(text.values()) and len(of_table) == 1


def sentences() -> Found:
    total = sum(size_of(split, "financial") for split in ("train", "dev", "test"))
    return f"the splits of Table 5 sum to {total:,}, the size of the public file", total != SENTENCES_IN_TEXT


def macro_f1_above_accuracy() -> Found:
    rows = [row for name in ("table1", "table4") for row in records(published.table(name))]
    above = {row["method"] for row in rows if row["benchmark"] in TEST_LABELS and row["macro_f1"] > row["accuracy"]}
    excess, texts = largest_excess(30), []
    for benchmark in TEST_LABELS:
        where = {"method": "few_shot", "benchmark": benchmark}
        accuracy, printed = (value("table1", column, **where) for column in ("accuracy", "macro_f1"))
        right, f1 = confusions(benchmark, accuracy)
        fits = np.argwhere(prints_as(f1, printed))
        texts.append(f"{benchmark_title(benchmark)}: no class's F1 gives {printed:g} at {accuracy:g} %")
        if len(fits):
            label, place = fits[0]
            zeros, ones = right[:, place]
            texts[-1] = f"{benchmark_title(benchmark)}: {printed:g} is the F1 of class {label} alone in {len(fits)} "
            texts[-1] += f"table(s), with {zeros} and {ones} right by class; its macro-F1 is {f1[:, place].mean():.2f}"
    found = f"over all two-class tables with up to 30 texts macro-F1 - accuracy is at most {excess:g} points, and by "
    found += f"concavity it never exceeds 0. {'; '.join(texts)}"
    return found, above == {"few_shot"} and excess <= 0


def majority_classifier() -> Found:
    where = {"train_source": "train", "method": "hu", "benchmark": "tweet_irony"}
    accuracy, f1 = (value("table1", column, **where) for column in ("accuracy", "macro_f1"))
    counts, (right, f1s) = TEST_LABELS["tweet_irony"], confusions("tweet_irony", accuracy)
    fitting = right[:, prints_as(f1s.mean(axis=0), f1)].T.tolist()
    found = f"always naming the larger class is right on {counts[0]} of {sum(counts)}. Of all tables with the class "
    found += f"counts, {len(fitting)} gives the printed pair: {fitting[0][0]} and {fitting[0][1]} right by class"
    return found, fitting == [[counts[0], 0]]


def without_diversity_checker() -> Found:
    quality = torch.linspace(0.05, 1, 20, dtype=torch.float64).log()
    one, model = torch.zeros_like(quality), torch.linspace(0.9, 0.1, 20, dtype=torch.float64).log()
    alone = losses.weights("quality_only", model, quality)
    imp, dimp = losses.weights("imp", model, quality, one), losses.weights("dimp", one, quality)
    found = "its weight P' is the numerator of both losses: with Q = 1 IMP has exactly this weight, with p = 1 DIMP has"
    return found, torch.equal(alone, imp) and torch.equal(alone, dimp)


def lower_bound() -> Found:
    p, quality = np.meshgrid(np.linspace(1e-3, 1, 1000), np.linspace(0, 1, 501))
    loss = closed_forms.dimp_term(p, quality)
    first, last = (float((loss - closed_forms.bound(p, quality, factor)).min()) + 0.0 for factor in (2.0, 1.0))
    least = closed_forms.regulariser_minimum()
    found = f"on {p.size:,} pairs (p, P') the loss minus the bound is at least {first:g} with the factor and {last:g} "
    found += "without: both hold, Eq. 10 is the sharper. The regulariser is p log p of the observed label only, "
    found += f"smallest at p = {least:.4f} = 1/e whatever the number of classes; entropy is largest at 1/C"
    return found, min(first, last) >= -1e-12 and abs(least - 1 / e) < 1e-6


def pointwise_convergence() -> Found:
    heavy, cut = TailExample(2.0), TailExample(2.0, gap=0.3)
    found = f"P << Q does not make the variance finite: in one example E_Q[w] = {heavy.mean:g} and E_Q[w^2] = "
    found += f"{heavy.second_moment:g}. Without P << Q the limit is another: E_Q[w] = {cut.mean:g}. The proof is for "
    found += "one fixed theta and the true P and Q; with Q fitted on the same texts the terms are not independent"
    return found, bool(np.isinf(heavy.second_moment)) and heavy.mean == 1 and cut.mean < 1


def ratio_is_one() -> Found:
    seen, holdout = np.array([[30, 10, 5], [3, 20, 9]]), np.array([[4, 8, 2], [6, 1, 3]])
    direct, ratio = closed_forms.bayes_gains(seen, holdout)
    _, known = closed_forms.bayes_gains(1e12 * seen, holdout)  # as good as conditioning on the distribution itself
    log_p, log_quality = torch.tensor([0.2, 0.9]).double().log(), torch.tensor([0.6, 0.3]).double().log()
    weight = losses.weights("dimp", log_p, log_quality)
    gaps = [np.abs(direct - ratio).max(), np.abs(known).max(), float((weight.log() + log_p - log_quality).abs().max())]
    found = f"for a model that keeps a posterior, Eq. 22 is exact (gap {gaps[0]:.1g}); with the parameters known in "
    found += f"full the ratio is 1 (largest |log| {gaps[1]:.1g}): D_P' adds nothing. The log of DIMP's weight is "
    found += f"CE(theta_t) - CE(hold-out) (gap {gaps[2]:.1g}), the reducible hold-out loss"
    return found, bool(gaps[0] < 1e-12 and gaps[1] < 1e-9 and gaps[2] < 1e-12)


def not_in_all_benchmarks() -> Found:
    frame = published.table("table1")
    ours = frame[(frame["train_source"] == "generated") & frame["method"].isin(["imp", "dimp"])]
    best = ours.groupby("benchmark")["macro_f1"].max()
    few = frame[frame["method"] == "few_shot"].set_index("benchmark")["macro_f1"]
    lost = [name for name in BENCHMARKS if few[name] > best[name]]
    large = {"model_size": "large", "benchmark": "tweet_irony"}
    imp, ce = (value("table2", method=method, **large) for method in ("imp_base_dc", "ce"))
    found = "the few-shot row's F1, as printed, is above the best of IMP and DIMP: "
    found += "; ".join(f"{benchmark_title(name)} {few[name]:g} against {best[name]:g}" for name in lost)
    found += f". Table 2's IMP with the base diversity checker has {imp:g} on Tweet Irony, CE {ce:g}"
    return found, lost == ["financial", "mrpc"] and imp < ce


def standard_errors() -> Found:
    frame = published.table("table1")
    frame = frame[(frame["train_source"] == "generated") & (frame["method"] != "hu")]
    means, errors, zs = frame.groupby("benchmark")["accuracy"].mean(), [], []
    for name in BENCHMARKS:
        where = {"train_source": "generated", "benchmark": name}
        errors.append(f"{benchmark_title(name)} {standard_error(means[name], size_of('test', name)):.2f}")
        imp, without = (value("table1", method=method, **where) for method in ("imp", "quality_only"))
        zs.append(z_value(imp, without, size_of("test", name)))
    irony = {"train_source": "generated", "benchmark": "tweet_irony"}
    dimp, ce = (value("table1", method=method, **irony) for method in ("dimp", "ce"))
    against_ce = z_value(dimp, ce, size_of("test", "tweet_irony"))
    found = f"one standard error at the mean printed accuracy on generated data: {', '.join(errors)} points. The best "
    found += f"of 4 runs that differ by chance lies {expected_maximum(4):.2f} sd above their mean, of 32 (8 settings x "
    found += f"4 seeds) {expected_maximum(32):.2f}. IMP against w/o diversity checker: z = "
    found += f"{', '.join(f'{z:.2f}' for z in zs)}; DIMP against CE on Tweet Irony: z = {against_ce:.2f} (as if the "
    found += "two were independent; on a shared test set a paired test can be sharper, but needs the predictions)"
    return found, sum(abs(z) < 1.96 for z in zs) == 2 and against_ce < 1.96


def labels_of_dev() -> Found:
    shares = ", ".join(f"{size_of('dev', name)} of {size_of('generated', name):,}" for name in BENCHMARKS)
    sources = list(published.table("table1")["train_source"].unique())
    found = f"IMP and DIMP learn from D_P' through P', CE on D_Q does not (real against generated texts: {shares}). "
    found += "None of the sources is D_Q and D_P' together, D_Q then D_P', or D_Q filtered by P'"
    return found, set(sources) == {"dev", "generated", "train"}


def units_and_sizes() -> Found:
    small, tenth = size_of("dev", "financial"), round(size_of("train", "financial") / 10)
    nats = value("section3_2", "value", quantity="H(P)")
    found = f"nats are meant (H(P) = {nats:g} nats is {nats / np.log(2):.4f} bits). The 10 % of the training set that "
    found += f"the text on Fig. 2 names are {tenth} texts, more than the {small} of D_P'. App. G.1 gives neither the "
    found += "sizes of the parts nor how a label is swapped"
    return found, tenth > small


def direction_of_kl() -> Found:
    q, p = [0.9, 0.1], [0.5, 0.5]
    found = "it is named from the approximation to the truth: D_KL(Q||P) averages over Q what P's model needs more in "
    found += f"nats. For Q = (0.9, 0.1) and P = (0.5, 0.5) the two are {entropy(q, p):.3f} and {entropy(p, q):.3f}, so "
    return found + "the order matters", _printed_kl("KL(Q||P)") > _printed_kl("KL(P||Q)")


def _printed_kl(quantity: str) -> float:
    return value("section3_2", "value", quantity=quantity)


CHECKS: dict[str, Callable[[], Found]] = {
    check.__name__: check
    for check in (
        few_shot_mrpc,
        sentences,
        macro_f1_above_accuracy,
        majority_classifier,
        without_diversity_checker,
        lower_bound,
        pointwise_convergence,
        ratio_is_one,
        not_in_all_benchmarks,
        standard_errors,
        labels_of_dev,
        units_and_sizes,
        direction_of_kl,
    )
}
"""By the id of the point, in the order of ``assets/published/slips.csv``, where the points are stated."""
