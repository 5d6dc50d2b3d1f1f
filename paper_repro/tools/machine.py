"""What machine a result came from, and what this one can do."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import resource
import subprocess
import sys
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from paper_repro.tools.errors import UserError
from paper_repro.tools.paths import project_root


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


def torch_device(device: str) -> str:
    """The device that "auto", "cpu", "cuda" or "cuda:1" means here. UserError for another name or no GPU."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        return device
    if device.split(":")[0] != "cuda":
        raise UserError(f"device {device!r} is not known; expected auto, cpu, cuda or cuda:0, cuda:1, ...")
    if not torch.cuda.is_available():
        raise UserError(f"device {device!r}: this torch ({torch.__version__}) sees no GPU; use --device cpu")
    return device


def available_cores() -> int:
    """Cores that this process is allowed to run on (containers and job schedulers limit them)."""
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
