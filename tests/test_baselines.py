"""The baselines as runs of the engine: they finish, repeat themselves, record their weights, and fail with a reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch

from paper_repro.method import train
from paper_repro.method.baselines import confident, filtering
from paper_repro.method.recipe import Recipe
from paper_repro.method.registry import METHODS, options_of
from paper_repro.method.train import Trained, TrainingData
from paper_repro.model import classifier
from paper_repro.paper.more_baselines.cost import passes
from paper_repro.runs.spec import Checker, RunSpec, Source
from paper_repro.study import Study
from paper_repro.tools.errors import TrainingError, UserError

pytestmark = pytest.mark.usefixtures("one_thread")
RECIPE = Recipe(learning_rate=3e-3, epochs=2, batch_size=16, max_length=32)
META = ("hu", "ren", "meta_weight_net", "sungen")
QUICK: Mapping[str, dict[str, float | str]] = {"sungen": {"iterations": 2}, "rho": {"share": 0.34}}


@pytest.fixture(scope="module")
def data(encoder: Path) -> TrainingData:
    made = tiny.training_data(encoder)
    draw = np.random.default_rng(1)
    scores = [np.log(draw.dirichlet(np.ones(3), len(made.train))).astype(np.float32) for _ in range(2)]
    rows = np.arange(len(made.train))
    observed = {
        "log_quality": scores[0][rows, made.train_labels],
        "log_diversity": scores[1][rows, made.train_labels],
    }
    return replace(made, log_quality_all=scores[0], log_diversity_all=scores[1], **observed)


def run(
    method: str,
    encoder: Path,
    data: TrainingData,
    recipe: Recipe = RECIPE,
    seen: list[Any] | None = None,
    *,
    dropout: float | None = None,
    **options: Any,
) -> Trained:
    """As the execution does it; what every step yields goes to ``seen``: (rows, log p, weights, the loop)."""

    class Watched(METHODS[method].implementation.Step):  # type: ignore[misc, name-defined]
        def step(self, batch: Any) -> Any:
            found = super().step(batch)
            if seen is not None:
                seen.append((batch.rows, found[1], found[2], self))
            return found

    step = partial(Watched, **options_of(method, {**QUICK.get(method, {}), **options}))
    return train.train(data, encoder, method, recipe, 0, loop=step, dropout=dropout)


# -- as runs of a study ---------------------------------------------------------------------------------------


def spec_of(method: str) -> RunSpec:
    checker, own = Checker(tiny.spec("ce", "dev")), Checker(tiny.spec("ce"), folds=2)
    return tiny.spec(
        method,
        quality=checker if METHODS[method].quality else None,
        diversity=own if METHODS[method].diversity else None,
        options=tuple(QUICK.get(method, {}).items()) + ((("tau", 0.2),) if method == "filter" else ()),
    )


TRAINED = ("distil", "filter", "rho", *META)


@pytest.fixture(scope="module")
def twice(inputs: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> list[Study]:
    made = [tiny.study(inputs, tmp_path_factory.mktemp(f"results{i}")) for i in range(2)]
    for i, study in enumerate(made):
        study.run([spec_of(method) for method in TRAINED][:: 1 - 2 * i], progress=False)
    return made


@pytest.mark.parametrize("method", TRAINED)
def test_a_run_finishes_repeats_itself_and_records_its_weights(twice: list[Study], method: str) -> None:
    spec = spec_of(method)
    first, second = (tiny.result_fingerprint(study, spec) for study in twice)
    assert first == second
    result = twice[0].result(spec)
    assert result is not None and len(result.history) == tiny.RECIPE.epochs
    for row in result.history:
        assert np.isfinite([row.train_loss, row.weight_mean, row.weight_ess, row.weight_max]).all()
        assert 0.1 - 1e-6 <= row.weight_top_tenth <= 1
        if method == "hu":  # the mean of every batch is 1 ...
            assert row.weight_mean == pytest.approx(1, rel=1e-4)
        if method == "ren":  # ... or 0 where nothing is of use
            assert 0 < row.weight_mean < 1 + 1e-4
    if method in META:
        assert any(row.weight_max > row.weight_mean for row in result.history)


def test_confident_learning_as_a_run(inputs: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("cleanlab", reason="the extra 'cleanlab' is not installed")
    made, spec = tiny.study(inputs, tmp_path), spec_of("confident")
    made.run([spec], progress=False)
    result = made.result(spec)
    assert result is not None, made.failure(spec)
    assert result.history[0].weight_mean == 1
    with pytest.raises(UserError, match="needs out-of-sample scores"):
        made.run([replace(spec, diversity=Checker(tiny.spec("ce")))], progress=False)


def test_a_failure_is_recorded_and_the_rest_goes_on(inputs: dict[str, str], tmp_path: Path) -> None:
    made = tiny.study(inputs, tmp_path)
    bad = {
        tiny.spec("hu", selection="dev:2"): "no example of class",  # two of three classes, at most
        tiny.spec("meta_weight_net", recipe=replace(tiny.RECIPE, learning_rate=1e30)): "not finite",
        tiny.spec("filter", quality=Checker(tiny.spec("ce", "dev")), options=(("tau", 0.9999),)): "tau=0.9999",
    }
    good = tiny.spec("ce")
    made.run([*bad, good], progress=False)
    assert made.result(good) is not None and all(made.result(spec) is None for spec in bad)
    assert all(reason in (made.failure(spec) or "") for spec, reason in bad.items())
    assert [made.failure_kind(spec) for spec in bad] == ["TrainingError", "TrainingError", "NothingLeft"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("method", META)
def test_the_look_ahead_runs_on_a_gpu(encoder: Path, data: TrainingData, method: str) -> None:
    step = partial(METHODS[method].implementation.Step, **options_of(method, QUICK.get(method, {})))
    found = train.train(data, encoder, method, replace(RECIPE, precision="bf16"), 0, loop=step, device="cuda")
    assert np.isfinite(found.train_log_p).all() and found.history[0].weight_max > 0


# -- what each step does --------------------------------------------------------------------------------------


def test_distillation_is_the_cross_entropy_to_the_checker(encoder: Path, data: TrainingData) -> None:
    """The first loss, by hand: the pool in one batch, no dropout. With soft labels of one and zero it is CE."""
    recipe = replace(RECIPE, batch_size=48, epochs=1)
    found = run("distil", encoder, data, recipe, dropout=0.0)
    model = classifier.build(encoder, 3, seed=0, device=torch.device("cpu"), dropout=0.0)
    log_p = train.score(model, train.Batcher(data.train, torch.device("cpu")), "fp32")
    assert data.log_quality_all is not None
    expected = -(np.exp(data.log_quality_all) * log_p).sum(axis=1).mean()
    assert found.history[0].train_loss == pytest.approx(float(expected), rel=1e-5)
    certain = np.where(np.eye(3, dtype=bool), np.float32(0), np.float32(-1e4))[data.train_labels]
    found = run("distil", encoder, replace(data, log_quality_all=certain))
    ce = train.train(data, encoder, "ce", RECIPE, 0)
    np.testing.assert_allclose(found.train_log_p, ce.train_log_p, rtol=1e-3, atol=1e-4)


def test_a_filter_keeps_what_the_checker_believes(data: TrainingData) -> None:
    assert data.log_quality is not None
    kept = filtering.prepare(data, 0.3)
    rows = np.exp(data.log_quality) > 0.3
    assert 0 < rows.sum() < 48
    for name in ("train_labels", "log_quality", "log_diversity", "log_quality_all", "log_diversity_all"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(data, name)[rows])
    np.testing.assert_array_equal(kept.train.ids, data.train.ids[rows])
    assert kept.dev is data.dev and kept.test is data.test
    assert len(filtering.prepare(data, 0).train) == 48
    with pytest.raises(UserError, match="tau=1: expected"):
        filtering.prepare(data, 1)


def test_rho_trains_on_the_largest_reducible_losses(encoder: Path, data: TrainingData) -> None:
    """ln(P'/p) of the scores before the step; the pool is one large batch here."""
    seen: list[Any] = []
    found = run("rho", encoder, data, replace(RECIPE, batch_size=12, epochs=1), seen, share=0.25)
    rows, log_p, weight, _ = seen[0]
    assert len(rows) == 48 and data.log_quality is not None
    reducible = torch.from_numpy(data.log_quality)[rows] - log_p
    chosen = reducible >= reducible.sort(descending=True).values[11]
    assert chosen.sum() == 12
    torch.testing.assert_close(weight, torch.where(chosen, 4.0, 0.0))
    start = classifier.build(encoder, 3, seed=0, device=torch.device("cpu"))
    before = train.score(start, train.Batcher(data.train, torch.device("cpu")), "fp32")
    np.testing.assert_allclose(log_p, before[rows, data.train_labels[rows]], rtol=1e-4, atol=1e-5)
    mean = torch.stack([w[r.argsort()] for r, _, w, _ in seen]).mean(dim=0)
    np.testing.assert_allclose(found.history[0].weight_max, mean.max())
    assert found.history[0].weight_mean == pytest.approx(1)


@pytest.mark.parametrize("share", [0.1, 0.34, 0.7, 1.0])
def test_rho_has_as_many_updates_as_ce_from_candidates_of_the_whole_pool(
    encoder: Path, data: TrainingData, share: float
) -> None:
    seen: list[Any] = []
    recipe = replace(RECIPE, batch_size=4)
    found = run("rho", encoder, data, recipe, seen, share=share)
    assert len(seen) == recipe.epochs * 48 / 4
    assert seen[-1][3].learning_rate() == 0  # the schedule ends with the last update
    large = round(4 / share)
    assert [len(rows) for rows, *_ in seen[: 48 // large]] == [large] * (48 // large)
    drawn = torch.cat([rows for rows, *_ in seen[: -(-48 // large)]])
    assert sorted(drawn.tolist()) == list(range(48))  # a pass over the pool holds every example once
    assert np.isfinite(found.train_log_p).all()
    lengths = [np.ptp(data.train.lengths[rows.numpy()]) for rows, *_ in seen if len(rows) == large]
    assert np.mean(lengths) > 4  # not from one length bucket


def test_hus_weights_of_a_first_step_are_equal_and_phi_stays_with_its_example(
    encoder: Path, data: TrainingData
) -> None:
    seen: list[Any] = []
    run("hu", encoder, data, replace(RECIPE, epochs=3), seen, norm="linear", w_init=2.0)
    np.testing.assert_allclose(seen[0][2], np.ones(16))
    step = seen[-1][3]
    for rows, _, weight, _ in seen[-3:]:
        np.testing.assert_allclose(weight, len(rows) * step.phi[rows] / step.phi[rows].sum(), rtol=1e-5)
    assert len(set(step.phi.tolist())) > 24 and step.phi.min() >= 1e-5


def test_a_dev_batch_of_the_whole_dev_set_is_the_dev_set(encoder: Path, data: TrainingData) -> None:
    phis = []
    for size in (0, 24, 4):
        seen: list[Any] = []
        options = {"dev_batch": size, "norm": "linear", "dropout": 0.0}
        run("hu", encoder, data, replace(RECIPE, epochs=1), seen, **options)  # type: ignore[arg-type]
        phis.append(seen[-1][3].phi)
    np.testing.assert_allclose(phis[1], phis[0], rtol=1e-3, atol=1e-5)
    assert not np.allclose(phis[2], phis[0], rtol=1e-3, atol=1e-5)


def test_ren_skips_a_step_without_weights(encoder: Path, data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every other batch is said to be of no use: two of four steps happen, and the schedule goes on in all."""
    module, calls = METHODS["ren"].implementation, []
    real = module.shares

    def shares(use: Any) -> Any:
        calls.append(1)
        return torch.zeros_like(use) if len(calls) % 2 else real(use.abs())

    monkeypatch.setattr(module, "shares", shares)
    seen: list[Any] = []
    run("ren", encoder, data, replace(RECIPE, epochs=1, batch_size=12), seen)
    step = seen[-1][3]
    assert step.step_count == 4 and [bool(weight.any()) for _, _, weight, _ in seen] == [False, True, False, True]
    assert {int(state["step"]) for state in step.optimiser.state.values()} == {2}
    monkeypatch.setattr(module, "shares", torch.zeros_like)
    with pytest.raises(TrainingError, match="all weights of the epoch that ends with step 4 are zero"):
        run("ren", encoder, data, replace(RECIPE, epochs=1, batch_size=12))


def test_the_weight_nets_look_ahead_has_a_rate_of_its_own(encoder: Path, data: TrainingData) -> None:
    """V's gradient grows with that rate alone; batches of one are taken, too."""
    seen: list[Any] = []
    run("meta_weight_net", encoder, data, replace(RECIPE, epochs=1, batch_size=1), seen)
    weights = torch.cat([weight for _, _, weight, _ in seen])
    assert ((weights > 0) & (weights < 1)).all() and len(set(weights.tolist())) > 40
    gradients = []
    for rate, learning_rate in ((1e-4, 1e-9), (2e-4, 1e-9), (1e-4, 1e-8)):
        recipe = replace(RECIPE, epochs=1, batch_size=48, learning_rate=learning_rate)
        run("meta_weight_net", encoder, data, recipe, seen, dropout=0.0, look_ahead_rate=rate)
        gradients.append(torch.cat([p.grad.flatten() for p in seen[-1][3].net.parameters()]))
    assert gradients[1].norm() / gradients[0].norm() == pytest.approx(2, rel=0.05)
    torch.testing.assert_close(gradients[2], gradients[0])


@pytest.mark.parametrize("learning_rate", [3e-3, 1e-9])
def test_sungen_learns_the_weights_of_the_inner_examples_at_any_learning_rate(
    encoder: Path, data: TrainingData, learning_rate: float
) -> None:
    """Adam's first step is its rate, 0.25, whatever the size of a gradient, so s is sigmoid(+-0.25) afterwards."""
    seen: list[Any] = []
    run("sungen", encoder, data, replace(RECIPE, learning_rate=learning_rate), seen, iterations=1, outer_share=0.25)
    step, epochs = seen[0][3], []
    for start in (0, 3):
        s = torch.empty(48)
        for rows, _, weight, _ in seen[start : start + 3]:
            s[rows] = weight
        epochs.append(s)
    assert torch.equal(epochs[0], epochs[1])  # fixed from epoch to epoch
    assert (epochs[0][step.outer] == 0.5).all()
    inner = np.setdiff1d(np.arange(48), step.outer)
    np.testing.assert_allclose(epochs[0][inner].logit().abs(), 0.25, rtol=1e-3)


def test_sungen_starts_its_final_training_afresh(encoder: Path, data: TrainingData) -> None:
    """With theta left at zero it is CE with a weight of one half, which Adam does not feel."""
    recipe = replace(RECIPE, epochs=1, clip_norm=1e9)
    found = run("sungen", encoder, data, recipe, dropout=0.0, iterations=1, rate=1e-30)
    ce = train.train(data, encoder, "ce", recipe, 0, dropout=0.0)
    np.testing.assert_allclose(found.train_log_p, ce.train_log_p, rtol=1e-3, atol=1e-4)


def test_confident_learning_drops_the_label_that_nothing_supports(data: TrainingData) -> None:
    """24 examples of each of two classes, scored .9 for their own; four labels of class 0 are swapped to 1."""
    pytest.importorskip("cleanlab", reason="the extra 'cleanlab' is not installed")
    labels = np.repeat([0, 1], 24)
    p = np.where(np.eye(3, dtype=bool)[labels], 0.9, 0.05)
    labels[:4] = 1
    kept = confident.prepare(replace(data, train_labels=labels, log_diversity_all=np.log(p).astype(np.float32)))
    np.testing.assert_array_equal(kept.train_labels, labels[4:])
    np.testing.assert_array_equal(kept.train.ids, data.train.ids[4:])


# -- bad input ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["hu", "ren", "meta_weight_net"])
def test_a_class_that_the_dev_set_lacks_is_named(encoder: Path, data: TrainingData, method: str) -> None:
    rows = data.dev_labels != 1
    poor = replace(data, dev=data.dev.subset(np.flatnonzero(rows)), dev_labels=data.dev_labels[rows])
    with pytest.raises(TrainingError, match=f"{method}: the dev set has no example of class 1"):
        run(method, encoder, poor)
    if method == "ren":
        run("sungen", encoder, poor, replace(RECIPE, epochs=1))  # which asks nothing of it
    if method != "meta_weight_net":
        with pytest.raises(TrainingError, match=f"{method}: batch_size is 1"):
            run(method, encoder, data, replace(RECIPE, batch_size=1))


@pytest.mark.parametrize("method", META)
def test_a_meta_gradient_that_is_not_finite_names_its_step(encoder: Path, data: TrainingData, method: str) -> None:
    with pytest.raises(TrainingError, match=r"(not finite|loss is nan at).* step \d"):
        run(method, encoder, data, replace(RECIPE, learning_rate=1e30))


@pytest.mark.parametrize(
    ("method", "option", "value"),
    [
        *(("hu", name, value) for name, value in (("norm", "sum"), ("w_decay", 0), ("group", -1))),
        *(("rho", name, value) for name, value in (("share", 1.5), ("select_in", "dev"))),
        *(("sungen", name, value) for name, value in (("outer", "dev"), ("outer_share", 1))),
        ("meta_weight_net", "look_ahead_rate", 0),
        ("hu", "softmax", 1),  # it has no such option
        ("hu", "norm", 1),
    ],
)
def test_options_out_of_range_are_refused(
    encoder: Path, data: TrainingData, method: str, option: str, value: Any
) -> None:
    with pytest.raises(UserError, match=option):
        run(method, encoder, data, **{option: value})
    if option == "norm":
        with pytest.raises(UserError, match="give the option l2 instead"):
            run("hu", encoder, data, replace(RECIPE, weight_decay=0.01))


@pytest.mark.parametrize(
    ("method", "dev_size", "options", "expected"),
    [
        ("distil", 242, {}, 1),
        ("ren", 242, {}, 3),
        ("meta_weight_net", 16, {}, 3.5),
        ("hu", 242, {}, 32.25),  # the specification: about 32, 27 and 53 times
        ("hu", 200, {}, 27),
        ("hu", 408, {}, 53),
        ("hu", 242, {"group": 0, "dev_batch": 32}, 3),
        ("sungen", 242, {"iterations": 100}, 1 + 100 * 2.2 / 5),
    ],
)
def test_counted_passes(method: str, dev_size: int, options: dict[str, Any], expected: float) -> None:
    spec = RunSpec("financial", Source("generated"), method, 0, Recipe(), "bert", options=tuple(options.items()))
    assert passes(spec, dev_size) == pytest.approx(expected)
