"""The website: the README, ``docs/``, the executed notebooks of a profile and its report, as pages without a network.

``make site PROFILE=mini`` calls it. Sphinx builds the pages (the extra ``site``); its settings are in ``docs/conf.py``.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from paper_repro.report import notebooks, page
from paper_repro.tools.errors import UserError
from paper_repro.tools.paths import Paths, project_root

LINKED = ("paper_repro", "figures", "benchmarks", "LICENSE", "CITATION.cff")
"""What pages link to beside each other."""
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
    if (paths.figures / "manifest.json").exists() or (paths.reference / "manifest.json").exists():
        page.build(paths)  # now with links to the notebooks' pages
        page.build_in_site(paths)
    return paths.site / "index.html"


def gather(paths: Paths, source: Path) -> None:
    """Put the pages into ``source``, laid out as in the checkout, so that links between them hold."""
    root = project_root()
    shutil.copytree(root / "docs", source / "docs")
    for name in LINKED:
        if (root / name).exists():
            (source / name).symlink_to(root / name)
    (source / "notebooks").mkdir()
    names = [path.name for path in notebooks.available()]
    for path in notebooks.available():
        executed = paths.notebooks / path.name
        shutil.copyfile(executed if executed.exists() else path, source / "notebooks" / path.name)
    pages = [f"docs/{path.stem}" for path in sorted((root / "docs").glob("*.md"))]
    pages += [f"benchmarks/{path.stem}" for path in sorted((root / "benchmarks").glob("*.md"))]
    contents = CONTENTS.format(notebooks="\n".join(f"notebooks/{name}" for name in names), pages="\n".join(pages))
    (source / "index.md").write_text((root / "README.md").read_text("utf-8") + contents, "utf-8")


if __name__ == "__main__":
    try:
        print(f"Website: {build(Paths.of(sys.argv[1]))}")
    except UserError as error:
        sys.exit(f"make site: {error}")
