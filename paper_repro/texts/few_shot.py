"""The labels that a language model gave to a test set, as :mod:`paper_repro.llm.few_shot` writes them.

A folder ``results/<profile>/few_shot/<benchmark>/`` holds ``predictions.csv``, in the form of the bundled ones, and
``about.json``: which model, which settings, and the fingerprint of the test set that they belong to.
"""

from __future__ import annotations

import json
from pathlib import Path

from paper_repro.texts import benchmarks, prompts
from paper_repro.texts.pools import Benchmark, FewShot
from paper_repro.tools.errors import UserError

PREDICTIONS, ABOUT = "predictions.csv", "about.json"


def load(folder: Path, benchmark: Benchmark, task: str | Path) -> FewShot:
    """The labels in ``folder``; ``task`` is what :func:`paper_repro.texts.prompts.template` calls the benchmark.

    Raises UserError where there are none, and where they are of another test set.
    """
    try:
        about = json.loads((folder / ABOUT).read_text("utf-8"))
        test, told = about["test"], f"{about['generator']}, {about['settings']['examples']} dev examples"
    except FileNotFoundError:
        raise UserError(
            f"no few-shot predictions of {benchmark.name} yet (no file {folder / ABOUT}); make them by: "
            f"paper-repro few-shot --benchmark {task}"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / ABOUT}: cannot be read ({error!r}); ask again, answers are kept") from None
    labels = benchmarks.read_labels(folder / PREDICTIONS, prompts.template(task))
    if test != benchmark.pools["test"].fingerprint or len(labels) != len(benchmark.pools["test"]):
        raise UserError(f"{folder}: these predictions are of another test set of {benchmark.name}; ask again")
    return FewShot(labels, told)
