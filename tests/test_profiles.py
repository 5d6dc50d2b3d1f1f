"""The profiles: what each one holds, and what a faulty file is told."""

from __future__ import annotations

import pytest

from paper_repro import experiments
from paper_repro.runs import profiles
from paper_repro.texts import benchmarks
from paper_repro.tools.errors import UserError
from paper_repro.method.recipe import Recipe

FAULTS = {
    "unknown key": ('kind = "real"', 'kind = "real"\ncolour = "red"', "unknown key 'colour'"),
    "unknown kind": ('kind = "real"', 'kind = "imaginary"', "kind must be one of miniature, real"),
    "unknown encoder": ("bert-base-uncased", "gpt-2", "encoder must be one of tiny-world, minilm-l6"),
    "unknown benchmark": ('"mrpc"', '"sst2"', "benchmarks must be one of financial, tweet_irony, mrpc"),
    "repeated seed": ("[0, 1, 2, 3]", "[0, 1, 1]", "seeds must be a list of different whole numbers"),
    "seed of another type": ("[0, 1, 2, 3]", '["0"]', "seeds must be a list of different whole numbers"),
    "unknown hyper-parameter": ("epochs = 5", "epoch = 5", "unknown key 'epoch'; the keys are: batch_size"),
    "fraction of an epoch": (
        "epochs = 5",
        "epochs = 2.5",
        "must be a whole number above 0, found 2.5",
    ),
    "truth for a number": (
        "epochs = 5",
        "epochs = true",
        "must be a whole number above 0, found True",
    ),
    "negative rate": ("6e-5", "-6e-5", "learning_rate must be a number, above 0; found -6e-05"),
    "rate that is no number": ("6e-5", "nan", "learning_rate must be a number, above 0; found nan"),
    "unknown precision": ('"bf16"', '"fp8"', "precision must be one of fp32, bf16, found 'fp8'"),
    "unknown pool": ("[recipes.train]", "[recipes.test]", "unknown key 'test'; the keys are: dev, generated"),
    "missing table": ("[expected]", "[other]", "unknown key 'other'"),
    "unknown larger encoder": ("bert-large-uncased", "gpt-2", "ablations.large must be one of tiny-world, minilm-l6"),
    "no number of layers": ("bert-large-uncased", "minilm-l6:half", "must name a number of layers after the colon"),
    "share of nothing": ("[10, 20", "[0, 20", "ablations.shares must be a list of different whole numbers above 0"),
    "one pool twice": ('"dev:50", "dev:100"', '"dev", "dev:100"', "ablations.real must be a list of different texts"),
    "no seeds": ("table2_seeds = 4", "table2_seeds = 0", "ablations.table2_seeds must be a whole number above 0"),
    "nothing to vary": ('generated = ["generated:300"', 'generate = ["generated:300"', "unknown key 'generate'"),
    "unknown way to Hu": ('hu = "faithful"', 'hu = "exact"', "baselines.hu must be one of faithful, cheap, official"),
    "baselines of no seed": ("hu_seeds = 4", "hu_seeds = 0", "baselines.hu_seeds must be a whole number above 0"),
    "search without Table 1": ("[6e-6, 6e-5]", "[6e-6, 7e-5]", "recipes.generated (6e-05, 5, 32) must be one of its"),
    "search by no number": (
        "[6e-6, 6e-5]",
        '["low", 6e-5]',
        "learning_rates must be a list of different numbers above 0",
    ),
    "search of no method": (
        'methods = ["ce"',
        'methods = ["sgd"',
        "search.methods must be one of ce, focal, imp, dimp",
    ),
    "no TOML": ("[expected]", "[expected", "cannot be read as a profile"),
}


def test_there_are_three_profiles_the_smallest_first():
    assert profiles.names() == ("demo", "mini", "paper")


@pytest.mark.parametrize(
    ("name", "kind", "encoder"),
    [
        ("demo", "miniature", "tiny-world"),
        ("mini", "real", "minilm-l6"),
        ("paper", "real", "bert-base-uncased"),
    ],
)
def test_each_profile_has_its_world_and_all_that_table_1_needs(name, kind, encoder):
    profile = profiles.load(name)
    assert (profile.name, profile.kind, profile.encoder) == (name, kind, encoder)
    assert profile.seeds == (0, 1, 2, 3)
    assert profile.benchmarks == ("financial", "tweet_irony", "mrpc")
    assert set(profile.recipes) == {"dev", "generated", "train"}
    assert profile.title
    assert {"time", "memory"} <= set(profile.expected)


def test_the_paper_profile_has_the_released_hyper_parameters():
    for recipe in profiles.load("paper").recipes.values():
        assert (recipe.learning_rate, recipe.epochs, recipe.batch_size) == (6e-5, 5, 32)
        assert (recipe.max_length, recipe.weight_decay, recipe.clip_norm) == (128, 0.0, 1.0)


def test_what_a_recipe_leaves_out_is_the_default(tmp_path):
    text = (profiles.FOLDER / "paper.toml").read_text(encoding="utf-8")
    path = tmp_path / "short.toml"
    path.write_text(text.replace("epochs = 5\n", ""), encoding="utf-8")
    profile = profiles.read(path)
    assert profile.name == "short"
    assert profile.recipes["dev"].epochs == Recipe().epochs


def test_an_unknown_profile_is_told_the_choices():
    with pytest.raises(UserError, match="profile 'big' is not known; choose one of: demo, mini, paper"):
        profiles.load("big")


@pytest.mark.parametrize("name", ["../demo", "demo.toml", ""])
def test_a_profile_is_a_name_and_never_a_path(name):
    with pytest.raises(UserError, match="is not known"):
        profiles.load(name)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_file_is_refused_by_name(fault, tmp_path):
    good, bad, message = FAULTS[fault]
    text = (profiles.FOLDER / "paper.toml").read_text(encoding="utf-8")
    assert good in text
    path = tmp_path / "faulty.toml"
    path.write_text(text.replace(good, bad, 1), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        profiles.read(path)
    assert message in str(caught.value)
    assert "faulty.toml" in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 2


def test_the_benchmarks_are_those_that_can_be_loaded():
    assert benchmarks.NAMES == profiles.BENCHMARKS


def test_the_environment_can_set_the_precision(monkeypatch):
    monkeypatch.setenv(profiles.PRECISION, "fp32")
    assert {recipe.precision for recipe in profiles.load("mini").recipes.values()} == {"fp32"}
    monkeypatch.setenv(profiles.PRECISION, "fp8")
    with pytest.raises(UserError, match="PAPER_REPRO_PRECISION must be one of fp32, bf16, found 'fp8'"):
        profiles.load("mini")


def test_the_environment_can_choose_the_engine_for_all_methods_that_it_can_train(monkeypatch):
    monkeypatch.setenv(profiles.FIDELITY, "packed")
    cells = experiments.extended(profiles.load("paper"))
    engines = {cell.spec.method: cell.spec.recipe.fidelity for cell in cells}
    padded = {method for method, engine in engines.items() if engine == "fast"}
    assert padded == {"ren", "meta_weight_net", "sungen", "hu"}
    assert {engine for method, engine in engines.items() if method not in padded} == {"packed"}
