"""Sets at several levels of diversity: what is shipped, what is refused, and tables of runs whose accuracy is known."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fake_runs
import numpy as np
import pandas as pd
import pytest

from paper_repro.measures import diversity as formulas
from paper_repro.model.encoder import Encoder
from paper_repro.paper.csv_files import save
from paper_repro.paper.diversity import cells, claims, figures, measures, tables
from paper_repro.paper.outcomes import outcomes_of
from paper_repro.runs import profiles
from paper_repro.texts import benchmarks, description, diversity_sets
from paper_repro.texts.derived import DIVERSITY
from paper_repro.texts.pools import Benchmark
from paper_repro.texts.world import WorldConfig
from paper_repro.tools.errors import UserError

SETS = tuple(diversity_sets.LEVELS)
TINY = WorldConfig(train=90, dev=60, test=30, generated=300)


# ---------------------------------------------------------------- formulas


def test_measures_of_words_by_hand() -> None:
    texts = ["One two three.", "one two four"]
    assert formulas.distinct(texts, 1) == 4 / 6
    assert formulas.distinct(texts, 2) == 3 / 4
    assert formulas.self_repetition(texts, 2) == pytest.approx(np.log(2)), "each shares one pair with the other"
    assert formulas.self_repetition(["a b c d", "e f g h"]) == 0
    assert formulas.self_repetition(["a b c d"] * 4) == pytest.approx(np.log(4)), "three others have the same run"
    raw = b"x y z\n" * 99 + b"x y z"
    assert formulas.compression_ratio(["x y z"] * 100) == len(raw) / len(gzip.compress(raw, mtime=0)) > 10


def test_measures_of_vectors_by_hand() -> None:
    axes = np.eye(5)
    assert formulas.mean_distance(axes) == pytest.approx(1)
    assert formulas.mean_distance([[1, 0], [-3, 0]]) == pytest.approx(2), "length does not count"
    assert formulas.mean_distance(np.ones((7, 3))) == pytest.approx(0)
    assert formulas.vendi(axes) == pytest.approx(5)
    assert formulas.vendi(np.repeat(axes, 3, axis=0)) == pytest.approx(5), "copies add nothing"
    assert formulas.vendi(np.ones((7, 3))) == pytest.approx(1)
    # cos 0.5: eigenvalues of K/n are 3/4 and 1/4
    half = np.exp(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))
    assert formulas.vendi([[1, 0], [0.5, np.sqrt(0.75)]]) == pytest.approx(half)
    assert formulas.inertia(axes, clusters=5) == 0
    # two groups of two at right angles each, one centre: each is at squared distance 1 - 1/2
    assert formulas.inertia(np.repeat(np.eye(2), 2, axis=0), clusters=1) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="at least two"):
        formulas.mean_distance([[1, 0]])


def test_the_cluster_agents_score() -> None:
    assert formulas.cluster_score([10]) == 0.1
    assert formulas.cluster_score([1] * 10) == 1
    assert formulas.cluster_score([3, 2]) == 2 / 5
    with pytest.raises(ValueError, match="no valid cluster"):
        formulas.cluster_score([])


def test_a_judge_who_groups_by_source() -> None:
    assert measures.by_source("x-900") == pytest.approx(1)
    assert measures.by_source("x-1") == pytest.approx(0.1)
    rng = np.random.default_rng(0)
    drawn = [len(set(rng.choice(900, 10, replace=False) % 30)) / 10 for _ in range(4000)]
    assert measures.by_source("x-30") == pytest.approx(np.mean(drawn), abs=0.01)


# ---------------------------------------------------------------- what is shipped


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


@pytest.mark.parametrize("name", ["financial", "tweet_irony"])
def test_the_shipped_sets_are_what_their_names_say(name: str) -> None:
    folder = diversity_sets.place(name, None)
    assert folder is not None
    sets, classes = diversity_sets.read(folder, name), len(description.read(name).labels)
    assert tuple(sets) == SETS
    for pool in sets.values():
        assert len(pool) == 900 and pool.repeated == 0
        assert np.bincount(pool.labels).tolist() == [900 // classes] * classes
    source = {row["id"]: row.get("of", row["id"]) for row in lines(folder / "texts.jsonl.gz")}
    ids = {row["set"]: row["ids"] for row in lines(folder / "sets.jsonl.gz")}
    for copied in (30, 90, 300):
        counts = Counter(source.get(one, one) for one in ids[f"paraphrase-{copied}"])
        assert set(counts.values()) == {900 // copied} and len(counts) == copied
    assert set(sets["sampled-900"].texts) <= set(benchmarks.bundled(name).texts)


@pytest.mark.parametrize(("name", "rejected", "judged"), [("financial", 42, 162), ("tweet_irony", 7, 106)])
def test_the_recorded_judgements_are_those_that_the_data_card_counts(name: str, rejected: int, judged: int) -> None:
    folder = diversity_sets.place(name, None)
    assert folder is not None
    found, rows = diversity_sets.draws(folder), lines(folder / "judgements.jsonl.gz")
    assert Counter(draw.set_name for draw in found) == dict.fromkeys(SETS, 20)
    asked = [cluster for row in rows for cluster in row["clusters"] if len(cluster["texts"]) > 1]
    assert (sum(draw.rejected for draw in found), len(asked)) == (rejected, judged)
    values = measures.agent_values(name)
    by_hand = [
        sum(c["valid"] for c in row["clusters"]) / sum(len(c["texts"]) for c in row["clusters"] if c["valid"])
        for row in rows
        if row["arm"] == "voices-900"
    ]
    assert sorted(values.loc[values["set"] == "voices-900", "value"]) == pytest.approx(sorted(by_hand))


def test_a_benchmark_without_sets_and_a_set_that_is_not_known() -> None:
    assert diversity_sets.place("mrpc", None) is None
    with pytest.raises(UserError, match=r"mrpc: there are no sets .*'diversity:voices-900'"):
        Benchmark("mrpc", "", ("a", "b"), {}).pool("diversity:voices-900")
    made = benchmarks.load("financial", kind="miniature", world=TINY)
    with pytest.raises(UserError, match=r"'diversity:voices' is not known; expected one of copies-30"):
        made.pool("diversity:voices")


# ---------------------------------------------------------------- what is refused

Change = Callable[[dict[str, list[dict[str, Any]]]], None]


def written(folder: Path, change: Change) -> Path:
    """Six sets of twelve texts and one judgement, changed and written."""
    made: dict[str, list[dict[str, Any]]] = {
        "texts": [{"id": f"t{i}", "text": f"text {i}", "label": ("irony", "non-irony")[i % 2]} for i in range(12)],
        "sets": [{"set": name, "ids": [f"t{i}" for i in range(12)]} for name in SETS],
        "judgements": [
            {"arm": SETS[0], "texts": [f"t{i}" for i in range(10)], "clusters": [{"texts": [0, 9], "valid": True}]}
        ],
    }
    change(made)
    for name, rows in made.items():
        body = "".join(json.dumps(row) + "\n" for row in rows).encode()
        (folder / f"{name}.jsonl.gz").write_bytes(gzip.compress(body))
    return folder


def replaced(part: str, at: int, **fields: Any) -> Change:
    return lambda made: made[part][at].update(fields)


def of_one_class(made: dict[str, list[dict[str, Any]]]) -> None:
    for row in made["texts"]:
        row["label"] = "irony"


def all_alike(made: dict[str, list[dict[str, Any]]]) -> None:
    for row in made["texts"]:
        row["text"] = "the same"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (of_one_class, r"line 1: set 'paraphrase-30' has no text labelled 'non-irony'"),
        (all_alike, r"set 'paraphrase-30' repeats a single text"),
        (replaced("sets", 1, ids=["t0", "t1"]), r"line 2: set 'paraphrase-90' has 2 texts; expected at least 10"),
        (replaced("sets", 5, ids=["t0", "gone"]), r"line 6: set 'voices-900' names a text that does not exist, 'gone'"),
        (replaced("sets", 5, set="noise-900"), r"set 'noise-900' is not known; expected one of paraphrase-30"),
        (lambda made: made["sets"].pop(), r"no line for the set 'voices-900'"),
        (replaced("texts", 3, label="sarcasm"), r"texts.jsonl.gz, line 4: label 'sarcasm', expected one of"),
        (lambda made: made["texts"][0].pop("label"), r"line 1: no 'label'; expected id, text, label"),
    ],
)
def test_a_faulty_set_is_refused_in_one_line(tmp_path: Path, change: Change, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        diversity_sets.read(written(tmp_path, change), "tweet_irony")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (replaced("judgements", 0, texts=["t0", "gone"]), r"line 1: the text 'gone' does not exist in the set"),
        (replaced("judgements", 0, arm="other"), r"the text 't0' does not exist in the set 'other'"),
        (replaced("judgements", 0, clusters=[{"texts": [10], "valid": True}]), r"names text 10, which does not exist"),
    ],
)
def test_a_judgement_of_texts_that_do_not_exist_is_refused(tmp_path: Path, change: Change, said: str) -> None:
    assert diversity_sets.draws(written(tmp_path, lambda _: None))[0].sizes == (2,)
    with pytest.raises(UserError, match=said):
        diversity_sets.draws(written(tmp_path, change))


def test_your_own_sets_come_before_the_shipped_ones(tmp_path: Path) -> None:
    folder = tmp_path / "tweet_irony" / "diversity"
    folder.mkdir(parents=True)
    own = diversity_sets.place("tweet_irony", tmp_path)
    assert (
        own == folder
        and diversity_sets.read(written(folder, lambda _: None), "tweet_irony")["voices-900"].labels.size == 12
    )
    assert diversity_sets.place("financial", tmp_path) == diversity_sets.SHIPPED / "financial"


# ---------------------------------------------------------------- the miniature world


@pytest.mark.parametrize("name", ["financial", "mrpc"])
def test_the_worlds_sets_have_equal_classes_and_the_sources_that_they_say(name: str) -> None:
    made = benchmarks.load(name, kind="miniature", world=TINY)
    each = round(0.36 * TINY.generated) // made.classes
    own = dict(zip(made.pool("generated").inputs, made.truth["generated"].q.tolist(), strict=True))
    for what in diversity_sets.WORLD_LEVELS:
        pool, truth = made.pool(DIVERSITY + what), made.truth_of(DIVERSITY + what)
        assert truth is not None and len(truth.p) == len(pool)
        assert np.bincount(pool.labels).tolist() == [each] * made.classes
        sources = [own.get(example) for example in pool.inputs]
        if what == "sampled":
            assert sources == truth.q.tolist(), "texts of D_Q with their Q(y|x)"
        elif what.startswith("copies-"):
            times = int(what.removeprefix("copies-"))
            first = -(-each // times)
            for label in range(made.classes):
                rows = np.flatnonzero(pool.labels == label)
                assert (truth.q[rows] == truth.q[np.resize(rows[:first], each)]).all(), "a copy is labelled alike"
                assert all(sources[row] for row in rows[:first])


def test_a_world_without_a_class_has_no_sets() -> None:
    made = benchmarks.load("financial", kind="miniature", world=replace(TINY, generated=1))
    with pytest.raises(UserError, match="no text of one of its classes"):
        made.pool("diversity:sampled")


# ---------------------------------------------------------------- the grids


def test_a_benchmark_of_the_users_own_has_no_sets() -> None:
    profile = profiles.with_own_benchmark(profiles.load("mini"), "my", "My")
    assert cells.diversity(profile) == cells.mixtures(profile) == []


# ---------------------------------------------------------------- tables, claims and figures of known runs

LEVELS_OF = dict(zip(SETS, (0.5, 0.55, 0.6, 0.7, 0.65, 0.6), strict=True))
"""Accuracy of CE on each set: best at D_Q's own diversity."""


def right(name: fake_runs.Name) -> int:
    """Of 400 test texts as many as the set is worth, and one more by seed; IMP gains a tenth on the least diverse."""
    source, method, _, seed = name
    share, which = 1.0, source.removeprefix(DIVERSITY)
    if source.startswith("mix:"):
        share, which = int(source[4:].partition("%")[0]) / 100, source.split(":")[3]
    level = 0.75 + share * (LEVELS_OF[which] - 0.75) + 0.1 * (method == "imp" and which == SETS[0])
    return round(400 * level) + seed


PROFILE = fake_runs.profile()
GRID, BLENDS = cells.diversity(PROFILE), cells.mixtures(PROFILE)


def known() -> Any:
    return fake_runs.FakeResults(PROFILE, [*GRID, *BLENDS], right=right)


def measured(rising: Mapping[str, int]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measures that grow with the level (1) or fall (-1), and an AUC that is lowest at D_Q's own diversity."""
    names = [
        (benchmark, name, level)
        for benchmark in cells.benchmarks(PROFILE)
        for name, level in diversity_sets.LEVELS.items()
    ]
    rows = [
        (benchmark, name, level, measure, sign * level + 0.01 * i, measures.HERE)
        for benchmark, name, level in names
        for measure, sign in rising.items()
        for i in range(5)
        if level
    ]
    shift = pd.DataFrame([(b, name, level, 1.5 - LEVELS_OF[name]) for b, name, level in names])
    return pd.DataFrame(rows, columns=measures.VALUES), shift.set_axis(["benchmark", "set", "level", "auc"], axis=1)


def everything() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The tables of accuracies, of correlations and of claims."""
    outcomes = outcomes_of(known(), GRID)
    values, shift = measured({measures.AGENT: 1, "self_repetition": -1})
    accuracy = tables.accuracies(outcomes, PROFILE)
    related = tables.correlations(accuracy, measures.summary(values), shift)
    return accuracy, related, claims.diversity_claims(outcomes, related, PROFILE)


def test_accuracies_and_what_the_weights_add() -> None:
    by = everything()[0].set_index(["benchmark", "set", "method"])
    # 400 test texts; the four seeds are right on 0, 1, 2 and 3 more
    assert by.loc[("financial", "sampled-900", "ce"), "mean_accuracy"] == pytest.approx(70 + 100 * 1.5 / 400)
    assert by.loc[("financial", SETS[0], "imp"), "vs_ce_mean"] == pytest.approx(10)
    assert by.loc[("financial", SETS[0], "imp"), "verdict"] == "holds"
    assert by.loc[("financial", SETS[3], "imp"), "vs_ce_mean"] == pytest.approx(0)
    assert set(by.xs("ce", level="method")["verdict"]) == {""}


def test_correlations_are_those_of_the_ranks() -> None:
    related = everything()[1].set_index(["method", "predictor", "benchmark"])
    # accuracy 0.5 0.55 0.6 0.7 0.65 0.6 on levels 1 to 6
    from scipy.stats import spearmanr

    rho = spearmanr(range(6), list(LEVELS_OF.values())).statistic
    for predictor in ("level", measures.AGENT, "self_repetition"):
        assert related.loc[("ce", predictor, "financial"), "mean"] == pytest.approx(rho), "turned where it falls"
    assert related.loc[("ce", "auc", "financial"), "mean"] == pytest.approx(-1)
    both, one = related.loc[("ce", "auc", "all")], related.loc[("ce", "auc", "financial")]
    assert (both["sets"], one["sets"]) == (12, 6) and both["high"] < one["high"] < 0


def test_claims_hold_or_fail_as_the_runs_say() -> None:
    by = everything()[2].set_index(["id", "benchmark"])["verdict"]
    assert by[claims.MODERATE_HELPS, "financial"] == by[claims.HIGH_HURTS, "tweet_irony"] == "holds"
    assert by["moderate_best", "all"] == by[claims.SHIFT_MATTERS, "all"] == "holds"
    assert by["agent_accuracy", "financial"] == "inconclusive"


def test_the_order_of_the_measures() -> None:
    ordered = measures.order(measured({"distinct_1": 1, "vendi": -1, "self_repetition": -1})[0])
    by = ordered[ordered["benchmark"] == "financial"].set_index("measure")[["mean", "low", "high"]]
    assert by.loc["distinct_1"].tolist() == by.loc["self_repetition"].tolist() == pytest.approx([1, 1, 1])
    assert by.loc["vendi"].tolist() == pytest.approx([-1, -1, -1])


def test_mixtures_are_compared_with_the_one_without_a_generated_text() -> None:
    results = known()
    frame = tables.mixed(results, outcomes_of(results, BLENDS))
    by = frame[frame["real"] == "train"].set_index(["benchmark", "set", "share"])
    assert by.loc[("financial", cells.LOW, 100), "vs_real_mean"] == pytest.approx(-25)
    assert by.loc[("financial", cells.MODERATE, 100), "vs_real_mean"] == pytest.approx(-5)
    assert by.loc[("financial", cells.MODERATE, 100), "verdict"] == "fails"
    assert set(by.xs(0, level="share")["verdict"]) == {""} and set(frame["n"]) == {36, 24}, "twelve of each class"


def test_the_picture_of_the_order_has_all_measures() -> None:
    frame = measures.order(measured({measures.AGENT: 1, "vendi": -1})[0])
    dots = figures.order(frame, "mini").axes[0].lines
    assert {round(float(x)) for line in dots if line.get_marker() in "os" for x in line.get_xdata()} == {1, -1}


def test_what_needs_weights_that_are_not_here_comes_from_the_shipped_table(tmp_path: Path) -> None:
    rows = [("financial", SETS[0], 1, measure, 0.25) for measure in ("vendi", "distinct_1")]
    save(pd.DataFrame(rows, columns=measures.VALUES[:-1]), tmp_path / "diversity_values.csv")
    encoder = Encoder("minilm-l6", tmp_path / "nowhere", "")
    results = known()
    results.inputs = SimpleNamespace(encoder=encoder, data_dir=None)
    results.paths = SimpleNamespace(reference=tmp_path)
    found = measures.values(results, [])
    assert found.loc[found["measure"] == "vendi", ["value", "origin"]].values.tolist() == [[0.25, measures.SHIPPED]]
    assert set(found.loc[found["measure"] == "distinct_1", "origin"]) == {measures.HERE}
    assert len(found[found["measure"] == "distinct_1"]) == 2 * 6 * 9, "nine samples of a hundred texts of each set"
