"""Runs the numbered notebooks by papermill: checked before the launch, whole or not at all after it.

papermill by itself looks its kernel up among whatever is installed. Here it is the very Python that runs this.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from paper_repro.report import status
from paper_repro.report.parameters import check
from paper_repro.tools import paths as places
from paper_repro.tools.errors import UserError
from paper_repro.tools.files import write_whole
from paper_repro.tools.paths import Paths
from paper_repro.tools.progress import MARK, duration

Echo = Callable[[str], None]
ANSI = re.compile(r"\x1b\[[0-9;]*m")
LONGEST_MESSAGE = 300


class NotebookError(UserError):
    """A notebook that did not run to its end."""


class CutShort(Exception):
    """The kernel died or left cells out."""


def available() -> list[Path]:
    """The numbered notebooks in their order."""
    return sorted(places.NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))


def find(name: str) -> Path:
    """The notebook called "04_train_losses", "04", "4", "losses" or "04_train_losses.ipynb"; UserError lists them."""
    wanted, paths = Path(name).name.removesuffix(".ipynb"), available()
    numbered = [path for path in paths if wanted in (path.stem, path.stem[:2], str(int(path.stem[:2])))]
    found = numbered or [path for path in paths if wanted and wanted in path.stem]
    if len(found) == 1:
        return found[0]
    names = ", ".join(path.stem for path in found or paths) or f"none in {places.NOTEBOOKS}"
    raise UserError(f"notebook {name!r} is {'ambiguous' if found else 'not known'}; there are: {names}")


def run_all(
    parameters: Mapping[str, Mapping[str, object]], *, paths: Paths, echo: Echo, at_once: int = 1
) -> dict[str, status.Outcome]:
    """Execute the named notebooks with their parameters, in their order; a failure does not stop the others.

    ``at_once`` of them run side by side: of use where they train nothing, as training takes all cores by itself. An
    interrupt then waits for those that run. Returns how each one ended, and keeps it for ``paper-repro status``.
    """

    def run(name: str) -> status.Outcome:
        with status.recorded(paths, name) as outcome:
            execute(name, parameters[name], paths=paths, echo=echo)
        if outcome.error:
            echo(outcome.error)
        return outcome

    if at_once == 1:  # here, where an interrupt reaches it
        return {name: run(name) for name in parameters}
    with ThreadPoolExecutor(at_once) as pool:
        return dict(zip(parameters, pool.map(run, parameters), strict=True))


def execute(name: str, parameters: Mapping[str, object], *, paths: Paths, echo: Echo = print) -> Path:
    """Run one notebook in a kernel of its own and return the executed copy.

    It appears under ``paths.notebooks`` only when every cell has run. A notebook that fails is kept as
    ``<name>.failed.ipynb``, and NotebookError tells the cell and its error. An interrupt leaves nothing behind.
    """
    source = find(name)
    checked = check(source, parameters)
    target, started = paths.notebooks / source.name, time.monotonic()
    failed = target.with_suffix(".failed.ipynb")
    echo(f"{source.stem}: started")
    with tempfile.TemporaryDirectory(prefix="paper-repro-") as folder:
        partial = Path(folder) / source.name
        try:
            _papermill(source, partial, checked, paths, echo)
        except Exception as error:
            message = f"{source.stem}: {_described(error)}"
            if partial.exists():
                write_whole(failed, partial.read_bytes())
                message += f"\nAs far as it came: {failed}"
            raise NotebookError(message) from error
        write_whole(target, partial.read_bytes())
    failed.unlink(missing_ok=True)
    echo(f"{source.stem}: finished in {duration(time.monotonic() - started)}")
    return target


def _papermill(source: Path, partial: Path, parameters: dict[str, Any], paths: Paths, echo: Echo) -> None:
    import papermill

    for name in ("papermill", "asyncio", "traitlets"):  # they log errors that are told by us, once
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)

    def heading(cell: Any, cell_index: int) -> None:
        """Say which part of the notebook has come to its turn."""
        if cell.cell_type == "markdown" and cell.source.startswith("## "):
            echo(f"{source.stem}: {cell.source.splitlines()[0].strip('# ')}")

    lines, log = _ProgressLines(echo), partial.with_suffix(".log")
    # papermill takes braces in a path for the names of parameters.
    ends = (str(path).replace("{", "{{").replace("}", "}}") for path in (source, partial))
    try:
        notebook = papermill.execute_notebook(
            *ends,
            parameters,
            kernel_name="python3",
            cwd=str(source.parent),
            progress_bar=False,
            stdout_file=lines,
            on_cell_start=heading,
            kernel_manager_class=_this_python(partial.parent, log, paths),
        )
    except RuntimeError as error:  # nbclient's DeadKernelError, and a kernel that never came up
        said = [line.strip() for line in log.read_text("utf-8", "replace").splitlines()] if log.exists() else []
        last = next((f"; it said: {line}" for line in reversed(said) if line), "")
        raise CutShort(f"its kernel died (often a lack of memory: try fewer workers){last}") from error
    finally:
        lines.close()
    # papermill takes sys.exit() in a cell for a success and leaves the cells below it out.
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    executed = sum(cell.execution_count is not None for cell in code)
    if executed < len(code):
        raise CutShort(f"it stopped after {executed} of {len(code)} code cells")


def _this_python(folder: Path, log: Path, paths: Paths) -> type:
    """A kernel manager for this interpreter, whatever kernels the user has installed under whatever name.

    The kernel keeps its files in ``folder`` (not in the home directory), reads no personal start-up files, finds
    this very package and the same results and figures, and counts on one thread. What it prints outside of cells
    goes to ``log``.
    """
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    command = [sys.executable, "-m", "ipykernel_launcher", "--log-level=ERROR", "-f", "{connection_file}"]
    search = [str(places.PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        "PYTHONPATH": os.pathsep.join(search),
        "IPYTHONDIR": str(folder / "ipython"),
        "PAPER_REPRO_RESULTS": str(paths.results_root),
        "PAPER_REPRO_FIGURES": str(paths.figures_root),
        # One thread: sums in another order are other numbers, and the other cores belong to those who train.
        **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
    }

    class ThisPython(AsyncKernelManager):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.connection_file = str(folder / "kernel.json")
            self.shutdown_wait_time = 3.0

        @property
        def kernel_spec(self) -> KernelSpec:
            return KernelSpec(argv=command, display_name="Python 3", language="python", env=environment)

        async def _async_start_kernel(self, **settings: Any) -> None:
            with log.open("wb") as output:
                await super()._async_start_kernel(stdout=output, stderr=output, **settings)

        start_kernel = _async_start_kernel

    return ThisPython


class _ProgressLines:
    """What a notebook prints, line by line; those that begin with the runs' mark are passed on."""

    def __init__(self, echo: Echo) -> None:
        self._echo, self._rest = echo, ""

    def write(self, text: str) -> None:
        *lines, self._rest = re.split(r"[\r\n]", self._rest + text)
        for line in lines:
            if line.startswith(MARK):
                self._echo(line)

    def flush(self) -> None:
        """papermill calls it after each write; a line without its end waits for the rest."""

    def close(self) -> None:
        self.write("\n")


def _described(error: Exception) -> str:
    """One line for a person: the cell and what went wrong in it."""
    from papermill.exceptions import PapermillExecutionError

    if isinstance(error, CutShort):
        return str(error)
    where, kind, said = "", type(error).__name__, str(error)
    if isinstance(error, PapermillExecutionError):
        where, kind, said = f"cell {error.exec_count} failed: ", error.ename, ANSI.sub("", str(error.evalue))
    line = (said.strip() or "(no message)").splitlines()[0]
    line = line if len(line) <= LONGEST_MESSAGE else f"{line[: LONGEST_MESSAGE - 3]}..."
    return where + line if kind == "UserError" else f"{where}{kind}: {line}"
