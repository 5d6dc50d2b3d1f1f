"""Display titles. Rows of tables carry ids; a title is put on last, when a table or a figure is shown."""

from __future__ import annotations

from collections.abc import Iterable

from paper_repro.method.registry import METHODS
from paper_repro.runs.profiles import Profile

SOURCES = {
    "dev": "Small real world",
    "generated": "Generated",
    "train": "Large real world",
    "train:noisy": "Noisy data",
    "relabelled": "Real texts, generated labels",
}
"""Blocks of the paper's tables by the pool that is trained on. The paper's D_Q was written by GPT-3.5."""
ROWS = {
    "true": "true P and Q",
    "few_shot": "The generator's few-shot labels",
    "checker": "CE-Loss (quality checker)",
    "imp_base_dc": "IMP-Loss (base DC)",
    "imp_large_dc": "IMP-Loss (large DC)",
    "oracle": "Oracle (true weights)",
    "sungen_camera_ready": "SunGen (camera-ready)",
    "ce_dq_dp": "CE-Loss on D_Q and D_P'",
    "ce_then_dp": "CE-Loss on D_Q, then on D_P'",
    "hu_cheap": "Hu et al.'s, cheaper",
    "hu_official": "Hu et al.'s, official recipe",
    "imp_exact_q": "IMP-Loss (exact Q)",
    "dimp_gamma_2": "DIMP-Loss (gamma = 2)",
}
"""Rows that are no method of their own."""
SHORT_ROWS = {
    "checker": "CE on D_P'",
    "oracle": "oracle",
    "ce_dq_dp": "CE on both",
    "ce_then_dp": "CE, then D_P'",
    "hu_cheap": "Hu, cheaper",
    "hu_official": "Hu, official",
}
OTHER_DATA = "the paper's numbers belong to other data: only the ordering of the methods can be compared"
BENCHMARKS = {"financial": "Financial", "tweet_irony": "Tweet Irony", "mrpc": "MRPC"}


def source_title(source: str) -> str:
    return SOURCES.get(source, source)


def method_title(row: str) -> str:
    """The title of a table's row: a method's, or one of :data:`ROWS`."""
    return METHODS[row].title if row in METHODS else ROWS.get(row, row)


def short_title(row: str) -> str:
    """The same for a legend."""
    return METHODS[row].short if row in METHODS else SHORT_ROWS.get(row, ROWS.get(row, row))


def benchmark_title(name: str) -> str:
    return BENCHMARKS.get(name, name)


def heading(profile: Profile, table: str = "Table 1") -> str:
    """Heading of a table for a profile; the miniature world's says what its paper columns are not."""
    ours = f"({profile.title}); accuracy / macro-F1 in per cent"
    if not set(profile.benchmarks) & set(BENCHMARKS):
        return f"The rows of {table} on your own benchmark {ours}"
    text = f"{table}, the paper beside this reproduction {ours}"
    return f"{text}; {OTHER_DATA}" if profile.kind == "miniature" else text


def in_order(names: Iterable[str]) -> list[str]:
    """The different benchmarks among ``names``: the paper's in its order, then others as they come."""
    distinct = list(dict.fromkeys(names))
    return [name for name in BENCHMARKS if name in distinct] + [n for n in distinct if n not in BENCHMARKS]
