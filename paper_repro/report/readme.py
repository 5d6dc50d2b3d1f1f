"""The result tables of the README and of ``docs/``, written from the shipped reference so that no number is typed.

Each stands between ``<!-- KIND PROFILE -->`` and ``<!-- end -->``; :data:`KINDS` has the kinds. Several profiles whose
benchmarks differ, such as ``mini-trec mini-agnews``, make one table.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from paper_repro.paper.beside_paper import printed, printed_difference
from paper_repro.paper.claims import counted
from paper_repro.paper.csv_files import load, records
from paper_repro.paper.titles import benchmark_title, in_order, method_title
from paper_repro.paper.views import interval_text
from paper_repro.paper.why.figures import data_title
from paper_repro.texts import description
from paper_repro.tools.errors import UserError
from paper_repro.tools.files import write_whole
from paper_repro.tools.paths import BUNDLED, REFERENCE, project_root

ACCURACIES = (("dev", "few_shot"), ("dev", "checker"), ("generated", "ce"), ("generated", "imp"), ("generated", "dimp"))
SAME_INFORMATION = ("imp", "dimp", "checker", "ce_dq_dp", "ce_then_dp", "filter", "distil", "ensemble")
MEANS = {"mean_accuracy": "mean", "accuracy_low": "low", "accuracy_high": "high"}
MAIN_CLAIMS = ("generated_imp_ce", "generated_dimp_ce")


def gains(profile: str) -> str:
    """Points of test accuracy above CE-Loss on generated data: one row per method, one column per benchmark.

    On the real benchmarks the paper's own gain stands beside ours.
    """
    frame, known = _load(profile, "differences.csv"), {} if profile == "demo" else printed("table1")
    methods = ("imp", "dimp", "quality_only", "oracle")
    rows = frame[(frame["train_source"] == "generated") & frame["method"].isin(methods)].dropna(subset="mean")
    paper = [
        printed_difference(known, ("generated", method, name), ("generated", "ce", name))[0]
        for method, name in zip(rows["method"], rows["benchmark"], strict=True)
    ]
    return _markdown(rows.assign(paper=paper))


def rivals(profile: str) -> str:
    """Test accuracy in per cent of IMP and DIMP and of other uses of the same labels (notebook 08)."""
    frame = _load(profile, "table1_extended.csv")
    chosen = frame[(frame["train_source"] != "train") & frame["method"].isin(SAME_INFORMATION)]
    return _markdown(chosen.rename(columns=MEANS), signed=False)


def noisy(profile: str) -> str:
    """The same on the noisy training set (Table 4)."""
    frame = _load(profile, "noisy_claims.csv")
    return _markdown(frame[frame["id"].isin(("noisy_imp_ce", "noisy_dimp_ce"))])


def accuracies(profile: str) -> str:
    """Test accuracy in per cent: the generator's few-shot labels, the quality checker, CE, IMP and DIMP; only of the
    benchmarks that CE was trained on."""
    frame = _load(profile, "table1.csv").rename(columns=MEANS).dropna(subset="mean")
    trained = frame.loc[(frame["train_source"] == "generated") & (frame["method"] == "ce"), "benchmark"]
    frame = frame[frame["benchmark"].isin(trained)]
    rows = [row in ACCURACIES for row in zip(frame["train_source"], frame["method"], strict=True)]
    return _markdown(frame[rows], signed=False)


def corrections(profile: str) -> str:
    """What test texts that the quality checker gets right, and the others, add to the gain over CE (notebook 11)."""
    answers = {"right": "texts that the checker gets right", "wrong": "texts that it gets wrong"}
    frame = _load(profile, "why_corrections.csv")
    return _markdown(frame.assign(part=frame["checker"].map(answers)))


def inputs(profile: str) -> str:
    """The gain over CE on real inputs with the generator's labels, and on as many generated texts (notebook 11)."""
    frame = _load(profile, "why_inputs.csv")
    frame = frame[frame["method"] != "ce"].rename(columns={f"gain_{end}": end for end in ("mean", "low", "high")})
    return _markdown(frame.assign(part=frame["train_source"].map(data_title).str.lower()))


def span(profile: str) -> str:
    """The smallest and the largest gain of IMP and DIMP over CE on generated data, in points."""
    means = _main_claims(profile)["mean"]
    return f"{means.min():z.1f} to {means.max():z.1f}".replace("-", "−")


def verdicts(profile: str) -> str:
    """The verdicts on these gains, counted."""
    return counted(Counter(_main_claims(profile)["verdict"]))


KINDS: Mapping[str, Callable[[str], str]] = {
    made.__name__: made for made in (gains, noisy, accuracies, rivals, corrections, inputs, span, verdicts)
}
BLOCK = re.compile(rf"(<!-- ({'|'.join(KINDS)}) ([\w -]+) -->\n?).*?(<!-- end -->)", re.DOTALL)


def written(text: str) -> str:
    """``text`` with all such blocks as the reference has them."""
    return BLOCK.sub(lambda found: f"{found[1]}{KINDS[found[2]](found[3])}{found[4]}", text)


def write() -> None:
    """Write the blocks of the README and of ``docs/`` anew."""
    for page in (project_root() / "README.md", *sorted((project_root() / "docs").glob("*.md"))):
        if (text := page.read_text("utf-8")) != (new := written(text)):
            write_whole(page, new.encode())


def _load(profiles: str, name: str) -> pd.DataFrame:
    for profile in profiles.split():
        if not (REFERENCE / profile / name).exists():
            raise UserError(f"{profile}: its reference has no {name}; run the notebooks, then make reference")
    return pd.concat([load(REFERENCE / profile / name) for profile in profiles.split()], ignore_index=True)


def _title(benchmark: str) -> str:
    """The title of one of the paper's benchmarks, or of an example that is shipped."""
    example = BUNDLED / "examples" / f"{benchmark}.toml"
    return description.read(example).title if example.exists() else benchmark_title(benchmark)


def _main_claims(profile: str) -> pd.DataFrame:
    claims = _load(profile, "table1_claims.csv")
    return claims[claims["id"].isin(MAIN_CLAIMS)]


def _markdown(rows: pd.DataFrame, *, signed: bool = True) -> str:
    """mean [low, high] of each method, and ``part`` and the ``paper``'s number where there is one. n stands in the
    heading; rows with fewer seeds than the others say so."""
    if rows.empty:
        raise UserError("the reference has no such rows")
    names, most = in_order(rows["benchmark"]), int(rows["n_seeds"].max())
    sizes = [f"{rows.loc[rows['benchmark'] == name, 'n_test'].max():,.0f}" for name in names]
    titles = [f"{_title(name)} ({most} seeds × {n} texts)" for name, n in zip(names, sizes, strict=True)]
    lines = [f"| | {' | '.join(titles)} |", f"|{'---|' * (len(names) + 1)}"]
    for (method, part), group in rows.assign(part=rows.get("part", "")).groupby(["method", "part"], sort=False):
        cells = {row["benchmark"]: _cell(row, signed) for row in records(group)}
        texts = [cells.get(name, "") for name in names]
        seeds = int(group["n_seeds"].max())
        note = "" if seeds == most else f" ({seeds} {'seed' if seeds == 1 else 'seeds'})"
        name = ": ".join(filter(None, (method_title(str(method)), str(part))))
        lines.append(f"| {name}{note} | {' | '.join(texts).replace('-', '−')} |")
    return "\n".join(lines) + "\n"


def _cell(row: Mapping[str, Any], signed: bool) -> str:
    paper = row.get("paper")
    beside = f"; paper {paper:+.1f}" if pd.notna(paper) else ""
    return interval_text(row["mean"], row["low"], row["high"], signed=signed) + beside


if __name__ == "__main__":
    write()
