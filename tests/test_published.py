"""The bundled numbers are the paper's: rows typed here from its tables, slips included."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from paper_repro.paper import published
from paper_repro.tools.errors import UserError

BENCHMARKS = ("financial", "tweet_irony", "mrpc")

TABLE1 = {
    "dev": {
        "few_shot": (79.46, 81.6, 63.39, 69.39, 69.28, 71.75),
        "checker": (78.05, 75.26, 62.5, 62.38, 73.16, 68.69),
        "focal": (78.47, 76.2, 67.73, 62.32, 73.10, 66.64),
        "dimp": (79.87, 77.05, 69.01, 67.05, 74.84, 66.80),
    },
    "generated": {
        "ce": (77.39, 74.01, 76.91, 76.8, 72, 65.47),
        "focal": (79.29, 75.32, 74.87, 74.82, 72.17, 62.77),
        "hu": (71.7, 61.93, 71.42, 70.18, 67.13, 50.08),
        "imp": (82.09, 79.40, 81.89, 81.71, 75.83, 70.52),
        "dimp": (82.67, 79.53, 78.44, 78.14, 75.83, 70.04),
        "quality_only": (81.35, 77.94, 77.68, 77.62, 74.72, 69.34),
    },
    "train": {
        "ce": (84.74, 82.69, 68.75, 68.41, 80.92, 77.73),
        "focal": (84.98, 81.98, 67.6, 67.19, 80.35, 76.28),
        "hu": (80.19, 76.58, 60.33, 37.63, 71.36, 67.78),
        "imp": (85.3, 83.27, 70.15, 70.08, 81.33, 78.3),
        "dimp": (85.4, 82.79, 69, 68.78, 82.84, 80.49),
    },
}
TABLE4 = {
    "dev": {name: TABLE1["dev"][name] for name in ("few_shot", "checker")},
    "train:noisy": {
        "ce": (79.95, 77.41, 60.46, 60.14, 74.03, 67.5),
        "focal": (80.2, 78.26, 62.11, 61.12, 74.72, 69.59),
        "imp": (81.85, 78.93, 64.8, 64.51, 76, 70.46),
        "dimp": (82.51, 80.22, 64.16, 64.09, 76.58, 71.32),
    },
}


@pytest.mark.parametrize(("name", "printed"), [("table1", TABLE1), ("table4", TABLE4)])
def test_tables_1_and_4_as_printed_and_in_their_order(
    name: str, printed: dict[str, dict[str, tuple[float, ...]]]
) -> None:
    frame = published.table(name)
    expected = [(s, m, b) for s, methods in printed.items() for m in methods for b in BENCHMARKS]
    assert list(zip(frame.train_source, frame.method, frame.benchmark, strict=True)) == expected
    numbers = [number for methods in printed.values() for row in methods.values() for number in row]
    assert frame[["accuracy", "macro_f1"]].to_numpy(dtype=float).ravel().tolist() == numbers


def test_table_2_as_printed() -> None:
    frame = published.table("table2")
    assert frame["benchmark"].tolist() == [*BENCHMARKS] * 5
    assert frame["accuracy"].tolist() == [
        *(78.05, 62.5, 73.16),
        *(80.45, 78.83, 74.2),
        *(80.94, 74.23, 75.36),
        *(81.93, 78.83, 76.41),
        *(83.25, 81.25, 77.04),
    ]


def test_table_3_seconds_add_up() -> None:
    frame = published.table("table3")
    parts = frame[["build_qc_s", "build_dc_s", "precalculate_weights_s", "training_s"]].sum(axis=1)
    np.testing.assert_allclose(parts, frame.total_s, atol=1e-9)
    assert frame.total_s.tolist() == [333.242, 733.363, 371.524]
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


def test_every_item_of_the_paper_is_listed_once() -> None:
    expected = [f"Table {n}" for n in range(1, 7)] + [f"Figure {n}" for n in range(1, 8)] + ["Sec. 3.2"]
    expected += [f"Eq. {n}" for n in range(1, 11)] + ["App. B", "App. C", "App. D"]
    assert published.items().item.tolist() == expected


@pytest.mark.parametrize("name", ["table1", "table4"])
def test_the_claims_are_what_the_papers_numbers_say(name: str) -> None:
    """The rows that a claim names have its direction in print. That of the true weights is no claim of the paper."""
    accuracies = {tuple(row[:3]): row[3] for row in published.table(name).itertuples(index=False)}
    claims: pd.DataFrame = published.claims(name)
    assert claims["id"].is_unique
    for claim in claims[claims["method"] != "oracle"].to_dict("records"):
        for benchmark in claim["benchmarks"].split(";") if claim["benchmarks"] else BENCHMARKS:
            ours = accuracies[claim["train_source"], claim["method"], benchmark]
            assert ours > accuracies[claim["versus_source"], claim["versus_method"], benchmark], claim["claim"]


@pytest.mark.parametrize(("name", "sources"), [("table1", {"generated", "train"}), ("table4", {"train:noisy"})])
def test_sentences_are_on_claims_and_every_baseline_is_every_baseline(name: str, sources: set[str]) -> None:
    """The baselines are all that the paper prints beside its own methods (Sec. 5: CE, Focal, Hu et al.)."""
    claims, sentences = published.claims(name).set_index("id"), published.sentences(name).set_index("id")
    members = {name: claims.loc[row["members"].split(";")] for name, row in sentences.iterrows()}  # KeyError if unknown
    printed = published.table(name)
    for sentence in (rows for key, rows in members.items() if str(key).endswith("_baselines")):
        (source,) = set(sentence["train_source"])
        rivals = set(printed[printed["train_source"] == source]["method"]) - {"imp", "dimp", "quality_only"}
        pairs = set(zip(sentence["method"], sentence["versus_method"], strict=True))
        assert source in sources and pairs == {(ours, rival) for ours in ("imp", "dimp") for rival in rivals}
