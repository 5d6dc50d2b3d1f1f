"""Get and verify the data and weights of a profile once; afterwards ``HF_HUB_OFFLINE=1`` will do."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from paper_repro.model import locate
from paper_repro.runs import profiles
from paper_repro.texts import benchmarks
from paper_repro.texts.pools import Benchmark
from paper_repro.tools.paths import Paths


def fetch(
    profile_name: str,
    *,
    data_dir: Path | None,
    encoder_dir: Path | None,
    cache: Path,
    echo: Callable[[str], None],
) -> None:
    """Get every benchmark and the encoders of a profile, check them, and say by ``echo`` what came from where.

    Each item is downloaded at most once: what is in the cache is checked and kept. Raises UserError at the
    first item that cannot be had or is not what was published; what was complete by then stays.
    """
    profile, origins = profiles.load(profile_name), []
    for name in profile.benchmarks:
        benchmark = benchmarks.load(name, kind=profile.kind, data_dir=data_dir)
        parts = "".join(f"{name} {pool.fingerprint}\n" for name, pool in sorted(benchmark.pools.items()))
        content = hashlib.sha256(parts.encode()).hexdigest()
        echo(f"{name}: {benchmark.origin}; {_sizes(benchmark)}; SHA-256 {content[:12]}")
        origins.append(benchmark.origin)
    named = (profile.encoder, profile.ablations.small, profile.ablations.large)
    for name in dict.fromkeys(locate.parts_of(name)[0] for name in named):
        directory = encoder_dir if name == profile.encoder else None
        encoder = locate.resolve(name, directory=directory, cache=cache)
        echo(f"{name}: {encoder.origin}; {encoder.directory}; SHA-256 {encoder.fingerprint[:12]}")
        origins.append(encoder.origin)
    if any(origin.startswith(("directory", "your own")) for origin in origins):
        note = "No network is needed as long as the same directories are given again."
    else:
        note = "No network is needed from here on (HF_HUB_OFFLINE=1 works)."
    echo(f"Profile {profile.name}: all {len(origins)} items verified. {note}")


def _sizes(benchmark: Benchmark) -> str:
    repeated = sum(pool.repeated for name, pool in benchmark.pools.items() if name != "generated")
    sizes = ", ".join(f"{name} {len(pool)}" for name, pool in benchmark.pools.items())
    return f"{sizes}; {repeated} repeated texts kept" if repeated else sizes


@contextmanager
def ahead(paths: Paths) -> Iterator[None]:
    """Make the miniature world's encoder in a process beside what is done inside: half a minute on one core.

    Who needs the encoder waits for it. If it cannot be made, who needs it tries again and says why.
    """
    if profiles.load(paths.profile).kind != "miniature":
        yield
        return
    command = [sys.executable, "-m", "paper_repro", "fetch", "--profile", paths.profile]
    command += ["--results-dir", str(paths.results_root)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()
