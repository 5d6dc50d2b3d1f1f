"""The profiles: what each one holds, and what a faulty file is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from paper_repro.runs import profiles
from paper_repro.tools.errors import UserError

FAULTS = {
    "unknown key": ('kind = "real"', 'kind = "real"\ncolour = "red"', "colour"),
    "repeated seed": ("[0, 1, 2, 3]", "[0, 1, 1]", "seeds"),
    "unknown hyper-parameter": ("epochs = 5", "epoch = 5", "epoch"),
    "truth for a number": ("epochs = 5", "epochs = true", "epochs"),
    "rate that is no number": ("6e-5", "nan", "learning_rate"),
    "unknown pool": ("[recipes.train]", "[recipes.test]", "recipes"),
    "missing table": ("[expected]", "[other]", "expected"),
    "no number of layers": ("bert-large-uncased", "minilm-l6:half", "ablations.large"),
    "no seeds": ("table2_seeds = 4", "table2_seeds = 0", "ablations.table2_seeds"),
    "search without Table 1": ("[6e-6, 6e-5]", "[6e-6, 7e-5]", "recipes.generated"),
    "no TOML": ("[expected]", "[expected", "cannot be read as a profile"),
}


@pytest.mark.parametrize("name", [*profiles.names(), *profiles.HIDDEN])
def test_every_shipped_profile_is_whole(name: str) -> None:
    profile = profiles.load(name)
    assert profile.name == name and profile.title and {"time", "memory"} <= set(profile.expected)


def test_the_paper_profile_has_the_released_hyper_parameters() -> None:
    for recipe in profiles.load("paper").recipes.values():
        assert (recipe.learning_rate, recipe.epochs, recipe.batch_size) == (6e-5, 5, 32)
        assert (recipe.max_length, recipe.weight_decay, recipe.clip_norm) == (128, 0.0, 1.0)


@pytest.mark.parametrize("name", ["big", "../demo", "demo.toml", ""])
def test_a_profile_is_a_known_name_and_never_a_path(name: str) -> None:
    with pytest.raises(UserError, match="choose one of: demo, mini"):
        profiles.load(name)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_file_is_refused_with_its_place(fault: str, tmp_path: Path) -> None:
    good, bad, place = FAULTS[fault]
    text = (profiles.FOLDER / "paper.toml").read_text(encoding="utf-8")
    assert good in text
    path = tmp_path / "faulty.toml"
    path.write_text(text.replace(good, bad, 1), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        profiles.read(path)
    assert place in str(caught.value) and "faulty.toml" in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 2


def test_the_environment_sets_what_a_machine_can_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(profiles.PRECISION, "fp32")
    monkeypatch.setenv(profiles.FIDELITY, "authors")
    recipes = profiles.load("mini").recipes.values()
    assert {(recipe.precision, recipe.fidelity) for recipe in recipes} == {("fp32", "authors")}
    monkeypatch.setenv(profiles.PRECISION, "fp8")
    with pytest.raises(UserError, match="precision"):
        profiles.load("mini")
