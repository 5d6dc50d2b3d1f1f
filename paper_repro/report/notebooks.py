"""Runs the numbered notebooks by papermill: checked before the launch, whole or not at all after it.

papermill by itself only warns about a parameter that a notebook does not have and looks its kernel up among
whatever is installed. Here wrong parameters are refused, and the kernel is the very Python that runs this.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paper_repro.report import status
from paper_repro.report.parameters import check
from paper_repro.tools import paths as places
from paper_repro.tools.errors import UserError
from paper_repro.tools.progress import MARK, duration

if TYPE_CHECKING:
    from paper_repro.tools.paths import Paths

Echo = Callable[[str], None]
ANSI = re.compile(r"\x1b\[[0-9;]*m")


class NotebookError(UserError):
    """A notebook that did not run to its end. ``notebook`` is its name."""

    def __init__(self, notebook: str, message: str) -> None:
        super().__init__(f"{notebook}: {message}")
        self.notebook = notebook


# -- finding and checking -----------------------------------------------------------------------------------


def available() -> list[Path]:
    """The numbered notebooks in their order."""
    return sorted(places.NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))


def find(name: str) -> Path:
    """The notebook called "04_train_losses", "04" or "04_train_losses.ipynb"; UserError lists the choices."""
    wanted = Path(name).name.removesuffix(".ipynb")
    for path in available():
        if wanted in (path.stem, path.stem[:2]):
            return path
    names = ", ".join(path.stem for path in available()) or f"none in {places.NOTEBOOKS}"
    raise UserError(f"notebook {name!r} is not known; there are: {names}")


# -- running ------------------------------------------------------------------------------------------------


def execute(name: str, parameters: Mapping[str, object], *, paths: Paths, echo: Echo = print) -> Path:
    """Run one notebook in a kernel of its own and return the executed copy; its HTML lies beside it.

    Both appear under ``paths.notebooks`` only when every cell has run. A notebook that fails is kept as
    ``<name>.failed.ipynb``, and NotebookError tells the cell and its error. An interrupt leaves nothing behind.
    """
    from paper_repro.report import notebook_html

    source = find(name)
    checked = check(source, parameters)
    target = paths.notebooks / source.name
    failed = target.with_suffix(".failed.ipynb")
    paths.notebooks.mkdir(parents=True, exist_ok=True)
    _clear_leftovers(paths.notebooks, source.stem)
    partial = paths.notebooks / f".{source.stem}.{os.getpid()}.ipynb"
    page = partial.with_suffix(".html")
    started = time.monotonic()
    echo(f"{source.stem}: started")
    try:
        with _quiet():
            _papermill(source, partial, checked, paths, echo)
            page.write_text(notebook_html.convert(partial, source.stem), encoding="utf-8")
        os.replace(page, target.with_suffix(".html"))
        os.replace(partial, target)
    except Exception as error:
        message = describe(error)
        if partial.exists():
            os.replace(partial, failed)
            message += f"\nAs far as it came: {failed}"
        raise NotebookError(source.stem, message) from error
    finally:
        partial.unlink(missing_ok=True)
        page.unlink(missing_ok=True)
    failed.unlink(missing_ok=True)
    echo(f"{source.stem}: finished in {duration(time.monotonic() - started)}")
    return target


def _clear_leftovers(folder: Path, stem: str) -> None:
    """Remove what a run that was killed outright left half-done; one that is alive keeps its own."""
    import psutil

    for path in folder.glob(f".{stem}.*.*"):
        process = path.name.split(".")[2]
        if process.isdigit() and not psutil.pid_exists(int(process)):
            path.unlink(missing_ok=True)


def _papermill(source: Path, partial: Path, parameters: dict[str, object], paths: Paths, echo: Echo) -> None:
    import papermill

    def heading(cell: Any, cell_index: int) -> None:
        """Say which part of the notebook has come to its turn."""
        if cell.cell_type == "markdown" and cell.source.startswith("## "):
            echo(f"{source.stem}: {cell.source.splitlines()[0].strip('# ')}")

    lines = _ProgressLines(echo)
    with tempfile.TemporaryDirectory(prefix="paper-repro-") as folder:
        log = Path(folder) / "kernel.log"
        try:
            notebook = papermill.execute_notebook(
                _literal(source),
                _literal(partial),
                parameters,
                kernel_name="python3",
                cwd=str(source.parent),
                progress_bar=False,
                stdout_file=lines,
                on_cell_start=heading,
                kernel_manager_class=_this_python(Path(folder), log, paths),
            )
        except RuntimeError as error:  # nbclient's DeadKernelError, and a kernel that never came up
            raise _DeadKernel(log) from error
        finally:
            lines.close()
    # papermill takes sys.exit() in a cell for a success and leaves the cells below it out.
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    executed = sum(cell.execution_count is not None for cell in code)
    if executed < len(code):
        raise _CutShort(f"it stopped after {executed} of {len(code)} code cells")


def _literal(path: Path) -> str:
    """papermill takes braces in a path for the names of parameters."""
    return str(path).replace("{", "{{").replace("}", "}}")


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


class _CutShort(Exception):
    """The kernel is well, but cells were left out."""


class _DeadKernel(_CutShort):
    """The kernel died; ``log`` holds its last words."""

    def __init__(self, log: Path) -> None:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        super().__init__(
            "its kernel died (often a lack of memory: try fewer workers)" + (f"; it said: {last}" if last else "")
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Errors are told once, by us; papermill logs them too.

    After an interrupt asyncio still complains of the cell that was cut short when its task is collected, so
    that case stays quiet: the process is about to end.
    """
    loggers = [logging.getLogger(name) for name in ("papermill", "asyncio", "traitlets")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    except Exception:
        _restore(loggers, levels)
        raise
    else:
        _restore(loggers, levels)


def _restore(loggers: Sequence[logging.Logger], levels: Sequence[int]) -> None:
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


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


def describe(error: BaseException) -> str:
    """One or two lines for a person: the cell and what went wrong in it."""
    from papermill.exceptions import PapermillExecutionError

    if isinstance(error, PapermillExecutionError):
        said = ANSI.sub("", str(error.evalue)).strip() or "(no message)"
        kind = "" if error.ename == "UserError" else f"{error.ename}: "
        return f"cell {error.exec_count} failed: {kind}{_shorten(said)}"
    if isinstance(error, _CutShort):
        return str(error)
    return f"{type(error).__name__}: {_shorten(str(error))}"


def _shorten(text: str, limit: int = 300) -> str:
    first = text.splitlines()[0] if text else ""
    return first if len(first) <= limit else f"{first[: limit - 3]}..."


def run_all(parameters: Mapping[str, Mapping[str, object]], *, paths: Paths, echo: Echo) -> dict[str, status.Outcome]:
    """Execute the named notebooks one after the other with their parameters; a failure does not stop the others.

    Returns how each one ended, and keeps it in the results for ``paper-repro status``.
    """
    ended = {}
    for name, given in parameters.items():
        ended[name], since = status.begin(paths, name), time.monotonic()
        state, error = "done", ""
        try:
            execute(name, given, paths=paths, echo=echo)
        except NotebookError as failure:
            state, error = "failed", str(failure)
            echo(error)
        except KeyboardInterrupt:
            state, error = "stopped", f"{name}: stopped before its end"
            raise
        finally:
            status.finish(paths, ended[name], state, error, since)
    return ended


def products_of(path: Path, *, on_demand: bool = False) -> list[str]:
    """The tables and figures (their names in the manifest) that a notebook's metadata says it makes.

    They stand as a list under ``paper_repro.products``; those that it makes only when a parameter says so, under
    ``paper_repro.on_demand``.
    """
    metadata = json.loads(path.read_text(encoding="utf-8")).get("metadata", {})
    return [str(name) for name in metadata.get("paper_repro", {}).get("on_demand" if on_demand else "products", [])]
