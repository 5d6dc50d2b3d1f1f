"""The bundled numbers agree with each other, and the claims with the numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from paper_repro.paper import published
from paper_repro.tools.errors import UserError

BENCHMARKS = ("financial", "tweet_irony", "mrpc")


def test_what_stands_in_two_tables_is_one_number() -> None:
    table1, table2, table4 = (published.table(f"table{n}") for n in (1, 2, 4))
    both = table4[table4["train_source"] == "dev"].merge(table1, on=["train_source", "method", "benchmark"])
    assert len(both) == 6 and (both["accuracy_x"] == both["accuracy_y"]).all()
    assert (both["macro_f1_x"] == both["macro_f1_y"]).all()
    small = table2[table2["model_size"] == "base"].merge(
        table1[table1["train_source"] == "dev"], on=["method", "benchmark"]
    )
    assert len(small) == 3 and (small["accuracy_x"] == small["accuracy_y"]).all()


def test_table_3_seconds_add_up() -> None:
    frame = published.table("table3")
    parts = frame[["build_qc_s", "build_dc_s", "precalculate_weights_s", "training_s"]].sum(axis=1)
    np.testing.assert_allclose(parts, frame.total_s, atol=1e-9)


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
