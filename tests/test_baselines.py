"""The baselines as runs of the engine: they finish, repeat themselves, record their weights, and fail with a reason."""

from __future__ import annotations

import sys
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
from paper_repro.model import classifier
from paper_repro.method.baselines import confident, filtering, rho
from paper_repro.paper.more_baselines.passes import passes
from paper_repro.tools.errors import TrainingError, UserError
from paper_repro.method.registry import METHODS, options_of
from paper_repro.method.recipe import Recipe
from paper_repro.runs.spec import Checker, RunSpec, Source
from paper_repro.method.train import Loop, Trained, TrainingData
from paper_repro.study import Workspace

pytestmark = pytest.mark.usefixtures("one_thread")
RECIPE = Recipe(learning_rate=3e-3, epochs=2, batch_size=16, max_length=32)
META = ("hu", "ren", "meta_weight_net", "sungen")
QUICK: Mapping[str, dict[str, float | str]] = {"sungen": {"iterations": 2}, "rho": {"share": 0.34}}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def data(encoder: Path) -> TrainingData:
    made = tiny.training_data(encoder)
    draw = np.random.default_rng(1)
    scores = [np.log(draw.dirichlet(np.ones(3), len(made.train))).astype(np.float32) for _ in range(2)]
    rows = np.arange(len(made.train))
    return replace(
        made,
        log_quality=scores[0][rows, made.train_labels],
        log_quality_all=scores[0],
        log_diversity=scores[1][rows, made.train_labels],
        log_diversity_all=scores[1],
    )


def run(
    method: str,
    encoder: Path,
    data: TrainingData,
    recipe: Recipe = RECIPE,
    seen: list[Any] | None = None,
    **options: Any,
) -> Trained:
    """As the execution does it; what every step yields goes to ``seen``: (rows, log p, weights)."""
    module = module_of(method)

    class Watched(module.Step):  # type: ignore[misc, name-defined]
        def step(self, batch: Any) -> Any:
            found = super().step(batch)
            if seen is not None:
                seen.append((batch.rows, found[1], found[2], self))
            return found

    step = partial(Watched, **options_of(method, {**QUICK.get(method, {}), **options}))
    return train.train(data, encoder, method, recipe, 0, loop=step, keep_state=True)


# -- through the workspace ------------------------------------------------------------------------------------


def spec_of(method: str) -> RunSpec:
    checker, own = Checker(tiny.spec("ce", "dev")), Checker(tiny.spec("ce"), folds=2)
    return tiny.spec(
        method,
        quality=checker if BASELINES[method].quality else None,
        diversity=own if BASELINES[method].diversity else None,
        options=tuple(QUICK.get(method, {}).items()) + ((("tau", 0.2),) if method == "filter" else ()),
    )


TRAINED = ("distil", "filter", "rho", *META)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return tiny.make_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def twice(inputs: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> list[Workspace]:
    made = [tiny.workspace(inputs, tmp_path_factory.mktemp(f"results{i}")) for i in range(2)]
    for i, workspace in enumerate(made):
        workspace.run([spec_of(method) for method in TRAINED][:: 1 - 2 * i], progress=False)
    return made


@pytest.mark.parametrize("method", TRAINED)
def test_a_run_finishes_repeats_itself_and_records_its_weights(twice: list[Workspace], method: str) -> None:
    spec = spec_of(method)
    first, second = (tiny.result_fingerprint(workspace, spec) for workspace in twice)
    assert first == second
    result = twice[0].result(spec)
    assert result is not None and len(result.history) == tiny.RECIPE.epochs
    for row in result.history:
        assert np.isfinite([row.train_loss, row.weight_mean, row.weight_ess, row.weight_max]).all()
    means = [row.weight_mean for row in result.history]
    if method in ("hu", "rho"):  # the mean of every batch is 1 ...
        assert means == pytest.approx([1] * len(means), rel=1e-4)
    if method == "ren":  # ... or 0 where nothing is of use
        assert all(0 < mean < 1 + 1e-4 for mean in means)
    if method in META:
        assert any(row.weight_max > row.weight_mean for row in result.history)


def test_confident_learning_as_a_run(inputs: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("cleanlab", reason="the extra 'cleanlab' is not installed")
    made, spec = tiny.workspace(inputs, tmp_path), spec_of("confident")
    made.run([spec], progress=False)
    result = made.result(spec)
    assert result is not None, made.failure(spec)
    assert result.history[0].weight_mean == 1
    with pytest.raises(UserError, match="needs out-of-sample scores: give Checker"):
        made.run([replace(spec, diversity=Checker(tiny.spec("ce")))], progress=False)


def test_a_failure_is_recorded_with_its_reason_and_the_rest_goes_on(inputs: dict[str, str], tmp_path: Path) -> None:
    made = tiny.workspace(inputs, tmp_path)
    few = "dev:2"  # two of three classes, at most
    bad = [
        tiny.spec("hu", selection=few),
        tiny.spec("ren", recipe=replace(tiny.RECIPE, batch_size=1)),
        tiny.spec("meta_weight_net", recipe=replace(tiny.RECIPE, learning_rate=1e30)),
        tiny.spec("sungen", options=(("outer", "dev"),)),
        tiny.spec("filter", quality=Checker(tiny.spec("ce", "dev")), options=(("tau", 0.9999),)),
    ]
    good = tiny.spec("ce")
    made.run([*bad, good], progress=False)
    assert made.result(good) is not None and all(made.result(spec) is None for spec in bad)
    for spec, reason in zip(
        bad,
        (
            "hu: the dev set has no example of class",
            "ren: batch_size is 1",
            "the meta-gradient is not finite at step 1 of 6",
            "expected 'held_out' or 'subset'",
            "no example has P'(y|x) above tau=0.9999",
        ),
        strict=True,
    ):
        assert reason in (made.failure(spec) or "no failure")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("method", META)
def test_the_look_ahead_runs_on_a_gpu(encoder: Path, data: TrainingData, method: str) -> None:
    step = partial(module_of(method).Step, **options_of(method, QUICK.get(method, {})))
    recipe = replace(RECIPE, precision="bf16")
    found = train.train(data, encoder, method, recipe, 0, loop=step, device="cuda")
    assert np.isfinite(found.train_log_p).all() and found.history[0].weight_max > 0


# -- what each step does --------------------------------------------------------------------------------------


def test_soft_labels_of_one_and_zero_are_ce(encoder: Path, data: TrainingData) -> None:
    with np.errstate(divide="ignore"):
        certain = np.log(np.eye(3, dtype=np.float32))
    certain[certain == -np.inf] = -1e4
    found = run("distil", encoder, replace(data, log_quality_all=certain[data.train_labels]))
    ce = train.train(data, encoder, "ce", RECIPE, 0, keep_state=True)
    np.testing.assert_allclose(found.train_log_p, ce.train_log_p, rtol=1e-3, atol=1e-4)


def test_distillation_is_the_cross_entropy_to_the_checker(encoder: Path, data: TrainingData) -> None:
    """The first loss, by hand: the pool in one batch, no dropout."""
    recipe = replace(RECIPE, batch_size=48, epochs=1)
    step = partial(module_of("distil").Step)
    found = train.train(data, encoder, "distil", recipe, 0, loop=step, dropout=0.0)
    model = classifier.build(encoder, 3, seed=0, device=torch.device("cpu"), dropout=0.0)
    log_p = train.score(model, train.Batcher(data.train, torch.device("cpu")), "fp32")
    assert data.log_quality_all is not None
    expected = -(np.exp(data.log_quality_all) * log_p).sum(axis=1).mean()
    assert found.history[0].train_loss == pytest.approx(float(expected), rel=1e-5)


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
    with pytest.raises(TrainingError, match="no example has P'.y.x. above tau=0.9999"):
        filtering.prepare(data, 0.9999)
    with pytest.raises(UserError, match="tau=1: expected"):
        filtering.prepare(data, 1)


def test_rho_trains_on_the_largest_reducible_losses(encoder: Path, data: TrainingData) -> None:
    """ln(P'/p) of the scores before the step; CE of the chosen ones alone moves the model."""
    seen: list[Any] = []
    recipe = replace(RECIPE, batch_size=12, epochs=1)
    found = run("rho", encoder, data, recipe, seen, share=0.25)
    ((rows, log_p, weight, step),) = seen
    assert isinstance(step, Loop) and step.portion == 48 and step.steps == 1
    assert data.log_quality is not None
    reducible = torch.from_numpy(data.log_quality)[rows] - log_p
    chosen = reducible >= reducible.sort(descending=True).values[11]
    assert chosen.sum() == 12
    torch.testing.assert_close(weight, torch.where(chosen, 4.0, 0.0))
    start = classifier.build(encoder, 3, seed=0, device=torch.device("cpu"))
    before = train.score(start, train.Batcher(data.train, torch.device("cpu")), "fp32")
    np.testing.assert_allclose(log_p, before[rows, data.train_labels[rows]], rtol=1e-4, atol=1e-5)
    assert found.history[0].weight_mean == pytest.approx(1)


def test_rho_selects_the_top_share_in_place_order() -> None:
    np.testing.assert_array_equal(rho.selected(torch.tensor([0.1, 5.0, -1.0, 7.0, 2.0]), 0.4), [1, 3])
    np.testing.assert_array_equal(rho.selected(torch.tensor([0.1, 0.3]), 0.1), [1])  # one at least


def test_hus_weights_of_a_first_step_are_equal_and_phi_stays_with_its_example(
    encoder: Path, data: TrainingData
) -> None:
    seen: list[Any] = []
    run("hu", encoder, data, replace(RECIPE, epochs=3), seen, norm="linear", w_init=2.0)
    np.testing.assert_allclose(seen[0][2], np.ones(16))
    step = seen[-1][3]
    last = torch.empty(48)
    for rows, _, weight, _ in seen[-3:]:
        last[rows] = weight
        np.testing.assert_allclose(weight, len(rows) * step.phi[rows] / step.phi[rows].sum(), rtol=1e-5)
    assert len(set(last.tolist())) > 24 and step.phi.min() >= 1e-5


def test_a_dev_batch_of_the_whole_dev_set_is_the_dev_set(encoder: Path, data: TrainingData) -> None:
    recipe = replace(RECIPE, epochs=1)
    still = replace(data)
    whole, drawn, part = ([] for _ in range(3))  # type: tuple[list[Any], list[Any], list[Any]]
    for seen, size in ((whole, 0), (drawn, 24), (part, 4)):
        step = partial(module_of("hu").Step, **options_of("hu", {"dev_batch": size, "norm": "linear"}))
        loops: list[Any] = seen
        train.train(
            still,
            encoder,
            "hu",
            recipe,
            0,
            loop=lambda *a, step=step, loops=loops: loops.append(step(*a)) or loops[-1],  # type: ignore[misc]
            dropout=0.0,
        )
    np.testing.assert_allclose(drawn[0].phi, whole[0].phi, rtol=1e-3, atol=1e-5)
    assert not np.allclose(part[0].phi, whole[0].phi, rtol=1e-3, atol=1e-5)


def test_ren_skips_a_step_without_weights(encoder: Path, data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every other batch is said to be of no use: two of four steps happen, and the schedule goes on in all."""
    module, calls = module_of("ren"), []
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


def test_the_weight_net_learns_and_takes_batches_of_one(encoder: Path, data: TrainingData) -> None:
    seen: list[Any] = []
    found = run("meta_weight_net", encoder, data, replace(RECIPE, epochs=1, batch_size=1), seen)
    weights = torch.cat([weight for _, _, weight, _ in seen])
    assert ((weights > 0) & (weights < 1)).all() and len(set(weights.tolist())) > 40
    assert found.history[0].weight_mean == pytest.approx(float(weights.mean()), rel=1e-5)


def test_sungen_learns_the_weights_of_the_inner_examples_only(encoder: Path, data: TrainingData) -> None:
    seen: list[Any] = []
    run("sungen", encoder, data, RECIPE, seen, iterations=3, outer_share=0.25)
    step, s = seen[0][3], torch.empty(48)
    for rows, _, weight, _ in seen[:3]:
        s[rows] = weight
    outer = torch.from_numpy(step.outer)
    assert (s[outer] == 0.5).all()
    inner = np.setdiff1d(np.arange(48), step.outer)
    assert (s[inner] != 0.5).all() and ((s > 0) & (s < 1)).all()
    again = torch.empty(48)
    for rows, _, weight, _ in seen[3:]:
        again[rows] = weight
    assert torch.equal(s, again)  # fixed from epoch to epoch


def test_sungen_starts_its_final_training_afresh(encoder: Path, data: TrainingData) -> None:
    """With theta left at zero it is CE with a weight of one half, which Adam does not feel."""
    recipe = replace(RECIPE, epochs=1, clip_norm=1e9)
    step = partial(module_of("sungen").Step, **options_of("sungen", {"iterations": 1, "rate": 1e-30}))
    found = train.train(data, encoder, "sungen", recipe, 0, loop=step, dropout=0.0)
    ce = train.train(data, encoder, "ce", recipe, 0, dropout=0.0)
    np.testing.assert_allclose(found.train_log_p, ce.train_log_p, rtol=1e-3, atol=1e-4)


# -- confident learning ---------------------------------------------------------------------------------------


def test_confident_learning_drops_the_label_that_nobody_else_gives(data: TrainingData) -> None:
    """Forty examples of each of two classes, scored .9 for their own; four labels of class 0 are swapped to 1."""
    pytest.importorskip("cleanlab", reason="the extra 'cleanlab' is not installed")
    labels = np.repeat([0, 1], 24)
    p = np.where(np.eye(3, dtype=bool)[labels], 0.9, 0.05)
    labels[:4] = 1
    kept = confident.prepare(replace(data, train_labels=labels, log_diversity_all=np.log(p).astype(np.float32)))
    np.testing.assert_array_equal(kept.train_labels, labels[4:])
    np.testing.assert_array_equal(kept.train.ids, data.train.ids[4:])


def test_without_cleanlab_the_message_says_how_to_get_it(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cleanlab.filter", None)
    with pytest.raises(UserError, match="pip install 'paper-repro.cleanlab.'"):
        confident.prepare(data)


# -- bad input ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["hu", "ren", "meta_weight_net"])
def test_a_class_that_the_dev_set_lacks_is_named(encoder: Path, data: TrainingData, method: str) -> None:
    rows = data.dev_labels != 1
    poor = replace(data, dev=data.dev.subset(np.flatnonzero(rows)), dev_labels=data.dev_labels[rows])
    message = f"{method}: the dev set has no example of class 1 .* the meta-gradient would know nothing of it"
    with pytest.raises(TrainingError, match=message):
        run(method, encoder, poor)
    if method == "ren":
        run("sungen", encoder, poor, replace(RECIPE, epochs=1))  # which asks nothing of it


@pytest.mark.parametrize("method", ["hu", "ren"])
def test_a_batch_of_one_is_refused(encoder: Path, data: TrainingData, method: str) -> None:
    with pytest.raises(TrainingError, match=f"{method}: batch_size is 1"):
        run(method, encoder, data, replace(RECIPE, batch_size=1))


@pytest.mark.parametrize("method", META)
def test_a_meta_gradient_that_is_not_finite_names_its_step(encoder: Path, data: TrainingData, method: str) -> None:
    with pytest.raises(TrainingError, match="not finite|loss is nan at") as caught:
        run(method, encoder, data, replace(RECIPE, learning_rate=1e30))
    assert "step" in str(caught.value)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("hu", {"norm": "sum"}),
        ("hu", {"w_decay": 0}),
        ("hu", {"chunk": 0}),
        ("hu", {"group": -1}),
        ("rho", {"share": 0}),
        ("rho", {"share": 1.5}),
        ("sungen", {"outer": "dev"}),
        ("sungen", {"iterations": 0}),
        ("sungen", {"outer_share": 1}),
        ("hu", {"softmax": 1}),
        ("hu", {"norm": 1}),
    ],
)
def test_options_out_of_range_are_refused(
    encoder: Path, data: TrainingData, method: str, options: dict[str, Any]
) -> None:
    with pytest.raises(UserError, match=next(iter(options))):
        run(method, encoder, data, **options)


def test_hu_has_its_own_weight_decay(encoder: Path, data: TrainingData) -> None:
    with pytest.raises(UserError, match="give the option l2 instead"):
        run("hu", encoder, data, replace(RECIPE, weight_decay=0.01))


# -- the count of passes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "dev_size", "options", "expected"),
    [
        ("ce", 242, {}, 1),
        ("distil", 242, {}, 1),
        ("filter", 242, {}, 0.4),
        ("rho", 242, {}, 1 / 3 + 0.1),
        ("ren", 242, {}, 3),
        ("meta_weight_net", 16, {}, 3.5),
        ("hu", 242, {}, 32.25),  # the specification: about 32, 27 and 53 times
        ("hu", 200, {}, 27),
        ("hu", 408, {}, 53),
        ("hu", 242, {"group": 0}, 2 + 242 / 32),
        ("hu", 242, {"group": 0, "dev_batch": 32}, 3),
        ("sungen", 242, {"iterations": 100}, 1 + 100 * 2.2 / 5),
    ],
)
def test_counted_passes(method: str, dev_size: int, options: dict[str, Any], expected: float) -> None:
    spec = RunSpec("financial", Source("generated"), method, 0, Recipe(), "bert", options=tuple(options.items()))
    assert passes(spec, dev_size, kept=0.4) == pytest.approx(expected)
    with pytest.raises(ValueError, match="no passes to count"):
        passes(replace(spec, method="tfidf"), dev_size)
