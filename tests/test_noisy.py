"""App. G: where each noisy example comes from, and scores by part that are known beforehand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import fake_runs
import numpy as np
import pandas as pd
import pytest
from fake_runs import words
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from paper_repro.paper.noisy import figures, tables
from paper_repro.paper.noisy.cells import NOISY, table4
from paper_repro.paper.noisy.claims import noisy_claims
from paper_repro.paper.noisy.scores import DIMP, IMP, TRUE, Scores, measured
from paper_repro.runs.spec import Checker, RunSpec
from paper_repro.texts import noise
from paper_repro.texts.pools import Benchmark, Pool, Truth
from paper_repro.tools.errors import UserError

LABELS = st.lists(st.integers(0, 2), min_size=6, max_size=60).map(lambda v: np.array(v, dtype=np.int64))
QUALITY = {"original": 0.8, "swapped": 0.2, "duplicated": 0.6}
DIVERSITY = {"original": 0.4, "swapped": 0.2, "duplicated": 0.5}
LEARNT = {"original": (0.4, 0.8), "swapped": (0.4, 0.4), "duplicated": (0.4, 0.9)}


# ---------------------------------------------------------------- the noisy set


@given(labels=LABELS)
def test_the_composition_is_that_of_the_pool(labels: NDArray[np.int64]) -> None:
    frame = noise.composition(labels, 3)
    pool = Benchmark("financial", "", ("a", "b", "c"), {"train": Pool("train", tuple(map(str, labels)), labels)})
    assert frame["after"].tolist() == pool.pool(NOISY).labels.tolist()
    assert frame["before"].tolist() == [int(text) for text in pool.pool(NOISY).texts]
    assert ((frame["before"] != frame["after"]) == (frame["part"] == "swapped")).all()
    twice = frame[frame["part"] == "duplicated"]
    assert set(frame[frame["part"] != "duplicated"]["copy"]) == {0}
    assert twice["row"].tolist() == twice[twice["copy"] == 0]["row"].tolist() * 2


@given(p=st.floats(0, 1), swapped=st.floats(0, 1), classes=st.integers(2, 4))
def test_the_distribution_of_the_noisy_labels(p: float, swapped: float, classes: int) -> None:
    clean = np.full((1, classes), (1 - p) / (classes - 1))
    clean[0, 0] = p
    noisy = noise.label_law(clean, swapped)
    assert noisy.sum() == pytest.approx(1) and (noisy >= 0).all()
    assert noisy[0, 0] == pytest.approx((1 - swapped) * p + swapped * (1 - p) / (classes - 1))
    assert noise.label_law(clean, 0) == pytest.approx(clean)
    if swapped < 0.9 * (classes - 1) / classes and p > 1 / classes + 1e-6:
        assert noisy.argmax() == 0, "swaps that are uniform and not too many leave the best class in its place"
    with pytest.raises(ValueError, match="expected a share"):
        noise.label_law(clean, 1.2)


# ---------------------------------------------------------------- scores by part


@dataclass
class Scored(fake_runs.FakeResults):
    """Made-up runs whose checkers give every example of a part the same score; seeds in ``gone`` have none."""

    gone: tuple[int, ...] = ()

    def _make(self, name: str) -> Benchmark:
        made = super()._make(name)
        labels = made.pools["train"].labels
        size = (len(labels), made.classes)
        known = Truth(np.full(size, 0.1 / (made.classes - 1)), np.zeros(size))
        known.p[np.arange(len(labels)), labels] = 0.9
        return replace(made, truth={**made.truth, "train": known} if made.truth else {})

    def _by_part(self, benchmark: str, values: dict[str, float]) -> NDArray[np.float32]:
        made = self.benchmark(benchmark)
        parts = noise.composition(made.pool("train").labels, made.classes)
        return np.log(parts["part"].map(values).to_numpy(dtype=np.float32))

    def observed_scores(self, checker: Checker, benchmark: str, pool: str) -> NDArray[np.float64]:
        assert checker.run is not None and pool == NOISY
        if checker.run.seed in self.gone:
            raise UserError("no scores")
        said = QUALITY if checker.run.source.pool == "dev" else DIVERSITY
        return self._by_part(benchmark, said).astype(np.float64)

    def train_log_p(self, spec: RunSpec) -> NDArray[np.float32] | None:
        epochs = [self._by_part(spec.benchmark, {part: p[epoch] for part, p in LEARNT.items()}) for epoch in (0, 1)]
        return np.array(epochs)


def scored(kind: str = "real", gone: tuple[int, ...] = ()) -> tuple[Scored, list[Scores]]:
    profile = fake_runs.profile(kind, seeds=2)
    profile = replace(profile, recipes={**profile.recipes, "train": replace(profile.recipes["train"], epochs=2)})
    made = Scored(profile, table4(profile), gone=gone)
    return made, measured(made, made.cells)  # type: ignore[arg-type]


def only(frame: pd.DataFrame, **where: Any) -> pd.Series:
    for name, value in where.items():
        frame = frame[frame[name] == value]
    assert len(frame) == 1, frame
    return frame.iloc[0]


def test_means_by_part_are_the_scores_given() -> None:
    frame = tables.noisy_scores(scored()[1])
    assert len(frame) == 3 * 3 * (3 + 2 * 2)  # parts, benchmarks, IMP's scores, DIMP's by epoch
    for part in noise.PARTS:
        row = only(frame, benchmark="mrpc", weighting=IMP, score="weight", part=part)
        assert row[["mean", "low", "high"]].tolist() == pytest.approx([QUALITY[part] / DIVERSITY[part]] * 3, rel=1e-6)
        assert (row["n_seeds"], row["n_texts"], row["status"]) == (2, 20, "complete")
        assert row["n_examples"] == (40 if part == "duplicated" else 20)
        for epoch in (1, 2):
            learnt = only(frame, benchmark="mrpc", weighting=DIMP, score="weight", part=part, epoch=epoch)
            assert learnt["mean"] == pytest.approx(QUALITY[part] / LEARNT[part][epoch - 1], rel=1e-6)
    assert not (frame["weighting"] == TRUE).any()


def test_the_miniature_world_adds_the_exact_distribution() -> None:
    frame = tables.noisy_scores(scored("miniature")[1])
    exact = [only(frame, benchmark="mrpc", weighting=TRUE, score="quality", part=part)["mean"] for part in noise.PARTS]
    assert exact == pytest.approx([0.9, 0.1, 0.9])
    share = 20 / 80
    noisy = only(frame, benchmark="mrpc", weighting=TRUE, score="diversity", part="original")
    assert noisy["mean"] == pytest.approx(0.9 * (1 - share) + 0.1 * share)


def test_detection_is_perfect_where_parts_differ() -> None:
    frame = tables.noisy_detection(scored()[1])
    for other, expected in (("swapped", 1), ("duplicated", 0)):
        row = only(frame, benchmark="financial", weighting=IMP, score="diversity", other=other)
        assert row["auroc"] == expected and (row["n_original"], row["n_other"]) == (20, 20)
    first = only(frame, benchmark="financial", weighting=DIMP, score="diversity", epoch=1, other="swapped")
    assert first["auroc"] == 0.5


def test_claims_follow_the_rule_on_the_differences() -> None:
    made, found = scored()
    frame = noisy_claims(made, made.cells, found)  # type: ignore[arg-type]
    expected = {
        "imp_quality_original_duplicated": (0.2, "holds"),
        "imp_diversity_original_duplicated": (0.1, "holds"),
        "imp_diversity_swapped_original": (0.2, "holds"),
        "imp_weight_original_swapped": (2 - 1, "holds"),
        "imp_weight_original_duplicated": (2 - 1.2, "holds"),
        "dimp_diversity_original_duplicated": ((0.9 - 0.8) / 2, "holds"),
        "dimp_weight_original_swapped": ((2 + 1 - 0.5 - 0.5) / 2, "holds"),
    }
    for name, (gap, verdict) in expected.items():
        row = only(frame, id=name, benchmark="financial")
        assert (row["mean"], row["verdict"], row["n_texts"]) == (pytest.approx(gap, abs=1e-6), verdict, 40)
    learnt = only(frame, id="dimp_diversity_original_duplicated", benchmark="financial")
    assert (learnt["item"], learnt["epochs"]) == ("Figure 6", "1 of 2")
    assert only(frame, id="imp_quality_original_swapped", benchmark="mrpc")["item"] == ""
    accuracy = only(frame, id="noisy_imp_ce", benchmark="mrpc")
    assert (accuracy["paper_difference"], accuracy["item"]) == (pytest.approx(76 - 74.03), "Table 4")
    assert set(frame[frame["benchmark"] == "all"]["id"]) == {"noisy_baselines", "original_weights"}


def test_dimps_weight_is_judged_in_every_epoch() -> None:
    """Original above swapped by 1 and, in the second epoch, below it: on average above, but not in every epoch."""
    made, found = scored()
    (one,) = (o for o in found if (o.weighting, o.score, o.benchmark) == (DIMP, "weight", "mrpc"))
    values = one.values.copy()
    values[:, 1, one.rows_of("swapped").ravel()] = 1.2
    frame = noisy_claims(made, [], [replace(one, values=values)])  # type: ignore[arg-type]
    row = only(frame, id="dimp_weight_original_swapped", benchmark="mrpc")
    assert row["mean"] > 0 and (row["epochs"], row["verdict"]) == ("1 of 2", "fails")


def test_the_logarithm_of_the_weight_is_the_sum_of_its_parts() -> None:
    frame = tables.noisy_log_weights(scored()[1])
    means = frame.pivot(index=["benchmark", "other"], columns="score", values="mean")
    assert means["weight"].to_numpy() == pytest.approx((means["quality"] + means["diversity"]).to_numpy())
    assert means.loc[("mrpc", "duplicated"), "diversity"] == pytest.approx(np.log(0.5) - np.log(0.4), rel=1e-5)


def test_pictures_show_the_numbers_of_the_tables() -> None:
    _, found = scored("miniature")
    scores = tables.noisy_scores(found)
    figure = figures.noisy_bars(scores, "financial", "demo")
    heights = [bar.get_height() for bar in figure.axes[0].patches]  # type: ignore[attr-defined]
    weights = [QUALITY[part] / DIVERSITY[part] for part in noise.PARTS]
    assert heights == pytest.approx([*QUALITY.values(), *DIVERSITY.values(), *weights], rel=1e-6)
    assert "n = 2 seeds" in (text := words(figure)) and "INCOMPLETE" not in text
    lines = figures.noisy_epochs(scores, "diversity").axes[0].lines
    assert [line.get_ydata().tolist() for line in lines] == [pytest.approx(p) for p in LEARNT.values()]  # type: ignore[union-attr]
