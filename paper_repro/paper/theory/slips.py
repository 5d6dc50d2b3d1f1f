"""What does not add up in the paper's first version: thirteen points, each with a computation that shows it.

``assets/published/slips.csv`` states the points; the functions here fill in its numbers and check them. A "slip"
contradicts the paper's own or public numbers; an "open point" is a condition or a choice that is not named. None of
them says that a result is wrong.
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
Found = tuple[dict[str, Any], bool]
"""The numbers that a computation finds, and whether they bear the point out."""


def table() -> pd.DataFrame:
    """All points, one a row: point, id, subject, kind, where, printed, found, follows, result."""
    points = pd.read_csv(published.FOLDER / "slips.csv")
    numbers, borne_out = zip(*(CHECKS[name]() for name in points["id"]), strict=True)
    points["found"] = [text.format(**found) for text, found in zip(points["found"], numbers, strict=True)]
    points.insert(0, "point", range(1, len(points) + 1))
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
    return {how: np.flatnonzero(fits).tolist() for how, fits in printed_as(shares, percentage).items()}


def printed_as(values: Floats, printed: float) -> dict[str, NDArray[np.bool_]]:
    """Which percentages can be printed so, "rounded" or "truncated" to two decimals."""
    above = values - printed
    return {"rounded": np.abs(above) <= 0.005 + SLACK, "truncated": (above >= -SLACK) & (above < 0.01 - SLACK)}


def prints_as(values: Floats, printed: float) -> NDArray[np.bool_]:
    """Which percentages can be printed so in either way."""
    return np.logical_or(*printed_as(values, printed).values())


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
    ways: dict[str, list[float]] = {"rounded": [], "truncated": [], "neither": []}
    for name in ("table1", "table2", "table4"):
        for row in records(published.table(name)):
            behind = counts_behind(row["accuracy"], size_of("test", row["benchmark"]))
            ways[next((way for way in ("rounded", "truncated") if behind[way]), "neither")].append(row["accuracy"])
    text, right = counts_behind(FEW_SHOT_IN_TEXT, size), counts_behind(in_table, size)["rounded"]
    numbers: dict[str, Any] = {"table": in_table, "right": right[0], "size": size, "text": FEW_SHOT_IN_TEXT}
    numbers |= {way: len(found) for way, found in ways.items()}
    numbers |= {"all": sum(map(len, ways.values())), "odd": ", ".join(f"{number:g}" for number in ways["neither"])}
    return numbers, not any(text.values()) and len(right) == 1


def sentences() -> Found:
    total = sum(size_of(split, "financial") for split in ("train", "dev", "test"))
    return {"total": total}, total != SENTENCES_IN_TEXT


def macro_f1_above_accuracy() -> Found:
    rows = [row for name in ("table1", "table4") for row in records(published.table(name))]
    above = {row["method"] for row in rows if row["benchmark"] in TEST_LABELS and row["macro_f1"] > row["accuracy"]}
    numbers: dict[str, Any] = {"excess": largest_excess(30)}
    for benchmark in TEST_LABELS:
        where = {"method": "few_shot", "benchmark": benchmark}
        accuracy, printed = (value("table1", column, **where) for column in ("accuracy", "macro_f1"))
        right, f1 = confusions(benchmark, accuracy)
        fits = np.argwhere(prints_as(f1, printed))
        numbers |= {f"{benchmark}_tables": len(fits), f"{benchmark}_f1": printed, f"{benchmark}_accuracy": accuracy}
        for label, place in fits[:1]:
            numbers |= {"label": label, "right": right[:, place].tolist(), "macro": f1[:, place].mean()}
    return numbers, above == {"few_shot"} and numbers["excess"] <= 0


def majority_classifier() -> Found:
    where = {"train_source": "train", "method": "hu", "benchmark": "tweet_irony"}
    accuracy, printed = (value("table1", column, **where) for column in ("accuracy", "macro_f1"))
    counts, (right, f1) = TEST_LABELS["tweet_irony"], confusions("tweet_irony", accuracy)
    fitting = right[:, prints_as(f1.mean(axis=0), printed)].T.tolist()
    return {"larger": counts[0], "size": sum(counts), "tables": len(fitting)}, fitting == [[counts[0], 0]]


def without_diversity_checker() -> Found:
    quality = torch.linspace(0.05, 1, 20, dtype=torch.float64).log()
    one, model = torch.zeros_like(quality), torch.linspace(0.9, 0.1, 20, dtype=torch.float64).log()
    alone = losses.weights("quality_only", model, quality)
    imp, dimp = losses.weights("imp", model, quality, one), losses.weights("dimp", one, quality)
    return {}, torch.equal(alone, imp) and torch.equal(alone, dimp)


def lower_bound() -> Found:
    p, quality = np.meshgrid(np.linspace(1e-3, 1, 1000), np.linspace(0, 1, 501))
    loss, least = closed_forms.dimp_term(p, quality), closed_forms.regulariser_minimum()
    eq10, eq24 = (float((loss - closed_forms.bound(p, quality, factor)).min()) + 0.0 for factor in (2.0, 1.0))
    numbers = {"pairs": p.size, "eq10": eq10, "eq24": eq24, "least": least}
    return numbers, min(eq10, eq24) >= -1e-12 and abs(least - 1 / e) < 1e-6


def pointwise_convergence() -> Found:
    heavy, cut = TailExample(2.0), TailExample(2.0, gap=0.3)
    numbers = {"mean": heavy.mean, "second": heavy.second_moment, "cut": cut.mean}
    return numbers, bool(np.isinf(heavy.second_moment)) and heavy.mean == 1 and cut.mean < 1


def ratio_is_one() -> Found:
    seen, holdout = np.array([[30, 10, 5], [3, 20, 9]]), np.array([[4, 8, 2], [6, 1, 3]])
    direct, ratio = closed_forms.bayes_gains(seen, holdout)
    _, known = closed_forms.bayes_gains(1e12 * seen, holdout)  # as good as conditioning on the distribution itself
    log_p, log_quality = torch.tensor([0.2, 0.9]).double().log(), torch.tensor([0.6, 0.3]).double().log()
    reducible = losses.weights("dimp", log_p, log_quality).log() + log_p - log_quality
    numbers = {"bayes": np.abs(direct - ratio).max(), "known": np.abs(known).max(), "rho": float(reducible.abs().max())}
    return numbers, bool(numbers["bayes"] < 1e-12 and numbers["known"] < 1e-9 and numbers["rho"] < 1e-12)


def not_in_all_benchmarks() -> Found:
    frame = published.table("table1")
    ours = frame[(frame["train_source"] == "generated") & frame["method"].isin(["imp", "dimp"])]
    best = ours.groupby("benchmark")["macro_f1"].max()
    few = frame[frame["method"] == "few_shot"].set_index("benchmark")["macro_f1"]
    lost = {name: f"{benchmark_title(name)} {few[name]:g} against {best[name]:g}" for name in BENCHMARKS}
    lost = {name: text for name, text in lost.items() if few[name] > best[name]}
    large = {"model_size": "large", "benchmark": "tweet_irony"}
    imp, ce = (value("table2", method=method, **large) for method in ("imp_base_dc", "ce"))
    return {"pairs": "; ".join(lost.values()), "imp": imp, "ce": ce}, [*lost] == ["financial", "mrpc"] and imp < ce


def standard_errors() -> Found:
    frame = published.table("table1")
    frame = frame[(frame["train_source"] == "generated") & (frame["method"] != "hu")]
    means, errors, zs = frame.groupby("benchmark")["accuracy"].mean(), [], []
    for name in BENCHMARKS:
        size, where = size_of("test", name), {"train_source": "generated", "benchmark": name}
        errors.append(f"{benchmark_title(name)} {standard_error(means[name], size):.2f}")
        imp, without = (value("table1", method=method, **where) for method in ("imp", "quality_only"))
        zs.append(z_value(imp, without, size))
    irony = {"train_source": "generated", "benchmark": "tweet_irony"}
    dimp, ce = (value("table1", method=method, **irony) for method in ("dimp", "ce"))
    numbers: dict[str, Any] = {"errors": ", ".join(errors), "four": expected_maximum(4), "many": expected_maximum(32)}
    numbers |= {"zs": ", ".join(f"{z:.2f}" for z in zs), "z": z_value(dimp, ce, size_of("test", "tweet_irony"))}
    return numbers, sum(abs(z) < 1.96 for z in zs) == 2 and numbers["z"] < 1.96


def labels_of_dev() -> Found:
    shares = ", ".join(f"{size_of('dev', name)} of {size_of('generated', name):,}" for name in BENCHMARKS)
    return {"shares": shares}, set(published.table("table1")["train_source"]) == {"dev", "generated", "train"}


def units_and_sizes() -> Found:
    small, tenth = size_of("dev", "financial"), round(size_of("train", "financial") / 10)
    nats = value("section3_2", "value", quantity="H(P)")
    return {"nats": nats, "bits": nats / np.log(2), "tenth": tenth, "small": small}, tenth > small


def direction_of_kl() -> Found:
    q_p, p_q = (value("section3_2", "value", quantity=quantity) for quantity in ("KL(Q||P)", "KL(P||Q)"))
    return {"one": entropy([0.9, 0.1], [0.5, 0.5]), "other": entropy([0.5, 0.5], [0.9, 0.1])}, q_p > p_q


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
