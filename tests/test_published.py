"""The bundled numbers are the paper's: rows typed here from its tables, slips included."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from paper_repro.paper import published
from paper_repro.tools.errors import UserError

BENCHMARKS = ("financial", "tweet_irony", "mrpc")

TABLE1 = {
    "Small real world": {
        "GPT-3.5 few-shot": (79.46, 81.6, 63.39, 69.39, 69.28, 71.75),
        "CE-Loss (quality checker)": (78.05, 75.26, 62.5, 62.38, 73.16, 68.69),
        "Focal-Loss": (78.47, 76.2, 67.73, 62.32, 73.10, 66.64),
        "DIMP-Loss (Ours)": (79.87, 77.05, 69.01, 67.05, 74.84, 66.80),
    },
    "GPT-3.5 generated": {
        "CE-Loss": (77.39, 74.01, 76.91, 76.8, 72, 65.47),
        "Focal-Loss": (79.29, 75.32, 74.87, 74.82, 72.17, 62.77),
        "Hu et al.'s": (71.7, 61.93, 71.42, 70.18, 67.13, 50.08),
        "IMP-Loss (Ours)": (82.09, 79.40, 81.89, 81.71, 75.83, 70.52),
        "DIMP-Loss (Ours)": (82.67, 79.53, 78.44, 78.14, 75.83, 70.04),
        "- w/o diversity checker": (81.35, 77.94, 77.68, 77.62, 74.72, 69.34),
    },
    "Large real world": {
        "CE-Loss": (84.74, 82.69, 68.75, 68.41, 80.92, 77.73),
        "Focal-Loss": (84.98, 81.98, 67.6, 67.19, 80.35, 76.28),
        "Hu et al.'s": (80.19, 76.58, 60.33, 37.63, 71.36, 67.78),
        "IMP-Loss (Ours)": (85.3, 83.27, 70.15, 70.08, 81.33, 78.3),
        "DIMP-Loss (Ours)": (85.4, 82.79, 69, 68.78, 82.84, 80.49),
    },
}
NOISY = {
    "CE-Loss": (79.95, 77.41, 60.46, 60.14, 74.03, 67.5),
    "Focal-Loss": (80.2, 78.26, 62.11, 61.12, 74.72, 69.59),
    "IMP-Loss (Ours)": (81.85, 78.93, 64.8, 64.51, 76, 70.46),
    "DIMP-Loss (Ours)": (82.51, 80.22, 64.16, 64.09, 76.58, 71.32),
}


def as_printed(frame: pd.DataFrame, source: str, method: str) -> tuple[float, ...]:
    rows = frame[(frame.train_source == source) & (frame.method == method)].set_index("benchmark")
    return tuple(rows.loc[list(BENCHMARKS), ["accuracy", "macro_f1"]].to_numpy(dtype=float).ravel().tolist())


def test_table_1_as_printed_and_in_its_order() -> None:
    frame = published.table("table1")
    assert len(frame) == 45
    expected = [(s, m, b) for s, methods in TABLE1.items() for m in methods for b in BENCHMARKS]
    assert list(zip(frame.train_source, frame.method, frame.benchmark, strict=True)) == expected
    for source, methods in TABLE1.items():
        for method, numbers in methods.items():
            assert as_printed(frame, source, method) == numbers


def test_table_4_as_printed_and_its_first_rows_are_table_1s() -> None:
    frame = published.table("table4")
    assert len(frame) == 18
    for method, numbers in NOISY.items():
        assert as_printed(frame, "Noisy Data", method) == numbers
    for method in ("GPT-3.5 few-shot", "CE-Loss (quality checker)"):
        assert as_printed(frame, "Small real world", method) == TABLE1["Small real world"][method]


def test_table_2_as_printed() -> None:
    frame = published.table("table2").pivot(index=["model_size", "method"], columns="benchmark", values="accuracy")
    rows = {key: tuple(frame.loc[key, list(BENCHMARKS)]) for key in frame.index}
    assert rows == {
        ("base", "Quality checker"): (78.05, 62.5, 73.16),
        ("large", "CE-Loss"): (80.45, 78.83, 74.2),
        ("large", "IMP-Loss (base DC)"): (80.94, 74.23, 75.36),
        ("large", "IMP-Loss (large DC)"): (81.93, 78.83, 76.41),
        ("large", "DIMP-Loss"): (83.25, 81.25, 77.04),
    }


def test_table_3_seconds_add_up() -> None:
    frame = published.table("table3").set_index("method")
    parts = frame[["build_qc_s", "build_dc_s", "precalculate_weights_s", "training_s"]].sum(axis=1)
    np.testing.assert_allclose(parts, frame.total_s, atol=1e-9)
    assert frame.total_s.to_dict() == {"CE-Loss": 333.242, "IMP-Loss": 733.363, "DIMP-Loss": 371.524}
    assert frame["build_qc_s"].isna().tolist() == [True, False, False]


def test_table_5_and_section_3_2() -> None:
    sizes = published.table("table5").set_index("split")
    assert sizes.T.to_dict("list") == {
        "train": [3392, 2862, 3668],
        "dev": [242, 200, 408],
        "test": [1212, 784, 1725],
        "generated": [10012, 3000, 3005],
    }
    values = published.table("section3_2").set_index("quantity").value.to_dict()
    assert values == {"H(P)": 0.0365, "H(Q)": 0.2299, "KL(Q||P)": 1.8781, "KL(P||Q)": 0.444}


def test_an_unknown_table_is_named() -> None:
    with pytest.raises(UserError, match=r"'table9'; expected one of table1, table2"):
        published.table("table9")


def test_sungen_has_no_number() -> None:
    frame = published.table("table1")
    assert not frame.method.str.contains("SunGen").any()
    assert published.NUMBERS_NOT_KNOWN == (("GPT-3.5 generated", "SunGen"),)


def test_every_item_of_the_paper_is_listed_once() -> None:
    listed = published.items().item.tolist()
    expected = [f"Table {n}" for n in range(1, 7)] + [f"Figure {n}" for n in range(1, 8)] + ["Sec. 3.2"]
    expected += [f"Eq. {n}" for n in range(1, 11)] + ["App. B", "App. C", "App. D"]
    assert listed == expected


def test_the_claims_are_what_the_papers_numbers_say() -> None:
    """Each claim names rows of Table 1, and the printed accuracies have its direction (ties do not occur).

    The rows with the true weights are the miniature world's own, and no claim of the paper.
    """
    table = published.table("table1")
    accuracies = {tuple(row[:3]): row[3] for row in table.itertuples(index=False)}
    claims = published.claims()
    of_the_paper = claims[claims["method"] != "Oracle (true weights)"]
    assert len(of_the_paper) == len(claims) - 2 == 16
    for claim in of_the_paper.to_dict("records"):
        for benchmark in claim["benchmarks"].split(";") if claim["benchmarks"] else BENCHMARKS:
            ours = accuracies[claim["train_source"], claim["method"], benchmark]
            theirs = accuracies[claim["versus_source"], claim["versus_method"], benchmark]
            assert ours > theirs, claim["claim"]
