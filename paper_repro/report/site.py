"""The website: the README, ``docs/``, the executed notebooks of a profile and its report, as pages without a network.

``make site PROFILE=mini`` calls it. Sphinx builds the pages (the extra ``site``); its settings are in ``docs/conf.py``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from paper_repro.report import manifest, notebooks, page
from paper_repro.runs import profiles
from paper_repro.tools.errors import UserError
from paper_repro.tools.paths import Paths, project_root

WITH_PAGES = ("docs", "benchmarks", "paper_repro")
"""Folders whose Markdown files are pages."""
LINKED = ("figures", "LICENSE", "CITATION.cff")
"""What pages link to besides."""
REPORT = '<a href="report.html">The report</a> sets it beside the paper.'
SHOWN = """

<p>These pages show what the notebooks made with the profile <b>{profile}</b> ({title}). {report}</p>

"""
CONTENTS = """
```{{toctree}}
:hidden:
:caption: Notebooks

{notebooks}
```

```{{toctree}}
:hidden:
:caption: About

{pages}
```
"""
CODE = re.compile(r"\[(\w+\.py: ([\w.]+))\]\((\.\./paper_repro/[\w/]+\.py)\)")
"""A link of a page in ``docs/`` to a function: its title, the function, the file."""
CODE_TITLE = "# The code behind the paper's items"
LISTING = """
({target})=
## {title}

```{{literalinclude}} {file}
:pyobject: {function}
:lineno-match:
```
"""


def build(paths: Paths) -> Path:
    """Build the website of a profile, in place of the one before; returns its first page.

    A notebook that was not run is shown without its results. Raises UserError where Sphinx is not installed or fails.
    """
    if find_spec("sphinx") is None or find_spec("myst_nb") is None:
        raise UserError("the website needs Sphinx: make site installs it, or pip install -r docs/requirements.lock")
    with tempfile.TemporaryDirectory(prefix="paper-repro-site-") as folder:
        source, target = Path(folder) / "source", Path(folder) / "site"
        gather(paths, source)
        command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", "-c", str(project_root() / "docs")]
        done = subprocess.run([*command, str(source), str(target)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise UserError(f"Sphinx cannot build the website:\n{done.stderr.strip()[-2000:]}")
        print(done.stderr, end="")
        shutil.rmtree(paths.site, ignore_errors=True)
        shutil.copytree(target, paths.site, ignore=shutil.ignore_patterns(".doctrees", ".buildinfo"))
    if _has_report(paths):
        page.build(paths)  # now with links to the notebooks' pages
        page.build_in_site(paths)
    return paths.site / "index.html"


def gather(paths: Paths, source: Path) -> None:
    """Put the pages into ``source``, laid out as in the checkout, so that links between them hold."""
    root = project_root()
    for name in WITH_PAGES:  # copies: a page is known by its place in the source, which a symbolic link would change
        shutil.copytree(root / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    listings: dict[str, str] = {}
    for path in (source / "docs").glob("*.md"):
        path.write_text(_with_listings(path.read_text("utf-8"), listings), "utf-8")
    (source / "docs" / "code.md").write_text("\n".join([CODE_TITLE, *listings.values()]), "utf-8")
    for name in LINKED:
        if (root / name).exists():
            (source / name).symlink_to(root / name)
    (source / "notebooks").mkdir()
    names = [path.name for path in notebooks.available()]
    for path in notebooks.available():
        executed = paths.notebooks / path.name
        content = (executed if executed.exists() else path).read_text("utf-8")
        (source / "notebooks" / path.name).write_text(content.replace("<td>NaN</td>", "<td></td>"), "utf-8")
    pages = [str(path.relative_to(source)) for name in WITH_PAGES for path in sorted((source / name).rglob("*.md"))]
    contents = CONTENTS.format(notebooks="\n".join(f"notebooks/{name}" for name in names), pages="\n".join(pages))
    title, text = (root / "README.md").read_text("utf-8").split("\n", 1)
    about = {"profile": paths.folder, "title": profiles.load(paths.profile).title}
    shown = SHOWN.format(**about, report=REPORT if _has_report(paths) else "")
    (source / "index.md").write_text(title + shown + text + contents, "utf-8")


def _has_report(paths: Paths) -> bool:
    return any((folder / manifest.MANIFEST).exists() for folder in (paths.figures, paths.reference))


def _with_listings(page: str, listings: dict[str, str]) -> str:
    """``page`` with its links to functions leading to their ``listings``, which are added to those."""

    def linked(found: re.Match[str]) -> str:
        title, function, file = found.groups()
        target = f"{file.removeprefix('../').removesuffix('.py').replace('/', '.')}.{function}"
        listings[target] = LISTING.format(target=target, title=title, file=file, function=function)
        return f"[{title}](#{target})"

    return CODE.sub(linked, page)


if __name__ == "__main__":
    try:
        print(f"Website: {build(Paths.of(sys.argv[1]))}")
    except UserError as error:
        sys.exit(f"make site: {error}")
