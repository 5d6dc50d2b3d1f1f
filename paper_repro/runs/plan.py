"""From specifications to an ordered list of things to compute: checkers first, then scores, then runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from paper_repro.method.registry import CLASSICAL, WITHOUT_EPOCHS, method_of, options_of
from paper_repro.runs.keys import score_key
from paper_repro.runs.results import Results
from paper_repro.runs.spec import CALIBRATION_FOLDS, Checker, RunSpec, Source, Task
from paper_repro.tools.errors import UserError


def plan(results: Results, specs: Iterable[RunSpec]) -> list[Task]:
    """Everything that is missing for ``specs``, in an order in which nothing comes before what it needs.

    Runs that several tables or several checkers share appear once. Raises UserError for a specification
    that cannot be run.
    """
    tasks: dict[str, Task] = {}
    for spec in specs:
        _add_run(results, spec, tasks)
    return list(tasks.values())


def _add_run(results: Results, spec: RunSpec, tasks: dict[str, Task], keep: bool = False) -> str:
    """Plan a run with what it needs; ``keep`` its checkpoint, for a checker. Returns its key."""
    check(spec)
    key = results.key(spec)
    keep = keep and spec.method not in CLASSICAL  # those are fitted again, in less time than a file is worth
    curve = spec.recipe.test_curve
    if (known := tasks.get(key)) is not None:
        wanted = replace(known, keep_checkpoint=known.keep_checkpoint or keep)
        if curve and not known.spec["recipe"]["test_curve"]:
            wanted = replace(wanted, spec=spec.to_dict())
        tasks[key] = wanted
        return key
    if results.store.holds(key, curve=curve and spec.method not in WITHOUT_EPOCHS, checkpoint=keep):
        return key
    needs = [_add_scores(results, checker, spec.benchmark, pool, tasks) for checker, pool in scored(spec)]
    if spec.start is not None:
        needs.append(_add_run(results, spec.start, tasks, keep=True))
    label = f"{spec.benchmark} {spec.source.pool} {spec.method} seed {spec.seed}"
    tasks[key] = Task(key, "run", label, spec.to_dict(), _still_missing(needs, tasks), keep)
    return key


def scored(spec: RunSpec) -> list[tuple[Checker, str]]:
    """The scores that a run needs of trained checkers: of its own pool, or of all that an ensemble answers for."""
    pools = (spec.source.pool, spec.selection, "test") if spec.method == "ensemble" else (spec.source.pool,)
    checkers = [checker for checker in (spec.quality, spec.diversity) if checker is not None and checker.run]
    return [(checker, pool) for checker in checkers for pool in dict.fromkeys(pools)]


def _add_scores(results: Results, checker: Checker, benchmark: str, pool: str, tasks: dict[str, Task]) -> str:
    assert checker.run is not None
    if checker.run.benchmark != benchmark:
        raise UserError(
            f"a checker of {checker.run.benchmark} cannot score {benchmark}; give one fitted on {benchmark}"
        )
    key = score_key(results.inputs, checker, benchmark, pool)
    if key in tasks or results.store.get_scores(key) is not None:
        return key
    needs = [_add_run(results, run, tasks, keep=True) for run in models_of(checker, pool)]
    label = f"{benchmark} scores of {pool} by the {checker.run.source.pool} checker, seed {checker.run.seed}"
    tasks[key] = Task(
        key,
        "score",
        label,
        checker.run.to_dict(),
        _still_missing(needs, tasks),
        folds=checker.folds,
        temperature=checker.temperature,
        pool=pool,
    )
    return key


def scores_plan(results: Results, wanted: Iterable[tuple[Checker, str, str]]) -> list[Task]:
    """What is missing for the scores of each (checker, benchmark, pool); shared models appear once."""
    tasks: dict[str, Task] = {}
    for checker, benchmark, pool in wanted:
        _add_scores(results, checker, benchmark, pool, tasks)
    return list(tasks.values())


def models_of(checker: Checker, pool: str) -> list[RunSpec]:
    """The CE runs behind a checker's scores: the run itself, or one for each fold, and those that calibrate it."""
    run = checker.run
    assert run is not None
    if checker.folds:
        if pool != run.source.pool:
            raise UserError(
                f"cross-fitted scores exist only for the pool that the checker is fitted on ({run.source.pool}), "
                f"not for {pool}; use folds=0 there"
            )
        models = fold_models(run, checker.folds)
    else:
        models = [run]
    return models + (fold_models(run, CALIBRATION_FOLDS) if checker.temperature == "fitted" else [])


def needed(spec: RunSpec) -> Iterator[RunSpec]:
    """A run and every run that comes before it: its checkers' models, and the one that it goes on from."""
    for checker, pool in scored(spec):
        for model in models_of(checker, pool):
            yield from needed(model)
    if spec.start is not None:
        yield from needed(spec.start)
    yield spec


def fold_models(run: RunSpec, folds: int) -> list[RunSpec]:
    """The run once for each fold, trained without it, and without the curve on the test set."""
    run = replace(run, recipe=replace(run.recipe, test_curve=False))
    return [replace(run, source=Source(run.source.pool, folds, held_out)) for held_out in range(folds)]


def _still_missing(keys: list[str], tasks: dict[str, Task]) -> tuple[str, ...]:
    return tuple(key for key in keys if key in tasks)


def check(spec: RunSpec) -> None:
    """UserError for an unknown method, one that lacks its checkers, and settings that would be passed over."""
    folds, held_out = spec.source.folds, spec.source.held_out
    if held_out is not None and not 0 <= held_out < folds:
        raise UserError(f"source held_out={held_out}: expected 0 to folds - 1, with folds={folds}")
    if spec.recipe.max_length < 3:
        raise UserError(f"max_length={spec.recipe.max_length}: expected 3 or more, two of them are special tokens")
    for checker in (spec.quality, spec.diversity):
        if checker is not None and (checker.folds < 0 or checker.folds == 1):
            raise UserError(f"checker folds={checker.folds}: expected 0 (in-sample), 2 or more")
        if checker is not None and checker.temperature not in ("none", "fitted"):
            raise UserError(f"checker temperature={checker.temperature!r}: expected 'none' or 'fitted'")
    method = method_of(spec.method)
    if method.quality and spec.quality is None:
        raise UserError(f"method {spec.method!r} needs a quality checker: give RunSpec(quality=Checker(run=...))")
    if method.diversity and spec.diversity is None:
        raise UserError(f"method {spec.method!r} needs a diversity checker: give RunSpec(diversity=Checker(run=...))")
    if method.cross_fitted and spec.diversity and spec.diversity.run and not spec.diversity.folds:
        raise UserError(f"method {spec.method!r} needs out-of-sample scores: give Checker(run=..., folds=5)")
    options_of(spec.method, dict(spec.options))
    if spec.start is not None and (spec.start.encoder, spec.start.benchmark) != (spec.encoder, spec.benchmark):
        raise UserError("start: a run can only go on from one of the same benchmark and encoder")
