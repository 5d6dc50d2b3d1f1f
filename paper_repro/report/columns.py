"""Tables for the report: headings in words, an interval in one column, titles for ids, nothing where nothing is."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

from paper_repro.paper.ablations import switches
from paper_repro.paper.diversity import measures
from paper_repro.paper.search.tables import RULES
from paper_repro.paper.titles import BENCHMARKS, ROWS
from paper_repro.paper.views import titled

NAMES = {
    "train_source": "training data",
    "n": "n",
    "n_fitted": "fitted on n texts",
    "n_p": "texts of P",
    "n_q": "texts of Q",
    "p_value": "p",
    "p_mcnemar": "p (McNemar)",
    "p_permutation": "p (permutation)",
    "khat": "k-hat",
    "k_exact": "exact k",
    "ess": "effective sample size",
    "auc": "AUC",
    "best_auc": "best AUC",
    "auroc": "AUROC",
    "ece": "calibration error",
    "ece_if_calibrated": "calibration error by chance",
    "sd": "standard deviation",
    "sd_exact": "exact standard deviation",
    "rmse": "root mean squared error",
    "am_gm": "arithmetic against geometric mean",
    "hoelder": "Hölder's inequality",
    "bound_eq24": "bound by Eq. 24",
    "q_says_y": "Q names the label",
    "share_p": "share in P",
    "share_q": "share in Q",
    "table1": "Table 1's setting",
    "z": "z",
}
TITLES = {**BENCHMARKS, **ROWS, **switches.TITLES, **measures.TITLES, **RULES}
ID = re.compile(r"[a-z0-9]+(_[a-z0-9]+)+")
WORDS = {
    "vs": "above",
    "ce": "CE",
    "imp": "IMP",
    "f1": "F1",
    "mrpc": "MRPC",
    "n": "number of",
    "qc": "quality checker",
    "dc": "diversity checker",
    "s": "(s)",
    "mb": "(MB)",
    "paper": "paper:",
    "best": "best seed:",
    "default": "the default",
    "checker": "the checker",
    **{f"q{percent}": f"{int(percent)} % quantile" for percent in ("01", "10", "50", "90", "99")},
}


def heading(name: str) -> str:
    """A column's name in words."""
    return NAMES.get(name) or " ".join(WORDS.get(word, word) for word in str(name).split("_"))


def shown(frame: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """The headings and the cells of a table. An estimate and the ends of its 95 % interval share a column."""
    frame, names = titled(frame), [str(name) for name in frame]
    ends = {name for name in names if name.removesuffix("_low").removesuffix("_high") != name} | {"low", "high"}
    columns: dict[str, list[str]] = {}
    for name in (name for name in names if name not in ends):
        pair = _ends(name, names)
        texts = [_text(value) for value in frame[name]]
        if pair is None:
            columns[heading(name)] = texts
            continue
        low, high = ([_text(value) for value in frame[end]] for end in pair)
        both = zip(texts, low, high, strict=True)
        columns[f"{heading(name.removesuffix('_mean'))} [95 %]"] = [f"{m} [{a}, {b}]" if a else m for m, a, b in both]
    return list(columns), [list(row) for row in zip(*columns.values(), strict=True)]


def _ends(name: str, names: list[str]) -> tuple[str, str] | None:
    """The columns with the ends of the interval of a column."""
    stem = name.removesuffix("_mean").removeprefix("mean_")
    before = names[names.index("low") - 1] if "low" in names else ""
    plain = [("low", "high")] if name in ("mean", before) else []
    pairs = [(f"{stem}_low", f"{stem}_high"), *plain]
    return next((pair for pair in pairs if set(pair) <= set(names)), None)


def _text(value: Any) -> str:
    """Four digits; an id (words joined by "_") by its title, else by its words; empty where there is nothing."""
    if pd.isna(value):
        return ""
    if isinstance(value, float):
        return f"{value:.4g}".replace("-", "−")
    text = str(value)
    return TITLES.get(text, text.replace("_", " ")) if ID.fullmatch(text) else text
