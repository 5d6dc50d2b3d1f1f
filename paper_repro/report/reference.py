"""The shipped reference: the tables and figures that everybody's runs are compared with.

``make reference PROFILE=mini`` puts those of the last run in its place.
"""

from __future__ import annotations

import shutil
import sys

from paper_repro.report import manifest, readme
from paper_repro.tools.errors import UserError
from paper_repro.tools.paths import Paths


def replace(paths: Paths) -> dict[str, str]:
    """Make a run's products the reference, in place of all that the reference has of the same notebooks.

    Returns the completeness of each. What other notebooks and the benchmarks made stays. Raises UserError, before
    anything is changed, where a file is not what the manifest says.
    """
    ours, reference = manifest.read(paths.figures), paths.reference
    for name, entry in ours.items():
        if changed := manifest.changed_files(paths.figures, entry):
            raise UserError(f"{name}: {', '.join(changed)} changed since {entry['notebook']} made it; run that again")
    known = manifest.read(reference) if (reference / manifest.MANIFEST).exists() else {}
    notebooks = {entry["notebook"] for entry in ours.values()}
    kept = {name: entry for name, entry in known.items() if entry["notebook"] not in notebooks}
    for file in {file for entry in known.values() for file in entry["files"]}:
        if not any(file in entry["files"] for entry in kept.values()):
            (reference / file).unlink(missing_ok=True)
    reference.mkdir(parents=True, exist_ok=True)
    for file in {file for entry in ours.values() for file in entry["files"]}:
        shutil.copyfile(paths.figures / file, reference / file)
    manifest.write(reference, {**kept, **ours})
    return {name: entry["completeness"] for name, entry in ours.items()}


if __name__ == "__main__":
    paths = Paths.of(sys.argv[1])
    try:
        products = replace(paths)
    except UserError as error:
        sys.exit(f"make reference: {error}")
    for name, completeness in products.items():
        if completeness != "complete":
            print(f"{name}: {completeness}")
    readme.write()
    print(f"{len(products)} tables and figures are now the reference in {paths.reference}")
