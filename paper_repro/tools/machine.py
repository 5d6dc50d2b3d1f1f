"""What code and what machine a result came from."""

from __future__ import annotations

import ast
import ctypes
import gc
import hashlib
import platform
import resource
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from paper_repro.tools.paths import PACKAGE, project_root

# Every module whose code can change the numbers of a run. What a run *is* (the module runs) is not among them:
# each of its choices enters the key by its value.
CORE = (
    "losses",
    "diagnostics",
    "metrics",
    "encoding",
    "dropout",
    "first_token",
    "modeling",
    "training",
    "checkers",
)

# States of those modules that give the very bits of an earlier one, which benchmarks/recheck.py found by training runs
# of every method again: code that was only put in another form costs no runs. Any other change makes a new state.
ENGINE = "da8a365790070606c7cad8e7d4c758fd2633eb127f5c918fc553eabbd857d433"
SAME_RESULTS = dict.fromkeys(
    (
        "49032251cc015c1baa22f6aba1d055dca37dec8439ba32255b391d5c5f020dd4",  # hooks for the baselines
        "69e29117680420a63b60dc318caec7f76b553a799de5444db218cb31b2b71695",  # transformers' wrappers left out
        "e0a187689c26499d2f53d927fc51b9031ab4a274bc681819a90d52b130de0658",  # a hook for packed batches
    ),
    ENGINE,
)


@lru_cache(maxsize=8)
def code_version(*others: str) -> str:
    """SHA-256 of the modules that train and score, and of ``others``, without their comments, docstrings and
    layout, so that a word changed in a comment does not discard an evening's runs, and a changed constant does."""
    core = _digest(CORE)
    core = SAME_RESULTS.get(core, core)
    return hashlib.sha256(f"{core} {_digest(others)}".encode()).hexdigest() if others else core


def _digest(modules: Iterable[str]) -> str:
    sources = (_code_only((PACKAGE / f"{name}.py").read_text("utf-8")) for name in modules)
    return hashlib.sha256("".join(sources).encode()).hexdigest()


@lru_cache(maxsize=64)
def _code_only(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def reset_peak_memory(device: str) -> int:
    """Forget the highest use of memory so far, so that :func:`environment` tells that of what comes next.

    Returns the bytes in use now. Main memory can forget on Linux only; elsewhere that is the peak of the process.
    """
    gc.collect()
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # what earlier runs have freed goes back first
            ctypes.CDLL(None).malloc_trim(0)
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(device)
    return peak_memory()


def peak_memory() -> int:
    """The highest use of main memory by this process, in bytes.

    On Linux not from ``getrusage``: a worker's count begins there with the memory of the process that started it.
    """
    with suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/self/status").read_text("utf-8").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def environment(device: str, threads: int) -> dict[str, Any]:
    """Hardware, versions and peak memory (bytes) of this process, as stored with each run."""
    import torch

    on_gpu = device.startswith("cuda")
    return {
        "device": torch.cuda.get_device_name(0) if on_gpu else processor(),
        "device_type": device,
        "threads": threads,
        "peak_memory_bytes": peak_memory(),
        "peak_gpu_memory_bytes": torch.cuda.max_memory_allocated() if on_gpu else 0,
        "python": platform.python_version(),
        **{name: _version(name) for name in ("torch", "transformers", "numpy")},
        "paper_repro": _version("paper-repro"),
        "commit": commit(),
    }


@lru_cache(maxsize=16)
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


@lru_cache(maxsize=1)
def processor() -> str:
    """The processor's name and the number of cores that this process may use."""
    name = _cpuinfo().get("model name") or platform.processor() or platform.machine()
    return f"{name}, {available_cores()} cores"


def computes_bf16() -> bool:
    """Whether the processor multiplies bf16 by itself; True where the system does not tell."""
    flags = _cpuinfo()
    known = set((flags.get("flags") or flags.get("Features") or "avx512_bf16").split())
    return bool(known & {"avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"})


def _cpuinfo() -> dict[str, str]:
    """What Linux says of the first core; nothing elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").split("\n\n")[0].splitlines()
    except OSError:
        return {}
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def available_cores() -> int:
    """Cores that this process is allowed to run on (containers and job schedulers limit them)."""
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


@lru_cache(maxsize=1)
def commit() -> str:
    """The checkout's commit, with "+" where files were changed since; empty outside a checkout."""
    try:
        run = lambda *words: subprocess.run(  # noqa: E731
            ["git", *words], cwd=project_root(), capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
        head = run("rev-parse", "--short=12", "HEAD")
        return head + ("+" if run("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return ""
