"""Keys: whatever can change a result changes the key, and nothing else does."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import tiny

from paper_repro.method.losses import Switches
from paper_repro.runs import keys
from paper_repro.runs.keys import score_key
from paper_repro.runs.spec import Checker, RunSpec, Source
from paper_repro.study import Study
from paper_repro.texts.pools import Benchmark, Truth
from paper_repro.tools.errors import UserError


@pytest.fixture
def study(inputs: dict[str, str], tmp_path: Path) -> Study:
    return tiny.study(inputs, tmp_path)


def other_value(kind: Any, value: Any) -> Any:
    """Some other value of the field's type."""
    if get_origin(kind) is not None and get_args(kind) and all(isinstance(a, str) for a in get_args(kind)):
        return next(choice for choice in get_args(kind) if choice != value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value * 0.999 + 1e-9
    raise AssertionError(f"tell this test how to change {value!r}")


def changes_of(section: Any) -> Iterator[tuple[str, Any]]:
    """The dataclass with one field changed, for each of its fields, those that will be added some day included."""
    hints = get_type_hints(type(section))
    for field in dataclasses.fields(section):
        if not field.compare:
            continue
        yield field.name, replace(section, **{field.name: other_value(hints[field.name], getattr(section, field.name))})


def with_checkers(folds: int = 0) -> RunSpec:
    spec = tiny.spec("imp")
    assert spec.diversity is not None
    return replace(spec, diversity=replace(spec.diversity, folds=folds))


@pytest.mark.parametrize("section", ["recipe", "switches"])
def test_every_field_of_recipe_and_switches_counts(study: Study, section: str) -> None:
    spec = tiny.spec("imp")
    found = {"as it was": study.key(spec)}
    for name, changed in changes_of(getattr(spec, section)):
        found[name] = study.key(replace(spec, **{section: changed}))
    assert len(set(found.values())) == len(found), found


def test_every_field_of_the_spec_counts(study: Study) -> None:
    spec = tiny.spec("imp")
    quality, diversity = spec.quality, spec.diversity
    assert quality is not None and quality.run is not None and diversity is not None
    variants = {
        "benchmark": replace(spec, benchmark="tweet_irony"),
        "source": replace(spec, source=Source("train")),
        "method": replace(spec, method="dimp"),
        "seed": replace(spec, seed=1),
        "recipe": replace(spec, recipe=replace(spec.recipe, epochs=9)),
        "switches": replace(spec, switches=Switches(clip="bounded")),
        "quality": replace(spec, quality=None),
        "diversity": replace(spec, diversity=None),
        "selection": replace(spec, selection="train"),
        "start": replace(spec, start=quality.run),
        "options": replace(spec, method="rho", options=(("share", 0.2),)),
    }
    untested = {field.name for field in dataclasses.fields(RunSpec)} - set(variants)
    assert untested == {"encoder"}  # its content counts, not its name: see below
    found = {name: study.key(changed) for name, changed in variants.items()}
    assert len({*found.values(), study.key(spec)}) == len(found) + 1, found


def test_every_field_of_a_checker_counts(study: Study) -> None:
    spec = tiny.spec("imp")
    quality = spec.quality
    assert quality is not None and quality.run is not None
    variants = {
        "run": replace(quality, run=replace(quality.run, seed=1)),
        "the run's recipe": replace(quality, run=replace(quality.run, recipe=replace(tiny.RECIPE, epochs=1))),
        "the run's source": replace(quality, run=replace(quality.run, source=Source("generated"))),
        "the run's fold": replace(quality, run=replace(quality.run, source=Source("dev", 3, 0))),
        "folds": replace(quality, folds=3),
        "temperature": replace(quality, temperature="fitted"),
    }
    assert {field.name for field in dataclasses.fields(Checker)} == {"run", "folds", "temperature", "exact"}
    runs = {name: study.key(replace(spec, quality=checker)) for name, checker in variants.items()}
    assert len({*runs.values(), study.key(spec)}) == len(runs) + 1, runs
    # Quality and diversity may not be exchanged unnoticed.
    swapped = replace(spec, quality=spec.diversity, diversity=spec.quality)
    assert study.key(swapped) != study.key(spec)
    scores = {name: score_key(study.inputs, checker, "financial", "dev") for name, checker in variants.items()}
    scores["pool"] = score_key(study.inputs, quality, "financial", "generated")
    assert len({*scores.values(), score_key(study.inputs, quality, "financial", "dev")}) == len(scores) + 1, scores


# -- content --------------------------------------------------------------------------------------------------


def edited(benchmark: Benchmark, pool: str, **fields: Any) -> Benchmark:
    return replace(benchmark, pools={**benchmark.pools, pool: replace(benchmark.pools[pool], **fields)})


def key_of(study: Study, benchmark: Benchmark, spec: RunSpec) -> str:
    study.inputs._benchmarks["financial"] = benchmark
    study.inputs._sources.clear()
    return study.key(spec)


@pytest.mark.parametrize("pool", ["generated", "dev", "test"])
@pytest.mark.parametrize("method", ["ce", "imp"])
def test_content_of_the_data_counts(study: Study, method: str, pool: str) -> None:
    spec, before = tiny.spec(method), study.benchmark("financial")
    texts, labels = before.pools[pool].texts, before.pools[pool].labels
    relabelled = labels.copy()
    relabelled[-1] = (relabelled[-1] + 1) % 3
    keys_found = [
        key_of(study, changed, spec)
        for changed in (
            before,
            edited(before, pool, texts=(*texts[:-1], texts[-1] + " ")),
            edited(before, pool, labels=relabelled),
            edited(before, pool, texts=texts[::-1], labels=labels[::-1]),
            edited(before, pool, pairs=texts),
            replace(before, label_names=(*before.label_names, "none of them")),
        )
    ]
    assert len(set(keys_found)) == len(keys_found)
    assert key_of(study, before, spec) == keys_found[0]


def test_data_that_a_run_never_reads_do_not_count(study: Study) -> None:
    before = study.benchmark("financial")
    first = study.key(tiny.spec("imp"))
    assert key_of(study, edited(before, "train", texts=before.pools["train"].texts[::-1]), tiny.spec("imp")) == first


def test_content_of_the_encoder_counts(inputs: dict[str, str], tmp_path: Path) -> None:
    """One byte of the weights, of the vocabulary or of the configuration."""
    found = [tiny.study(inputs, tmp_path / "results").key(tiny.spec())]
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        copy = tmp_path / name.split(".")[0]
        shutil.copytree(inputs["encoder_dir"], copy)
        content = bytearray((copy / name).read_bytes())
        if name == "model.safetensors":
            content[-3] ^= 1
        else:
            content += b"\n"
        (copy / name).write_bytes(bytes(content))
        found.append(tiny.study({**inputs, "encoder_dir": str(copy)}, tmp_path / "results").key(tiny.spec()))
    assert len(set(found)) == 4


def test_exact_probabilities_count(study: Study) -> None:
    before = study.benchmark("financial")
    p = np.full((tiny.SIZES["generated"], 3), 1 / 3)
    q = np.tile([0.2, 0.3, 0.5], (tiny.SIZES["generated"], 1))
    other = q.copy()
    other[7] = [0.2, 0.5, 0.3]
    spec = tiny.spec("imp", quality=Checker(exact="p"), diversity=Checker(exact="q"))
    swapped = tiny.spec("imp", quality=Checker(exact="q"), diversity=Checker(exact="p"))
    found = [
        key_of(study, replace(before, truth={"generated": truth}), chosen)
        for truth, chosen in ((Truth(p, q), spec), (Truth(p, other), spec), (Truth(p, q), swapped))
    ]
    assert len(set(found)) == 3


def test_exact_checkers_of_real_data_are_refused(study: Study) -> None:
    with pytest.raises(UserError, match="miniature world"):
        study.key(tiny.spec("imp", quality=Checker(exact="p"), diversity=Checker(exact="q")))


# -- names ----------------------------------------------------------------------------------------------------


def test_names_do_not_count(study: Study) -> None:
    """The same texts under another benchmark's, pool's or label's name are the same run."""
    spec, before = tiny.spec("imp"), study.benchmark("financial")
    first = study.key(spec)
    pools = {name: replace(pool, name=f"other {name}") for name, pool in before.pools.items()}
    renamed = Benchmark("other", "Another title", ("x", "y", "z"), pools)
    assert key_of(study, renamed, spec) == first
    study.inputs._benchmarks["tweet_irony"] = before
    assert study.key(tiny.spec("imp", benchmark="tweet_irony")) == key_of(study, before, spec)
    assert study.key(replace(spec, source=Source("generated", folds=5))) == first  # folds without a held-out one


# -- code -----------------------------------------------------------------------------------------------------


def test_the_engine_counts(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = tiny.spec("imp")
    assert spec.quality is not None
    before = study.key(spec), score_key(study.inputs, spec.quality, "financial", "generated")
    monkeypatch.setattr(keys, "ENGINE", keys.ENGINE + 1)
    after = study.key(spec), score_key(study.inputs, spec.quality, "financial", "generated")
    assert before[0] != after[0] and before[1] != after[1]


def test_what_is_only_recorded_does_not_count(study: Study) -> None:
    spec = tiny.spec("imp")
    other = replace(spec, recipe=replace(spec.recipe, test_curve=not spec.recipe.test_curve))
    assert study.key(other) == study.key(spec) and other == spec
