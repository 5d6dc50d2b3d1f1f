"""Profiles: the same experiments in several sizes, each one small TOML file under ``assets/profiles``."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config

from paper_repro.method.recipe import Recipe
from paper_repro.tools.errors import UserError
from paper_repro.tools.paths import BUNDLED

FOLDER = BUNDLED / "profiles"
ORDER = ("demo", "mini", "base", "paper")
HIDDEN = ("smoke",)
"""A profile for the tests: all notebooks in a few minutes, of no use to a reader."""
PRECISION, FIDELITY = "PAPER_REPRO_PRECISION", "PAPER_REPRO_FIDELITY"
"""Environment variables that set these two of every recipe: what a machine can compute, not what is asked."""

Kind = Literal["miniature", "real"]
HuVariant = Literal["faithful", "cheap", "official"]
HU_VARIANTS = get_args(HuVariant)
Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0)]
Seed = Annotated[int, Field(ge=0)]
Encoder = Annotated[str, Field(pattern=r"^[A-Za-z0-9._/-]+(:[1-9][0-9]*)?$")]
STRICT = ConfigDict(extra="forbid")


@with_config(STRICT)
@dataclass(frozen=True)
class Ablations:
    """What the profile's ablations vary (notebook 06).

    ``small`` and ``large`` are the encoders of Table 2, "name:3" for the first three layers of one. ``shares`` are
    the per cent of the training set that quality checkers learn from in Figure 2, ``real`` and ``generated`` the
    pools that stand for D_P' and D_Q of other sizes. ``table2_seeds`` counts the first seeds that Table 2 has,
    ``seeds`` those of all the others.
    """

    small: Encoder
    large: Encoder
    table2_seeds: Count
    seeds: Count
    shares: tuple[Count, ...]
    real: tuple[str, ...]
    generated: tuple[str, ...]


@with_config(STRICT)
@dataclass(frozen=True)
class Baselines:
    """What the extended Table 1 holds (notebook 08).

    ``hu`` is the variant of Hu et al.'s method. The numbers count the first seeds: ``seeds`` of the simple baselines,
    ``look_ahead_seeds`` of the methods that learn their weights from a step ahead, ``hu_seeds`` of Hu et al.'s, which
    costs the most. These two have runs on the benchmarks in ``look_ahead`` only.
    """

    hu: HuVariant
    seeds: Count
    look_ahead_seeds: Count
    hu_seeds: Count
    look_ahead: tuple[str, ...]


@with_config(STRICT)
@dataclass(frozen=True)
class Relabelled:
    """Real inputs with the generator's labels (notebook 11): how many ``texts`` there are, and on which benchmarks."""

    texts: Count
    benchmarks: tuple[str, ...]


@with_config(STRICT)
@dataclass(frozen=True)
class Search:
    """The search over hyper-parameters (notebook 09): every combination for each of ``methods`` on ``benchmarks``.

    Table 1's recipe for generated data must be one of the combinations; ``seeds`` counts the first seeds.
    """

    learning_rates: tuple[Rate, ...]
    epochs: tuple[Count, ...]
    batch_sizes: tuple[Count, ...]
    methods: tuple[str, ...]
    benchmarks: tuple[str, ...]
    seeds: Count


@with_config(STRICT)
@dataclass(frozen=True)
class Profile:
    """One size of the experiments.

    ``seeds`` are those of every training run; ``recipes`` holds the hyper-parameters by the pool that a run
    trains on ("dev", "generated", "train"); ``world`` sets knobs of the miniature world
    (:class:`paper_repro.texts.world.WorldConfig`); ``expected`` is text for readers (run time, memory).
    """

    name: str
    title: str
    kind: Kind
    encoder: Encoder
    seeds: tuple[Seed, ...]
    benchmarks: tuple[str, ...]
    recipes: Mapping[Literal["dev", "generated", "train"], Recipe]
    ablations: Ablations
    baselines: Baselines
    search: Search
    relabelled: Relabelled
    expected: Mapping[str, str]
    world: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if missing := {"dev", "generated", "train"} - set(self.recipes):
            raise ValueError(f"recipes: {', '.join(sorted(missing))} missing")
        if len(set(self.seeds)) < len(self.seeds) or not self.seeds:
            raise ValueError(f"seeds = {list(self.seeds)}: expected different numbers, one at least")
        usual, grid = self.recipes["generated"], self.search
        place = (usual.learning_rate, usual.epochs, usual.batch_size)
        if place not in set(product(grid.learning_rates, grid.epochs, grid.batch_sizes)):
            raise ValueError(f"search: recipes.generated {place} must be one of its combinations")


def names() -> tuple[str, ...]:
    """The profiles that the package has, the smallest first."""
    found = [path.stem for path in FOLDER.glob("*.toml") if path.stem not in HIDDEN]
    return tuple(sorted(found, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name)))


def check_name(name: str) -> str:
    """``name`` itself; UserError when there is no such profile. Reads no file."""
    if name not in (*names(), *HIDDEN):
        raise UserError(f"profile {name!r} is not known; choose one of: {', '.join(names())}")
    return name


def load(name: str) -> Profile:
    """The profile called ``name``. UserError for an unknown name or a faulty file."""
    return read(FOLDER / f"{check_name(name)}.toml")


def read(path: Path) -> Profile:
    """The profile in a TOML file; its name is the file's. UserError for unknown keys and values, by name."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        recipes = {pool: _on_this_machine(recipe) for pool, recipe in content.get("recipes", {}).items()}
        whole = json.dumps({**content, "recipes": recipes, "name": path.stem})
        return TypeAdapter(Profile).validate_json(whole, strict=True)  # as JSON, for lists are tuples then
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        found = "" if isinstance(first["input"], dict) else f", found {first['input']!r}"
        raise UserError(f"{path}: {place or 'profile'}: {first['msg']}{found}") from None
    except (OSError, UnicodeDecodeError, AttributeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a profile ({error})") from error


def _on_this_machine(recipe: Any) -> Any:
    """A recipe's table with what the environment variables set."""
    asked = {"precision": os.environ.get(PRECISION), "fidelity": os.environ.get(FIDELITY)}
    return {**recipe, **{name: value for name, value in asked.items() if value}}


def with_own_benchmark(profile: Profile, name: str, title: str) -> Profile:
    """The profile's encoder, recipes and seeds on another benchmark, whose true probabilities are unknown."""
    about = f"{title}, with the recipes of {profile.name}"
    baselines = replace(profile.baselines, look_ahead=(name,))
    return replace(profile, title=about, kind="real", benchmarks=(name,), baselines=baselines)
