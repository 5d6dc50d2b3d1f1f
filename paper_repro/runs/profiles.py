"""Profiles: the same experiments in three sizes, each one small TOML file under ``assets/profiles``."""

from __future__ import annotations

import math
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from paper_repro.method.recipe import Recipe
from paper_repro.tools.errors import UserError
from paper_repro.tools.paths import BUNDLED

FOLDER = BUNDLED / "profiles"
PRECISION, FIDELITY = "PAPER_REPRO_PRECISION", "PAPER_REPRO_FIDELITY"
"""Environment variables that set these two of every recipe: what a machine can compute, not what is asked."""
KINDS = ("miniature", "real")
ENCODERS = ("tiny-world", "minilm-l6", "bert-base-uncased", "bert-large-uncased")
BENCHMARKS = ("financial", "tweet_irony", "mrpc")
RECIPES = ("dev", "generated", "train")
SEARCHED = ("ce", "focal", "imp", "dimp", "quality_only")
HU_VARIANTS = ("faithful", "cheap", "official")


@dataclass(frozen=True)
class Ablations:
    """What the profile's ablations vary (notebook 06).

    ``small`` and ``large`` are the encoders of Table 2, "name:3" for the first three layers of one. ``shares`` are
    the per cent of the training set that quality checkers learn from in Figure 2, ``real`` and ``generated`` the
    pools that stand for D_P' and D_Q of other sizes. ``table2_seeds`` counts the first seeds that Table 2 has,
    ``seeds`` those of all the others.
    """

    small: str
    large: str
    table2_seeds: int
    seeds: int
    shares: tuple[int, ...]
    real: tuple[str, ...]
    generated: tuple[str, ...]


@dataclass(frozen=True)
class Baselines:
    """What the extended Table 1 holds (notebook 08).

    ``hu`` is the variant of Hu et al.'s method (:data:`paper_repro.paper.more_baselines.cells.HU`). The numbers count the
    first seeds: ``seeds`` of the simple baselines, ``look_ahead_seeds`` of the methods that learn their weights by
    looking a step ahead, ``hu_seeds`` of Hu et al.'s, which costs the most. These two have runs on the benchmarks in
    ``look_ahead`` only.
    """

    hu: Literal["faithful", "cheap", "official"]
    seeds: int
    look_ahead_seeds: int
    hu_seeds: int
    look_ahead: tuple[str, ...]


@dataclass(frozen=True)
class Search:
    """The search over hyper-parameters (notebook 09): every combination for each of ``methods`` on ``benchmarks``.

    Table 1's recipe for generated data must be one of the combinations; ``seeds`` counts the first seeds.
    """

    learning_rates: tuple[float, ...]
    epochs: tuple[int, ...]
    batch_sizes: tuple[int, ...]
    methods: tuple[str, ...]
    benchmarks: tuple[str, ...]
    seeds: int


@dataclass(frozen=True)
class Profile:
    """One size of the experiments.

    ``seeds`` are those of every training run; ``recipes`` holds the hyper-parameters by the pool that a run
    trains on ("dev", "generated", "train"); ``expected`` is text for readers (run time, memory).
    """

    name: str
    title: str
    kind: Literal["real", "miniature"]
    encoder: str
    seeds: tuple[int, ...]
    benchmarks: tuple[str, ...]
    recipes: Mapping[str, Recipe]
    ablations: Ablations
    baselines: Baselines
    search: Search
    expected: Mapping[str, str]


def names() -> tuple[str, ...]:
    """The profiles that the package has, the smallest first."""
    order = ("demo", "mini", "paper")
    found = sorted(path.stem for path in FOLDER.glob("*.toml"))
    return tuple(sorted(found, key=lambda name: order.index(name) if name in order else len(order)))


def check_name(name: str) -> str:
    """``name`` itself; UserError when there is no such profile. Reads no file and imports nothing heavy."""
    if name not in names():
        raise UserError(f"profile {name!r} is not known; choose one of: {', '.join(names())}")
    return name


def load(name: str) -> Profile:
    """The profile called ``name``. UserError for an unknown name or a faulty file."""
    return read(FOLDER / f"{check_name(name)}.toml")


def kind_of(name: str) -> Literal["real", "miniature"]:
    """Whose texts the profile called ``name`` has. The rest of it needs torch, whose import takes seconds."""
    path = FOLDER / f"{check_name(name)}.toml"
    kind: Literal["real", "miniature"] = _choice(_content(path).get("kind"), KINDS, f"{path}: kind")
    return kind


def _content(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a profile ({error})") from error


def read(path: Path) -> Profile:
    """The profile in a TOML file; its name is the file's. Unknown keys and values are refused by name."""
    content = _content(path)
    known = {field.name for field in fields(Profile)} - {"name"}
    _check_keys(content, known, required=known, where=str(path))
    recipes, expected = content["recipes"], content["expected"]
    if not isinstance(recipes, dict):
        raise UserError(f"{path}: recipes must be tables [recipes.dev] ..., found {recipes!r}")
    _check_keys(recipes, RECIPES, required=RECIPES, where=f"{path}: recipes")
    if not isinstance(expected, dict) or not all(isinstance(text, str) for text in expected.values()):
        raise UserError(f"{path}: expected must be a table of texts, found {expected!r}")
    made = {pool: _recipe(recipes[pool], f"{path}: recipes.{pool}") for pool in RECIPES}
    return Profile(
        name=path.stem,
        title=_text(content["title"], f"{path}: title"),
        kind=_choice(content["kind"], KINDS, f"{path}: kind"),
        encoder=_choice(content["encoder"], ENCODERS, f"{path}: encoder"),
        seeds=_seeds(content["seeds"], f"{path}: seeds"),
        benchmarks=_benchmarks(content["benchmarks"], f"{path}: benchmarks"),
        recipes=made,
        ablations=_ablations(content["ablations"], f"{path}: ablations"),
        baselines=_baselines(content["baselines"], f"{path}: baselines"),
        search=_search(content["search"], made["generated"], f"{path}: search"),
        expected=dict(expected),
    )


def with_own_benchmark(profile: Profile, name: str, title: str) -> Profile:
    """The profile's encoder, recipes and seeds on a benchmark of one's own, of which no truth is known."""
    return replace(profile, title=f"{title}, with the recipes of {profile.name}", kind="real", benchmarks=(name,))


def _check_keys(table: Mapping[str, Any], known: Iterable[str], required: Iterable[str], where: str) -> None:
    known = sorted(known)
    for key in table:
        if key not in known:
            raise UserError(f"{where}: unknown key {key!r}; the keys are: {', '.join(known)}")
    missing = sorted(set(required) - set(table))
    if missing:
        raise UserError(f"{where}: {', '.join(missing)} missing")


def _check_table(table: Any, kind: type[Any], where: str) -> None:
    """Its keys must be the fields of the dataclass ``kind``; those that have a default may be left out."""
    if not isinstance(table, dict):
        raise UserError(f"{where} must be a table, found {table!r}")
    required = [field.name for field in fields(kind) if field.default is MISSING]
    _check_keys(table, [field.name for field in fields(kind)], required, where)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{where} must be a text, found {value!r}")
    return value


def _choice(value: Any, choices: tuple[str, ...], where: str) -> Any:
    if value not in choices:
        raise UserError(f"{where} must be one of {', '.join(choices)}, found {value!r}")
    return value


def _seeds(value: Any, where: str) -> tuple[int, ...]:
    good = isinstance(value, list) and all(type(seed) is int and seed >= 0 for seed in value)
    if not good or not value or len(set(value)) != len(value):
        raise UserError(f"{where} must be a list of different whole numbers >= 0, found {value!r}")
    return tuple(value)


def _benchmarks(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or len({str(name) for name in value}) != len(value):
        raise UserError(f"{where} must be a list of different benchmarks, found {value!r}")
    return tuple(_choice(name, BENCHMARKS, where) for name in value)


def _ablations(table: Any, where: str) -> Ablations:
    _check_table(table, Ablations, where)
    return Ablations(
        small=_encoder(table["small"], f"{where}.small"),
        large=_encoder(table["large"], f"{where}.large"),
        table2_seeds=_setting(table["table2_seeds"], int, f"{where}.table2_seeds"),
        seeds=_setting(table["seeds"], int, f"{where}.seeds"),
        shares=_several(table["shares"], int, f"{where}.shares"),
        real=_several(table["real"], str, f"{where}.real"),
        generated=_several(table["generated"], str, f"{where}.generated"),
    )


def _baselines(table: Any, where: str) -> Baselines:
    _check_table(table, Baselines, where)
    counts = ("seeds", "look_ahead_seeds", "hu_seeds")
    numbers = {name: _setting(table[name], int, f"{where}.{name}") for name in counts}
    look_ahead = _several(table["look_ahead"], str, f"{where}.look_ahead")
    for name in look_ahead:
        _choice(name, BENCHMARKS, f"{where}.look_ahead")
    return Baselines(hu=_choice(table["hu"], HU_VARIANTS, f"{where}.hu"), look_ahead=look_ahead, **numbers)


def _search(table: Any, usual: Recipe, where: str) -> Search:
    _check_table(table, Search, where)
    found = Search(
        learning_rates=_several(table["learning_rates"], float, f"{where}.learning_rates"),
        epochs=_several(table["epochs"], int, f"{where}.epochs"),
        batch_sizes=_several(table["batch_sizes"], int, f"{where}.batch_sizes"),
        methods=tuple(_choice(name, SEARCHED, f"{where}.methods") for name in _several(table["methods"], str, where)),
        benchmarks=_benchmarks(table["benchmarks"], f"{where}.benchmarks"),
        seeds=_setting(table["seeds"], int, f"{where}.seeds"),
    )
    place = (usual.learning_rate, usual.epochs, usual.batch_size)
    if place not in set(product(found.learning_rates, found.epochs, found.batch_sizes)):
        raise UserError(f"{where}: recipes.generated {place} must be one of its combinations")
    return found


def _encoder(value: Any, where: str) -> str:
    """An encoder, or the first layers of one."""
    name, colon, layers = str(value).partition(":")
    _choice(name, ENCODERS, where)
    if colon and not re.fullmatch("[1-9][0-9]*", layers):
        raise UserError(f"{where} must name a number of layers after the colon, found {value!r}")
    return str(value)


def _several(value: Any, kind: type[Any], where: str) -> tuple[Any, ...]:
    words = {int: "whole numbers above 0", float: "numbers above 0", str: "texts"}[kind]
    good = isinstance(value, list) and all(type(one) is kind and (one if kind is str else one > 0) for one in value)
    if not good or not value or len(set(value)) != len(value):
        raise UserError(f"{where} must be a list of different {words}, found {value!r}")
    return tuple(value)


def _recipe(table: Any, where: str) -> Recipe:
    _check_table(table, Recipe, where)
    hints = get_type_hints(Recipe)
    recipe = Recipe(**{key: _setting(value, hints[key], f"{where}.{key}") for key, value in table.items()})
    for name, variable in (("precision", PRECISION), ("fidelity", FIDELITY)):
        if asked := os.environ.get(variable):
            recipe = replace(recipe, **{name: _choice(asked, get_args(hints[name]), variable)})
    return recipe


def _setting(value: Any, hint: Any, where: str) -> Any:
    """One hyper-parameter of the type that Recipe declares."""
    if get_origin(hint) is Literal:
        return _choice(value, get_args(hint), where)
    if hint is bool:
        if not isinstance(value, bool):
            raise UserError(f"{where} must be true or false, found {value!r}")
        return value
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if hint is int:
        if not isinstance(value, int) or not is_number or value < 1:
            raise UserError(f"{where} must be a whole number above 0, found {value!r}")
        return value
    may_be_zero = where.endswith("weight_decay")
    if not is_number or value < 0 or (value == 0 and not may_be_zero):
        bound = "0 or above" if may_be_zero else "above 0"
        raise UserError(f"{where} must be a number, {bound}; found {value!r}")
    return float(value)
