"""The command line, called within the test's process, and notebooks for it to run."""

from __future__ import annotations

from pathlib import Path

import nbformat
from click.testing import CliRunner, Result
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from paper_repro.cli import cli


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], prog_name="paper-repro")


def write(folder: Path, name: str, parameters: str, *cells: str) -> Path:
    """A notebook with its cell of parameters; a further cell that begins with "#" and a space is Markdown."""
    made = [new_code_cell(parameters, metadata={"tags": ["parameters"]})]
    made += [new_markdown_cell(c) if c.startswith(("# ", "## ")) else new_code_cell(c) for c in cells]
    notebook = new_notebook(cells=made)
    # The kernel that it asks for does not exist anywhere: the driver must not care.
    notebook.metadata.kernelspec = {"name": "nowhere", "display_name": "?", "language": "python"}
    notebook.metadata.language_info = {"name": "python"}
    nbformat.write(notebook, folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"
