"""App. G: the grid of Table 4, where each noisy example comes from, and scores by part that are known beforehand."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import fake_runs
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from numpy.typing import NDArray
from paper_repro.experiments import NOISY, NOISY_POOL, SMALL, Cell

from paper_repro import experiments, figures, tables
from paper_repro.paper import published
from paper_repro.paper.noisy.tables import CROSS_FITTED, DIMP, IMP, TRUE, TWINS
from paper_repro.runs import profiles
from paper_repro.runs.spec import Checker, RunSpec, Source
from paper_repro.texts import noise
from paper_repro.texts.folds import fold_of
from paper_repro.texts.pools import Benchmark, Pool, Truth
from paper_repro.tools.errors import UserError

LABELS = st.lists(st.integers(0, 2), min_size=6, max_size=60).map(lambda v: np.array(v, dtype=np.int64))
QUALITY = {"original": 0.8, "swapped": 0.2, "duplicated": 0.6}
DIVERSITY = {"original": 0.4, "swapped": 0.2, "duplicated": 0.5}
UNSEEN = {"original": 0.3, "swapped": 0.2, "duplicated": 0.5}
LEARNT = {"original": (0.4, 0.8), "swapped": (0.4, 0.4), "duplicated": (0.4, 0.9)}


# ---------------------------------------------------------------- the noisy set


@given(labels=LABELS)
def test_the_composition_is_that_of_the_pool(labels: NDArray[np.int64]) -> None:
    frame = noise.composition(labels, 3)
    pool = Benchmark("financial", "", ("a", "b", "c"), {"train": Pool("train", tuple(map(str, labels)), labels)})
    assert frame["after"].tolist() == pool.pool(NOISY_POOL).labels.tolist()
    assert frame["before"].tolist() == [int(text) for text in pool.pool(NOISY_POOL).texts]
    assert ((frame["before"] != frame["after"]) == (frame["part"] == "swapped")).all()
    twice = frame[frame["part"] == "duplicated"]
    assert set(frame[frame["part"] != "duplicated"]["copy"]) == {0}
    assert twice["row"].tolist() == twice[twice["copy"] == 0]["row"].tolist() * 2


@given(p=st.floats(0, 1), swapped=st.floats(0, 1), classes=st.integers(2, 4))
def test_the_law_of_the_noisy_labels(p: float, swapped: float, classes: int) -> None:
    law = np.full((1, classes), (1 - p) / (classes - 1))
    law[0, 0] = p
    noisy = noise.label_law(law, swapped)
    assert noisy.sum() == pytest.approx(1) and (noisy >= 0).all()
    assert noisy[0, 0] == pytest.approx((1 - swapped) * p + swapped * (1 - p) / (classes - 1))
    assert noise.label_law(law, 0) == pytest.approx(law)
    if swapped < 0.9 * (classes - 1) / classes and p > 1 / classes + 1e-6:
        assert noisy.argmax() == 0, "swaps that are uniform and not too many leave the best class in its place"


def test_swapped_labels_follow_that_law() -> None:
    labels = np.random.default_rng(0).choice(3, 60_000, p=[0.6, 0.3, 0.1])
    frame = noise.composition(labels, 3)
    shares = np.bincount(frame["after"], minlength=3) / len(frame)
    expected = noise.label_law(np.array([[0.6, 0.3, 0.1]]), float((frame["part"] == "swapped").mean()))
    assert shares == pytest.approx(expected[0], abs=0.01)


def test_a_share_is_a_share() -> None:
    with pytest.raises(ValueError, match="expected a share"):
        noise.label_law(np.full((1, 2), 0.5), 1.2)


# ---------------------------------------------------------------- the grid


@pytest.mark.parametrize("name", ["demo", "mini", "paper"])
def test_the_grid_is_the_papers_table_with_its_checkers(name: str) -> None:
    profile = profiles.load(name)
    cells = experiments.table4(profile)
    assert Counter(cell.train_source for cell in cells) == {SMALL: 12, NOISY: 48}
    printed = published.table("table4").query("method != 'GPT-3.5 few-shot'")
    paper = set(printed[["train_source", "method", "benchmark"]].itertuples(index=False, name=None))
    assert {(c.train_source, c.method, c.benchmark) for c in cells} == paper
    ours = {(c.benchmark, c.seed, c.train_source, c.method): c.spec for c in cells}
    of_table1 = {cell.spec for cell in experiments.table1(profile)}
    for cell in cells:
        if cell.train_source == SMALL:
            assert cell.spec in of_table1
        else:
            assert cell.spec.source == Source("train:noisy") and cell.spec.recipe == profile.recipes["train"]
        if cell.spec.quality is not None:
            where = (cell.benchmark, cell.seed)
            assert cell.spec.quality == Checker(ours[(*where, SMALL, "CE-Loss (quality checker)")])
            diversity = Checker(ours[(*where, NOISY, "CE-Loss")])
            assert cell.spec.diversity == (diversity if cell.spec.method == "imp" else None)


def test_cross_fitted_cells_differ_in_the_folds_alone() -> None:
    cells = experiments.table4(profiles.load("demo"))
    made = experiments.cross_fitted(cells, "mrpc", 3, 5)
    assert [(cell.benchmark, cell.seed) for cell in made] == [("mrpc", 0), ("mrpc", 1), ("mrpc", 2)]
    for cell in made:
        checker = cell.spec.diversity
        assert checker is not None and checker.folds == 5
        plain = replace(cell, spec=replace(cell.spec, diversity=replace(checker, folds=0)))
        assert plain in cells


def test_claims_on_the_table_have_the_direction_of_the_printed_numbers() -> None:
    accuracies = {tuple(row[:3]): row[3] for row in published.table("table4").itertuples(index=False)}
    claims = published.claims("table4")
    assert len(claims) == 6 and set(claims["section"]) == {"G.2"}
    for claim in claims.to_dict("records"):
        for name in claim["benchmarks"].split(";") if claim["benchmarks"] else fake_runs.LABELS:
            ours = accuracies[claim["train_source"], claim["method"], name]
            assert ours > accuracies[claim["versus_source"], claim["versus_method"], name]


# ---------------------------------------------------------------- scores by part


@dataclass
class Scored(fake_runs.FakeWorkspace):
    """Made-up runs whose checkers give every example of a part the same score; seeds in ``gone`` have none."""

    gone: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        self.cells = experiments.table4(self.profile)
        self._names = {cell.spec: (cell.train_source, cell.method, cell.benchmark, cell.seed) for cell in self.cells}

    def _make(self, name: str) -> Benchmark:
        made, size = super()._make(name), 60
        labels = np.arange(size) % made.classes
        train = Pool("train", tuple(f"train {i}" for i in range(size)), labels)
        known = Truth(np.full((size, made.classes), 0.1 / (made.classes - 1)), np.zeros((size, made.classes)))
        known.p[np.arange(size), labels] = 0.9
        truth = {**made.truth, "train": known} if made.truth else {}
        return replace(made, pools={**made.pools, "train": train}, truth=truth)

    def _by_part(self, benchmark: str, values: dict[str, float]) -> NDArray[np.float32]:
        made = self.benchmark(benchmark)
        parts = noise.composition(made.pool("train").labels, made.classes)
        return np.log(parts["part"].map(values).to_numpy(dtype=np.float32))

    def scores(self, checker: Checker, benchmark: str, pool: str, *, compute: bool = True) -> NDArray[np.float32]:
        assert checker.run is not None and pool == NOISY_POOL and not compute
        if checker.run.seed in self.gone:
            raise UserError("no scores")
        said = QUALITY if checker.run.source.pool == "dev" else UNSEEN if checker.folds else DIVERSITY
        everywhere = self._by_part(benchmark, said)
        return np.repeat(everywhere[:, None], self.benchmark(benchmark).classes, axis=1)

    def train_log_p(self, spec: RunSpec) -> NDArray[np.float32] | None:
        epochs = [self._by_part(spec.benchmark, {part: p[epoch] for part, p in LEARNT.items()}) for epoch in (0, 1)]
        return np.array(epochs)


def space(kind: str = "real", **changes: object) -> Scored:
    profile = fake_runs.profile(kind, seeds=2)
    recipes = {pool: replace(recipe, epochs=2) for pool, recipe in profile.recipes.items()}
    return Scored(replace(profile, recipes=recipes), **changes)  # type: ignore[arg-type]


def crossed(made: Scored, folds: int = 2) -> list[Cell]:
    return experiments.cross_fitted(made.cells, "financial", 2, folds)


def only(frame: pd.DataFrame, **where: object) -> pd.Series:
    for name, value in where.items():
        frame = frame[frame[name].isna() if value is None else frame[name] == value]
    assert len(frame) == 1, frame
    return frame.iloc[0]


def test_means_by_part_are_the_scores_given() -> None:
    made = space()
    frame = tables.noisy_scores(tables.noisy_measured(made, made.cells))
    assert len(frame) == 3 * 3 * (3 + 2 * 2)  # benchmarks, parts, three scores of IMP and two of DIMP in two epochs
    for part in noise.PARTS:
        row = only(frame, benchmark="mrpc", weighting=IMP, score="weight", part=part)
        assert row[["mean", "low", "high"]].tolist() == pytest.approx([QUALITY[part] / DIVERSITY[part]] * 3, rel=1e-6)
        assert (row["n_seeds"], row["n_texts"], row["status"]) == (2, 20, "complete")
        assert row["n_examples"] == (40 if part == "duplicated" else 20)
        for epoch in (1, 2):
            learnt = only(frame, benchmark="mrpc", weighting=DIMP, score="weight", part=part, epoch=epoch)
            assert learnt["mean"] == pytest.approx(QUALITY[part] / LEARNT[part][epoch - 1], rel=1e-6)
    assert not (frame["weighting"] == TRUE).any()


def test_the_made_world_adds_the_exact_law() -> None:
    made = space("miniature")
    frame = tables.noisy_scores(tables.noisy_measured(made, made.cells))
    exact = {part: only(frame, benchmark="mrpc", weighting=TRUE, score="quality", part=part) for part in noise.PARTS}
    assert [exact[part]["mean"] for part in noise.PARTS] == pytest.approx([0.9, 0.1, 0.9])
    share = 20 / 80
    law = only(frame, benchmark="mrpc", weighting=TRUE, score="diversity", part="original")
    assert law["mean"] == pytest.approx(0.9 * (1 - share) + 0.1 * share)


def test_detection_is_perfect_where_parts_differ() -> None:
    made = space()
    frame = tables.noisy_detection(tables.noisy_measured(made, made.cells))
    for other, expected in (("swapped", 1), ("duplicated", 0)):
        row = only(frame, benchmark="financial", weighting=IMP, score="diversity", other=other)
        assert row["auroc"] == expected and (row["n_original"], row["n_other"]) == (20, 20)
    first = only(frame, benchmark="financial", weighting=DIMP, score="diversity", epoch=1, other="swapped")
    assert first["auroc"] == 0.5


def test_claims_follow_the_rule_on_the_differences() -> None:
    made = space()
    frame = tables.noisy_claims(made, made.cells, tables.noisy_measured(made, made.cells))
    expected = {
        "P' is higher for original than for duplicated texts": (0.2, "holds"),
        "Q is lower for original than for duplicated texts": (0.1, "holds"),
        "Q is lower for swapped than for original texts": (0.2, "holds"),
        "IMP's weight is higher for original than for swapped texts": (2 - 1, "holds"),
        "IMP's weight is higher for original than for duplicated texts": (2 - 1.2, "holds"),
        "DIMP's weight is higher for original than for swapped texts": ((2 + 1 - 0.5 - 0.5) / 2, "holds"),
    }
    for claim, (gap, verdict) in expected.items():
        row = only(frame, claim=claim, benchmark="financial")
        assert row["mean"] == pytest.approx(gap, abs=1e-6) and row["verdict"] == verdict and row["n"] == 40
    assert only(frame, claim="P' is higher for original than for swapped texts", benchmark="mrpc")["item"] == ""
    learnt = only(frame, claim="DIMP's p is lower for original than for duplicated texts", benchmark="financial")
    assert (learnt["item"], learnt["epochs"]) == ("Figure 6", "1 of 2")
    accuracy = only(frame, claim="Noisy data: IMP beats CE", benchmark="mrpc")
    assert accuracy["paper_difference"] == pytest.approx(76 - 74.03) and accuracy["item"] == "Table 4"
    assert set(frame[frame["benchmark"] == "all"]["section"]) == {"G.2", "G.3"}


def test_missing_seeds_are_told_and_nothing_is_judged() -> None:
    for gone, status in (((1,), "1 of 2 seeds"), ((0, 1), "0 of 2 seeds")):
        made = space(gone=gone)
        measured = tables.noisy_measured(made, [*made.cells, *crossed(made)])
        for frame in (tables.noisy_scores(measured), tables.noisy_detection(measured)):
            assert set(frame["status"]) == {status} and len(frame)
        claims = tables.noisy_claims(made, made.cells, measured)
        assert set(claims[claims["claim"].str.contains(" texts")]["verdict"]) == {"not complete"}
        assert len(tables.noisy_memory(measured, 2)) == (4 if len(gone) == 1 else 0)


def test_the_logarithm_of_the_weight_is_the_sum_of_its_parts() -> None:
    made = space()
    frame = tables.noisy_log_weights(tables.noisy_measured(made, made.cells))
    means = frame.pivot(index=["benchmark", "other"], columns="score", values="mean")
    assert means["weight"].to_numpy() == pytest.approx((means["quality"] + means["diversity"]).to_numpy())
    assert means.loc[("mrpc", "duplicated"), "diversity"] == pytest.approx(np.log(0.5) - np.log(0.4), rel=1e-5)


def test_twins_are_told_apart_by_their_folds() -> None:
    made = space()
    frame = tables.noisy_memory(tables.noisy_measured(made, [*made.cells, *crossed(made)]), 2)
    assert tuple(frame["texts"]) == TWINS and set(frame["benchmark"]) == {"financial"}
    assert only(frame, texts="original")["mean"] == pytest.approx(0.1, rel=1e-5)
    assert frame["mean"].iloc[1:].to_numpy() == pytest.approx(0)
    fold = fold_of(made.benchmark("financial").pool(NOISY_POOL).labels, 2)
    apart = int((fold[40:60] != fold[60:80]).sum())  # the two runs of 20 copies, after 20 originals and 20 swapped
    assert frame["n_texts"].tolist() == [20, 20, apart, 20 - apart]


def test_cross_fitted_checkers_are_kept_apart() -> None:
    made = space()
    measured = tables.noisy_measured(made, [*made.cells, *crossed(made)])
    frame = tables.noisy_scores(measured)
    row = only(frame, weighting=CROSS_FITTED, score="diversity", part="original")
    assert (row["benchmark"], row["mean"]) == ("financial", pytest.approx(0.3))
    assert only(frame, weighting=IMP, score="diversity", part="original", benchmark="financial")["mean"] == (
        pytest.approx(0.4)
    )


# ---------------------------------------------------------------- pictures


def words(figure: Figure) -> str:
    figure.draw_without_rendering()
    found = figure.findobj(lambda artist: hasattr(artist, "get_text"))
    return " ".join(artist.get_text() for artist in found).replace("\n", " ")  # type: ignore[attr-defined]


def test_pictures_show_the_numbers_of_the_tables(tmp_path: Path) -> None:
    made = space("miniature")
    measured = tables.noisy_measured(made, [*made.cells, *crossed(made)])
    scores = tables.noisy_scores(measured).assign(profile="demo")
    figure = figures.noisy_bars(scores, "financial")
    heights = [bar.get_height() for bar in figure.axes[0].patches]  # type: ignore[attr-defined]
    weights = [QUALITY[part] / DIVERSITY[part] for part in noise.PARTS]
    assert heights == pytest.approx([*QUALITY.values(), *DIVERSITY.values(), *weights], rel=1e-6)
    text = words(figure)
    assert "n = 2 seeds" in text and "20 duplicated, these twice" in text and "noisy_scores.csv, profile demo" in text
    assert "true" in text and "INCOMPLETE" not in text
    lines = figures.noisy_epochs(scores, "diversity").axes[0].lines
    assert [line.get_ydata().tolist() for line in lines] == [pytest.approx(p) for p in LEARNT.values()]  # type: ignore[union-attr]
    made_table = tables.noisy_detection(measured).assign(profile="demo")
    found = tables.load(tables.save(made_table, tmp_path / "noisy_detection.csv"))
    text = words(figures.noisy_detection(found))
    assert "cross-fitted" in text and "epoch 2 " in text and "P/Q$, true" in text
    again = [figures.save(figures.noisy_detection(found), tmp_path / name) for name in "ab"]
    assert [p.read_bytes() for p in again[0]] == [p.read_bytes() for p in again[1]]


def test_pictures_of_an_unfinished_grid_say_so() -> None:
    made = space(gone=(1,))
    scores = tables.noisy_scores(tables.noisy_measured(made, made.cells)).assign(profile="mini")
    assert "INCOMPLETE: 1 of 2 seeds" in words(figures.noisy_bars(scores, "mrpc"))
    made = space(gone=(0, 1))
    measured = tables.noisy_measured(made, made.cells)
    scores = tables.noisy_scores(measured).assign(profile="mini")
    assert "n = 0 seeds" in words(figures.noisy_bars(scores, "mrpc"))
    assert "INCOMPLETE" in words(figures.noisy_epochs(scores, "weight"))
    found = tables.noisy_detection(measured).assign(profile="mini")
    assert "INCOMPLETE" in words(figures.noisy_detection(found))


def test_given_axes_are_drawn_on() -> None:
    made = space()
    measured = tables.noisy_measured(made, made.cells)
    scores = tables.noisy_scores(measured)
    axes = Figure().subplots(2)
    assert figures.bars(scores, "mrpc", ax=axes[0]) is axes[0]
    learnt = scores[(scores["weighting"] == DIMP) & (scores["score"] == "weight")]
    assert figures.epoch_lines(learnt, "mrpc", ax=axes[1]) is axes[1]
    assert all(ax.has_data() for ax in axes)
