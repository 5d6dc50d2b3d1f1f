"""Descent reaches the closed forms; distances of made-up models are what was put in; claims follow the rule."""

from __future__ import annotations

from pathlib import Path

import fake_runs
import numpy as np
import pandas as pd
import pytest
import tiny
from paper_repro.experiments import Cell

from paper_repro import experiments, tables
from paper_repro.method.losses import Switches
from paper_repro.paper.theory import closed_forms, dimp_runs, fixed_points
from paper_repro.runs import profiles
from paper_repro.runs.spec import Checker, RunResult, RunSpec
from paper_repro.texts.pools import Truth


def test_descent_reaches_every_closed_form_and_no_other() -> None:
    frame = fixed_points.tabular(texts=8)
    assert len(frame) == len(fixed_points.TABULAR)
    assert (frame["to_limit"] < 1e-6).all()
    rows = frame.set_index(["method", "gamma", "detach"])
    assert rows.loc[("ce", 1.0, True), "to_q"] < 1e-9 < rows.loc[("ce", 1.0, True), "to_quality"]
    assert rows.loc[("imp", 1.0, True), "to_quality"] < 1e-9


# ---------------------------------------------------------------- the grid


def test_the_runs_differ_by_training_seed_alone() -> None:
    profile = profiles.load("demo")
    cells = experiments.limits(profile, seeds=2)
    assert len(cells) == len({cell.spec for cell in cells}) == 12
    for cell in cells:
        run = cell.spec
        assert (run.recipe.select, run.source.pool) == ("last", "generated")
        assert run.quality is None or (run.quality.run is not None and run.quality.run.seed == profile.seeds[0])
    titles = {cell.method: cell.spec for cell in cells if cell.seed == profile.seeds[0]}
    exact, estimated = titles["IMP, exact Q"].diversity, titles["IMP, estimated Q"].diversity
    assert exact is not None and exact.exact == "q"
    assert estimated is not None and estimated.run == titles["CE"]
    assert titles["DIMP, gamma 2"].switches == Switches(gamma=2)


def test_usual_runs_are_those_of_table_1() -> None:
    profile = profiles.load("demo")
    assert {cell.spec for cell in experiments.usual_runs(profile)} < {cell.spec for cell in experiments.table1(profile)}


# ---------------------------------------------------------------- distances


class Models(fake_runs.FakeWorkspace):
    """Runs whose predictions are a given law; seed s lies ``off`` * s of the way to the uniform one."""

    off = 0.02

    def laws(self, run: RunSpec) -> np.ndarray:
        truth = self.benchmark("financial").truth["test"]
        quality = np.random.default_rng(1).dirichlet(np.full(3, 2.0), self.examples)
        if run.source.pool == "dev":
            return quality
        return fixed_points.candidates(truth.q, quality, truth.p)[fixed_points.predicted(run)]

    def result(self, run: RunSpec) -> RunResult | None:
        if (experiments.SOURCES[run.source.pool], run.method, run.benchmark, run.seed) in self.missing:
            return None
        law, share = self.laws(run), self.off * run.seed
        made = super().result(experiments.table1(self.profile)[0].spec)
        assert made is not None
        object.__setattr__(made, "test_probabilities", (1 - share) * law + share / 3)
        return made


def setting(
    kind: type[Models] = Models, **changes: object
) -> tuple[Models, list[Cell], dict[tuple[str, int], Checker]]:
    space = kind(fake_runs.profile("miniature"), **changes)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.full(3, 2.0), (2, space.examples))
    space.benchmark("financial").truth["test"] = Truth(p=p, q=q)  # type: ignore[index]
    cells = experiments.limits(space.profile)
    teacher = Checker(experiments.spec(space.profile, "financial", "dev", "ce", 0))
    return space, cells, {("financial", seed): teacher for seed in range(4)}


def test_models_at_their_limits_are_found_there() -> None:
    space, cells, teachers = setting(examples=120)
    frame = fixed_points.distances(space, cells, teachers)
    at_home = frame[frame["predicted"]]
    assert len(frame) == 6 * len(fixed_points.CANDIDATES) and len(at_home) == 6
    assert (at_home["mean"] < 0.02).all() and (frame.loc[~frame["predicted"], "mean"] > 0.03).all()
    assert (frame["n"] == 120).all() and (frame["n_seeds"] == 3).all()
    summary = fixed_points.summary(frame)
    assert (summary["nearest"] == summary["predicted"]).all() and (summary["verdict"] == "holds").all()
    # Seed s lies 0.02 s of the way to the uniform law: the pairs are (1 + 1 + 2) / 3, the limit (0 + 1 + 2) / 3 away.
    np.testing.assert_allclose(summary["noise"] / summary["distance"], 4 / 3, rtol=1e-6)
    assert (summary["within_noise"] == "yes").all()


def test_models_at_another_limit_are_not_called_right() -> None:
    space, cells, teachers = setting(examples=120)
    wrong = [Cell(c.train_source, "IMP", c.benchmark, c.seed, c.spec) for c in cells if c.method == "CE"]
    frame = fixed_points.distances(space, wrong, teachers)
    frame["predicted"] = frame["candidate"] == "P'"
    for name in ("margin", "margin_low", "margin_high"):
        frame[name] = frame["mean"] - frame.loc[frame["predicted"], "mean"].iloc[0]
    (row,) = tables.records(fixed_points.summary(frame))
    assert (row["nearest"], row["predicted"], row["within_noise"], row["verdict"]) == ("Q", "P'", "no", "fails")


def test_missing_runs_are_told() -> None:
    gone = {("GPT-3.5 generated", "imp", "financial", 1)} | {
        ("GPT-3.5 generated", "ce", "financial", seed) for seed in range(4)
    }
    space, cells, teachers = setting(examples=40, missing=frozenset(gone))
    summary = fixed_points.summary(fixed_points.distances(space, cells, teachers)).set_index("loss")
    assert summary.loc["CE", "status"] == "0 of 3 seeds"
    assert summary.loc["IMP, exact Q", "status"] == "2 of 3 seeds"
    assert set(summary.loc[["CE", "IMP, exact Q"], "verdict"]) == {"not complete"}


def test_nothing_at_all_is_told_too() -> None:
    lost = {("Small real world", "ce", "financial", 0)}  # the quality checker's run, which all need
    space, cells, teachers = setting(examples=40, missing=frozenset(lost))
    frame = fixed_points.distances(space, cells, teachers)
    assert set(fixed_points.summary(frame)["status"]) == {"0 of 3 seeds"}
    assert fixed_points.summary(fixed_points.distances(space, [], teachers)).empty


# ---------------------------------------------------------------- exact checkers and a growing D_Q


class Students(Models):
    """Runs that were taught by the exact P and Q."""

    def laws(self, run: RunSpec) -> np.ndarray:
        truth = self.benchmark("financial").truth["test"]
        return fixed_points.candidates(truth.q, truth.p, truth.p)[fixed_points.predicted(run)]


def test_growing_runs_have_the_exact_laws_for_checkers() -> None:
    profile = profiles.load("demo")
    cells = experiments.growing(profile, seeds=2)
    assert [cell.method for cell in cells[:4]] == ["CE", "w/o diversity checker", "IMP", "DIMP"]
    for cell in cells:
        checkers = [one for one in (cell.spec.quality, cell.spec.diversity) if one is not None]
        assert [one.exact for one in checkers] == {"ce": [], "imp": ["p", "q"]}.get(cell.spec.method, ["p"])
        assert cell.spec.recipe.select == "last"


def test_arrival_is_judged_by_the_whole_interval() -> None:
    space, _, _ = setting(Students, examples=120)
    cells = experiments.growing(space.profile)
    exact = {("financial", seed): Checker(exact="p") for seed in range(4)}
    frames = []
    for texts, off in {2000: 0.4, 32_000: 0.04}.items():
        space.off = off
        frames.append(fixed_points.distances(space, cells, exact).assign(texts=texts))
    assert set(frames[0]["candidate"]) == set(fixed_points.CANDIDATES) - {"P"}, "P' is P"
    q = space.benchmark("financial").truth["test"].q
    from_uniform = closed_forms.total_variation(q, np.full_like(q, 1 / 3)).mean()
    found = fixed_points.arrivals(pd.concat(frames), 0.05)
    assert found["loss"].tolist() == ["CE", "w/o diversity checker", "IMP", "DIMP"]
    assert (found["texts"] == 32_000).all() and (found["nearest"] == found["predicted"]).all()
    np.testing.assert_allclose(found.loc[0, ["first", "distance"]].astype(float), from_uniform * np.array([0.4, 0.04]))
    # The seeds are 0, 0.04 and 0.08 of the way off: Student's interval of three can reach beyond 0.05.
    assert ((found["high"] < 0.05) == (found["verdict"] == "holds")).all()
    assert fixed_points.arrivals(frames[0], 0.001)["verdict"].isin(["fails", "cannot be told"]).all()


# ---------------------------------------------------------------- real DIMP runs


@pytest.fixture(scope="module")
def epochs(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    folder = tmp_path_factory.mktemp("dimp")
    space = tiny.workspace(tiny.make_inputs(folder), folder / "results")
    cells = [Cell("", "DIMP", "financial", seed, tiny.spec("dimp", seed=seed)) for seed in (0, 1)]
    space.run([cells[0].spec], progress=False)
    return dimp_runs.by_epoch(space, cells)


def test_the_weight_that_a_run_used_is_the_reducible_loss(epochs: pd.DataFrame) -> None:
    done = epochs[epochs["status"] == "complete"]
    assert done["epoch"].tolist() == [1, 2] and (done["n"] == tiny.SIZES["generated"]).all()
    assert (done["log_weight_gap"] < 1e-12).all()
    assert (done["recorded_gap"] < 1e-5).all(), "training recorded the same weights, in single precision"
    assert done["top_tenth"].between(0.05, 1).all()


def test_the_bound_holds_in_a_run_and_its_parts_add_up(epochs: pd.DataFrame) -> None:
    done = epochs[epochs["status"] == "complete"]
    assert (done["gap_min"] >= -1e-12).all() and done["negative"].between(0, 1).all()
    np.testing.assert_allclose(done["loss"] - done["bound"], done["am_gm"] + done["hoelder"], rtol=1e-9)


def test_a_run_that_is_not_there_says_so(epochs: pd.DataFrame) -> None:
    assert epochs.loc[epochs["seed"] == 1, "status"].tolist() == ["missing"]


# ---------------------------------------------------------------- claims


def test_claims_follow_the_rule(epochs: pd.DataFrame, tmp_path: Path) -> None:
    from paper_repro.texts.world import WorldConfig

    convergence = pd.DataFrame(closed_forms.convergence(WorldConfig(), "mrpc", (1000, 3000), resamples=500))
    space, cells, teachers = setting(examples=60)
    limits = fixed_points.distances(space, cells, teachers)
    steps = pd.DataFrame(
        [
            ("mrpc", 1, "whole", "D_P'", "P' / p", *spans, 0.1, 50, 20)
            for spans in ((0.5, 0.3, 0.7), (-0.2, -0.4, -0.1))
        ],
        columns=["benchmark", "epochs", "step", "target", "criterion", "spearman", "low", "high", "better", "n", "m"],
    )
    to_p = limits[(limits["candidate"] == "P") & (limits["loss"] == "DIMP")]
    claims = tables.theory_claims(convergence, epochs, steps, fixed_points.summary(limits), to_p)
    by_item = claims.groupby("item", sort=False)["verdict"].agg(list).to_dict()
    assert by_item["App. B"] == ["holds"]
    assert by_item["Eq. 8"] == ["holds", "fails"]
    assert by_item[""] == ["holds"] * 6 + ["fails"], "at its limit a model is further from P"
    assert by_item["App. C"] == by_item["App. D"] == ["not complete"], "one of two runs is missing"
    assert claims["section"].tolist() == ["B", "C", "D", "4.2", "4.2", "3", "4.1", "4.1", "4.1", "4.2", "4.2", "4.2"]
    assert tables.load(tables.save(claims, tmp_path / "claims.csv")).columns.tolist() == list(claims.columns)
