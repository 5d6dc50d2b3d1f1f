"""Descent reaches the closed forms; distances of made-up models are what was put in; claims follow the rule."""

from __future__ import annotations

from dataclasses import dataclass, replace

import fake_runs
import numpy as np
import pandas as pd
import pytest
import tiny

from paper_repro.paper.cells import Cell
from paper_repro.paper.csv_files import records
from paper_repro.paper.theory import cells as grids
from paper_repro.paper.theory import closed_forms, convergence, dimp_runs, fixed_points
from paper_repro.paper.theory.claims import theory_claims
from paper_repro.runs.spec import RunResult, RunSpec
from paper_repro.texts.pools import Truth


def test_descent_reaches_every_closed_form_and_no_other() -> None:
    frame = fixed_points.tabular(texts=8)
    assert len(frame) == len(fixed_points.TABULAR) and (frame["to_limit"] < 1e-6).all()
    rows = frame.set_index(["method", "gamma", "detach"])
    assert rows.loc[("ce", 1.0, True), "to_q"] < 1e-9 < rows.loc[("ce", 1.0, True), "to_quality"]
    assert rows.loc[("imp", 1.0, True), "to_quality"] < 1e-9


# ---------------------------------------------------------------- distances


@dataclass
class Models(fake_runs.FakeResults):
    """Runs that have learnt a given distribution; seed s lies ``far`` + ``off`` * s of the way to the uniform one."""

    far: float = 0.0
    off: float = 0.02
    taught_by_p: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        p, q = np.random.default_rng(0).dirichlet(np.full(3, 2.0), (2, self.examples))
        self.benchmark("financial").truth["test"] = Truth(p=p, q=q)  # type: ignore[index]

    def result(self, spec: RunSpec) -> RunResult | None:
        truth = self.benchmark("financial").truth["test"]
        quality = np.random.default_rng(1).dirichlet(np.full(3, 2.0), self.examples)
        if (spec.source.pool, spec.method, spec.benchmark, spec.seed) in self.missing:
            return None
        if spec.source.pool == "dev":
            learnt = quality
        else:
            teacher = truth.p if self.taught_by_p else quality
            learnt = fixed_points.candidates(truth.q, teacher, truth.p)[fixed_points.predicted(spec)]
        share = self.far + self.off * spec.seed
        made = self.made(spec, 0.5, np.random.default_rng(0))
        return replace(made, test_probabilities=(1 - share) * learnt + share / 3)


def setting(**changes: object) -> tuple[Models, list[Cell]]:
    results = Models(fake_runs.profile("miniature"), **changes)  # type: ignore[arg-type]
    return results, grids.limits(results.profile)


def test_models_at_their_limits_are_found_there() -> None:
    frame = fixed_points.distances(*setting(examples=120))
    at_home = frame[frame["predicted"]]
    assert len(frame) == 6 * len(fixed_points.CANDIDATES) and len(at_home) == 6
    assert (at_home["distance"] < 0.02).all() and (frame.loc[~frame["predicted"], "distance"] > 0.03).all()
    assert (frame["n"] == 120).all() and (frame["n_seeds"] == 3).all()
    summary = fixed_points.summary(frame)
    assert (summary["nearest"] == summary["predicted"]).all() and (summary["verdict"] == "holds").all()
    # Seed s lies 0.02 s of the way to the uniform one: the pairs are (1 + 1 + 2) / 3, the limit (0 + 1 + 2) / 3 away.
    np.testing.assert_allclose(summary["noise"] / summary["distance"], 4 / 3, rtol=1e-6)
    assert (summary["within_noise"] == "yes").all()


def test_models_at_another_limit_are_not_called_right(monkeypatch: pytest.MonkeyPatch) -> None:
    results, cells = setting(examples=120)
    ce = [cell for cell in cells if cell.method in ("ce", "imp")]
    made = {cell.spec: results.result(cell.spec) for cell in ce}
    monkeypatch.setattr(results, "result", lambda spec: made[spec] if spec in made else Models.result(results, spec))
    monkeypatch.setattr(fixed_points, "predicted", lambda spec: "imp" if spec.method == "ce" else spec.method)
    row = records(fixed_points.summary(fixed_points.distances(results, ce)))[0]
    assert (row["nearest"], row["predicted"], row["within_noise"], row["verdict"]) == ("ce", "imp", "no", "fails")


def test_no_loss_is_judged_without_the_quality_checker_of_all() -> None:
    results, cells = setting(examples=40, missing=frozenset({("dev", "ce", "financial", 0)}))
    assert set(fixed_points.summary(fixed_points.distances(results, cells))["status"]) == {"0 of 3 seeds"}
    assert fixed_points.summary(fixed_points.distances(results, [])).empty


def test_arrival_is_judged_by_the_whole_interval() -> None:
    results, _ = setting(examples=120, taught_by_p=True)
    frames = []
    for texts, off in {2000: 0.4, 32_000: 0.04}.items():
        results.off = off
        frames.append(fixed_points.distances(results, grids.growing(results.profile)).assign(texts=texts))
    assert set(frames[0]["candidate"]) == set(fixed_points.CANDIDATES) - {"p"}, "P' is P"
    q = results.benchmark("financial").truth["test"].q
    from_uniform = closed_forms.total_variation(q, np.full_like(q, 1 / 3)).mean()
    found = fixed_points.arrivals(pd.concat(frames), 0.05)
    assert found["method"].tolist() == list(grids.WITH_EXACT_CHECKERS)
    assert (found["texts"] == 32_000).all() and (found["nearest"] == found["predicted"]).all()
    np.testing.assert_allclose(found.loc[0, ["first", "distance"]].astype(float), from_uniform * np.array([0.4, 0.04]))
    # The seeds are 0, d and 2 d away: Student's interval of three goes from -1.5 d to 3.5 d.
    away = found.loc[0, "distance"]
    verdicts = {share: fixed_points.arrivals(frames[1], share * away)["verdict"][0] for share in (2, 5)}
    assert verdicts == {2: "inconclusive", 5: "holds"}
    results.far, results.off = 0.4, 0.01
    far = fixed_points.distances(results, grids.growing(results.profile)).assign(texts=32_000)
    assert set(fixed_points.arrivals(far, away)["verdict"]) == {"fails"}


# ---------------------------------------------------------------- real DIMP runs, and the claims


@pytest.fixture(scope="module")
def epochs(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Of two planned runs, one that is there."""
    folder = tmp_path_factory.mktemp("dimp")
    study = tiny.study(tiny.make_inputs(folder), folder / "results")
    cells = [Cell("", "dimp", "financial", seed, tiny.spec("dimp", seed=seed)) for seed in (0, 1)]
    study.run([cells[0].spec], progress=False)
    return dimp_runs.by_epoch(study, cells)


def test_a_dimp_run_by_epoch(epochs: pd.DataFrame) -> None:
    """The weight that a run used is the reducible loss; the bound holds, and what lies between adds up."""
    done = epochs[epochs["status"] == "complete"]
    assert done["epoch"].tolist() == [1, 2] and (done["n"] == tiny.SIZES["generated"]).all()
    assert (done["log_weight_gap"] < 1e-12).all()
    assert (done["recorded_gap"] < 1e-5).all(), "training recorded the same weights, in single precision"
    assert done["top_tenth"].between(0.1, 1).all() and done["negative"].between(0, 1).all()
    assert (done["gap_min"] >= -1e-12).all()
    np.testing.assert_allclose(done["loss"] - done["bound"], done["am_gm"] + done["hoelder"], rtol=1e-9)
    assert epochs.loc[epochs["seed"] == 1, "status"].tolist() == ["missing"]


def test_claims_follow_the_rule(epochs: pd.DataFrame) -> None:
    simulated = convergence.simulated(["mrpc"], (1000, 3000), resamples=500)
    limits = fixed_points.distances(*setting(examples=60))
    place = {"benchmark": "mrpc", "epochs": 1, "target": "D_P'", "criterion": "P'/p", "n": 50}
    spans = {"whole": (0.5, 0.3, 0.7), "1/32": (-0.2, -0.4, -0.1)}
    numbers = {step: dict(zip(("spearman", "low", "high"), span, strict=True)) for step, span in spans.items()}
    steps = pd.DataFrame([{**place, "step": step, **span} for step, span in numbers.items()])
    summary = fixed_points.summary(limits).assign(variant="larger")
    claims = theory_claims(simulated, epochs, steps, summary, limits, pd.DataFrame())
    verdicts = claims.set_index("id")["verdict"].to_dict()
    assert verdicts["chebyshev"] == "holds"
    assert (verdicts["one_step_1_whole"], verdicts["one_step_1_1/32"]) == ("holds", "fails")
    assert {verdicts[f"limit_{row}"] for row in grids.WITH_CHECKERS} == {"holds"}
    assert verdicts["nearer_to_p_dimp"] == "fails", "at its limit a model is further from P"
    assert verdicts["reducible_loss"] == verdicts["lower_bound"] == "incomplete", "one of two runs is missing"
    assert not claims.duplicated(["id", "variant", "benchmark"]).any()
