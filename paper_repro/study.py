"""The one object that a notebook opens: a profile's inputs, the runs that are asked of it, and their results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from paper_repro.paper import csv_files, style
from paper_repro.paper.cells import Cell
from paper_repro.report import manifest, parameters
from paper_repro.runs import processes
from paper_repro.runs.inputs import Inputs, open_inputs
from paper_repro.runs.plan import plan, scores_plan
from paper_repro.runs.results import Results
from paper_repro.runs.spec import Checker, RunSpec, Task, spec_from_dict
from paper_repro.texts import benchmarks
from paper_repro.tools import paths
from paper_repro.tools.errors import UserError
from paper_repro.tools.machine import available_cores
from paper_repro.tools.progress import Progress

NEEDS_TEXTS = "# needs the texts"
"""The first line of a notebook's cell that reads the benchmarks' texts. It is left out where they are not here."""
MOST_WORKERS = 8  # by default; each holds a model and its optimiser


def open_study(
    profile: str = "demo",
    *,
    device: str = "auto",
    workers: int = 0,
    scheduler: str = "",
    notebook: str = "",
    **where: Any,
) -> Study:
    """Open a profile by name; ``where`` are the other arguments of :func:`paper_repro.runs.inputs.open_inputs`.

    ``workers`` is the number of training processes; 0 takes one for each core (one on a GPU). With ``scheduler``, the
    address or the scheduler file of a Dask cluster, its workers train, and ``device`` is theirs. ``notebook`` is the
    name of the notebook that shows what comes out.

    Raises UserError as ``open_inputs`` does, and for workers here as well as on a cluster.
    """
    if workers and scheduler:
        raise UserError("give workers (processes here) or scheduler (a cluster with workers of its own), not both")
    if workers < 0:
        raise UserError(f"workers={workers}: expected 0 (one for each core) or a positive number")
    inputs = open_inputs(profile, device="auto" if scheduler else device, **where)
    if not workers and not scheduler:
        workers = 1 if inputs.device != "cpu" else min(available_cores(), MOST_WORKERS)
    if workers > 1:
        processes.warm_up()
    return Study(inputs, workers or 1, scheduler, device, notebook)


def open_notebook(name: str, namespace: dict[str, Any]) -> Study:
    """Open what a notebook works with: ``study = open_notebook("04_train_losses", globals())``.

    Those of its parameters that are arguments of :func:`open_study` are passed on. A notebook without a parameter
    ``workers`` trains in its own process. Parameters given as texts become what the notebook declares ("false" ->
    False), in ``namespace`` too. Pictures and tables look alike from here on.

    Raises UserError for a parameter that the notebook does not declare or that has another type, as well as
    :func:`open_study`'s.
    """
    file = paths.NOTEBOOKS / f"{name}.ipynb"
    if file.exists():  # not beside an installed package
        namespace.update(parameters.in_effect(file, namespace))
    matplotlib.rcParams.update(style.STYLE)
    pd.options.display.max_colwidth = None
    common = {shared: namespace[shared] for shared in (*parameters.COMMON, "few_shot") if shared in namespace}
    study = open_study(**{"workers": 1, **common}, notebook=name)
    if "get_ipython" in namespace and not study.inputs.has_texts:
        namespace["get_ipython"]().input_transformers_cleanup.append(_without_texts)
    return study


def _without_texts(lines: list[str]) -> list[str]:
    """In place of a cell that begins with :data:`NEEDS_TEXTS`, where only the runs of a benchmark are here."""
    if lines and lines[0].startswith(NEEDS_TEXTS):
        return ["print('This cell needs the texts of the benchmarks, and only the runs are here: give data_dir.')\n"]
    return lines


class Study(Results):
    """A profile's results, and the way to get those that are missing. Open it with :func:`open_study`."""

    def __init__(
        self, inputs: Inputs, workers: int = 1, scheduler: str = "", device: str = "auto", notebook: str = ""
    ) -> None:
        super().__init__(inputs)
        self.notebook = notebook
        self.workers, self.scheduler, self.device = workers, scheduler, device
        self._shown: dict[str, tuple[list[Path], list[tuple[Results, RunSpec]]]] = {}

    def in_world(self, **knobs: Any) -> Study:
        """The same with other knobs of the miniature world (:class:`paper_repro.texts.world.WorldConfig`)."""
        inputs = open_inputs(**{**self.inputs.settings(), "world": {**self.inputs.world, **knobs}})
        return Study(inputs, self.workers, self.scheduler, self.device, self.notebook)

    def run(self, specs: Iterable[RunSpec], *, progress: bool = True) -> None:
        """Compute what is missing, checkers included. Failures become rows of the tables, not exceptions."""
        tasks = plan(self, specs)
        self.execute(tasks, Progress(len(tasks), quiet=not progress))

    def collect(self, wanted: Iterable[tuple[Checker, str, str]], *, progress: bool = True) -> None:
        """Compute the missing scores of each (checker, benchmark, pool) together, the checkers included."""
        tasks = scores_plan(self, wanted)
        self.execute(tasks, Progress(len(tasks), quiet=not progress))

    def show(
        self,
        name: str,
        product: pd.DataFrame | Figure,
        title: str,
        *,
        items: Iterable[str] = (),
        cells: Iterable[Cell] = (),
        others: Iterable[tuple[Results, Iterable[Cell]]] = (),
        view: Any = None,
    ) -> Any:
        """Save a table or a figure, enter it into the manifest with the runs behind it, and return what to look at.

        ``name`` is its file's, without suffix; ``items`` are those of the paper that it reproduces; ``cells`` are all
        that it should be made from, ``others`` those of other studies. ``view`` is shown in place of the table itself.
        A table and a figure shown under one name are one product of the manifest.
        """
        folder = self.paths.figures
        self._claim()
        if isinstance(product, pd.DataFrame):
            files = [csv_files.save(product, folder / f"{name}.csv")]
        else:
            files = list(style.save(product, folder / name))
        runs = [(results, cell.spec) for results, made_from in ((self, cells), *others) for cell in made_from]
        before = self._shown.get(name, ([], []))
        self._shown[name] = list(dict.fromkeys(before[0] + files)), before[1] + runs
        files, runs = self._shown[name]
        manifest.enter(folder, name, title, files, items=items, notebook=self.notebook, runs=runs)
        return product if view is None else view

    def from_texts(self, name: str, make: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """The table ``name`` that ``make`` makes from the benchmarks' texts; where these are not here, as shipped.

        Raises UserError where there is neither.
        """
        if self.inputs.has_texts:
            return make()
        shipped = self.paths.reference / f"{name}.csv"
        if not shipped.exists():
            raise UserError(f"{name} needs the texts of the benchmarks, and none is shipped: give data_dir")
        return csv_files.load(shipped)

    def _claim(self) -> None:
        """Note in the folder of figures whose benchmark they are of, and what its data hold, for the report."""
        if (own := self.inputs.own) is not None and not self._shown:
            opened = self.benchmark(own.name)
            data = [benchmarks.summary(opened), *benchmarks.remarks(opened)] if self.inputs.has_texts else []
            self.paths.claim(self.paths.figures, own.path, data)

    def execute(self, tasks: Sequence[Task], progress: Progress) -> None:
        """Compute planned tasks, by processes here or on the cluster; not those whose texts or weights are not here,
        of which only the runs in an archive are known."""
        doable = [task for task in tasks if self.inputs.complete(spec_from_dict(task.spec))]
        if missing := len(tasks) - len(doable):
            progress.tell(f"{missing} runs are missing and cannot be made without data and weights")
        if self.scheduler:
            from paper_repro.runs import dask  # late: it brings Dask, which is an extra

            dask.execute(self, doable, progress, self.scheduler, self.device)
        else:
            processes.execute(self, doable, progress, self.workers)
