"""The manifest of a profile's tables and figures, and the report: one HTML page that needs nothing else.

The report reads ``figures/<profile>`` alone (CSV, pictures, ``manifest.json``), so that it can also be made
from committed figures. Links to runs are made where the results store lies beside it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from paper_repro import profiles, published, versions
from paper_repro.errors import UserError
from paper_repro.paths import PACKAGE, Paths
from paper_repro.runs import RunSpec
from paper_repro.tables import BENCHMARK_TITLES, OTHER_DATA, RULE, Runs, load, records, write

MANIFEST = "manifest.json"
FIGURE_RULE = (
    "At the last epoch, a method is above CE-Loss if its lowest seed lies above CE's highest, below if its "
    "highest lies below CE's lowest; otherwise the bands overlap and the figure cannot tell."
)
LONGEST_TABLE = 60
"""Rows of a table that the report prints in full; longer ones are named only."""


# ---------------------------------------------------------------- the manifest


@dataclass(frozen=True)
class Product:
    """A table or figure: its files, what of the paper it is, and the runs that it came from.

    ``files`` are names inside the profile's figures folder; ``items`` those of
    :func:`paper_repro.published.items`; ``runs`` the keys of the finished runs, out of ``wanted``.
    """

    name: str
    title: str
    files: tuple[str, ...]
    items: tuple[str, ...] = ()
    notebook: str = ""
    runs: tuple[str, ...] = ()
    wanted: int = 0
    hardware: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    commits: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        return len(self.runs) == self.wanted


def product(
    workspace: Runs,
    name: str,
    title: str,
    files: Iterable[str | Path],
    *,
    items: Iterable[str] = (),
    notebook: str = "",
    specs: Iterable[RunSpec] = (),
) -> Product:
    """A product with the runs that its numbers came from (``specs``: all that it should have)."""
    wanted = list(dict.fromkeys(specs))
    results = [result for spec in wanted if (result := workspace.result(spec)) is not None]
    here = versions.environment("cpu", 1)
    seen = [result.environment for result in results] or [here]
    named = ("python", "torch", "transformers", "numpy", "paper_repro")
    return Product(
        name=name,
        title=title,
        files=tuple(Path(file).name for file in files),
        items=tuple(items),
        notebook=notebook,
        runs=tuple(result.key for result in results),
        wanted=len(wanted),
        hardware=_distinct(entry.get("device") for entry in seen),
        versions={key: ", ".join(v) for key in named if (v := _distinct(e.get(key) for e in seen))},
        commits=_distinct([here.get("commit"), *(entry.get("commit") for entry in seen)]),
    )


def write_manifest(figures_dir: Path, items: Iterable[Product]) -> Path:
    """Put products into ``figures_dir``/manifest.json; those of other notebooks stay as they are.

    Each gets the SHA-256 of its files, its completeness and the time. Raises UserError for a missing file.
    """
    entries = {item.name: _entry(figures_dir, item) for item in items}
    with _locked(figures_dir):
        path = figures_dir / MANIFEST
        known = read_manifest(figures_dir) if path.exists() else {}
        content = {"products": dict(sorted({**known, **entries}.items()))}
        return write(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def read_manifest(figures_dir: Path) -> dict[str, dict[str, Any]]:
    """Products by name. Raises UserError where there is no manifest or it cannot be read."""
    path = figures_dir / MANIFEST
    try:
        products = json.loads(path.read_text("utf-8"))["products"]
        for name, entry in products.items():
            if lacking := sorted(ENTRY - set(entry)):
                raise KeyError(f"{name} has no {', '.join(lacking)}")
        return {name: {"name": name, **entry} for name, entry in products.items()}
    except FileNotFoundError:
        way_out = f"run `paper-repro run --profile {figures_dir.name}` first"
        raise UserError(f"no tables and figures yet (no file {path}): {way_out}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not a manifest ({error}); delete it and run the notebooks again") from None


def _entry(figures_dir: Path, item: Product) -> dict[str, Any]:
    digests = {}
    for name in item.files:
        if not (figures_dir / name).is_file():
            raise UserError(f"{item.name}: no file {figures_dir / name}; save it before the manifest")
        digests[name] = _sha256(figures_dir / name)
    whole = "complete" if item.complete else f"{len(item.runs)} of {item.wanted} runs"
    entry = {**asdict(item), "files": digests, "complete": item.complete, "completeness": whole}
    del entry["name"]
    return {**entry, "written": datetime.now(UTC).isoformat(timespec="seconds")}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _distinct(values: Iterable[Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(value) for value in values if value))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time change the folder's manifest (where the system has flock)."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


ENTRY = {f.name for f in fields(Product)} - {"name"} | {"complete", "completeness", "written"}


# ---------------------------------------------------------------- the report


def build(paths: Paths) -> Path:
    """Make the report of a profile and return where it lies. Raises UserError where nothing has been run."""
    products = read_manifest(paths.figures)
    for entry in products.values():
        entry["changed"] = [n for n, digest in entry["files"].items() if _changed(paths.figures / n, digest)]
    profile = profiles.load(paths.profile) if paths.profile in profiles.names() else None
    table1, claims, runs = (_table(paths, products, f"table1{end}.csv") for end in ("", "_claims", "_runs"))
    figure = _figure1_verdicts(runs)
    verdicts = Counter(claims["verdict"]) if claims is not None else Counter()
    page = _template().render(
        profile=paths.profile,
        title=profile.title if profile else paths.profile,
        other_data=OTHER_DATA if profile and profile.kind == "miniature" else "",
        benchmarks=BENCHMARK_TITLES,
        rule=RULE,
        figure_rule=FIGURE_RULE,
        verdicts=verdicts,
        items=_items(products, verdicts, figure, table1),
        table1=_table1_blocks(table1),
        claims=_claim_rows(claims),
        figure1=figure,
        pictures={name: _picture(paths, products, name) for name in ("figure1", "table1_dots")},
        others=[_section(paths, entry) for entry in _by_notebook(products)],
        products=list(products.values()),
        runs=_run_rows(paths, runs),
        incomplete=[entry for entry in products.values() if not entry["complete"] or entry["changed"]],
    )
    return write(paths.report, page.encode())


OWN_SECTIONS = ("table1", "figure1")


def _by_notebook(products: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The products without a section of their own, in the order of the notebooks."""
    others = [entry for entry in products.values() if not entry["name"].startswith(OWN_SECTIONS)]
    return sorted(others, key=lambda entry: (entry["notebook"], entry["name"]))


def _template() -> Any:
    """The page's template; everything put into it is escaped."""
    loader = FileSystemLoader(PACKAGE / "templates")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters |= {"number": _number, "signed": _signed, "p": _p_value}
    return environment.get_template("report.html.j2")


def _number(value: Any, digits: int = 2) -> str:
    return "–" if pd.isna(value) else f"{value:.{digits}f}"


def _signed(value: Any, digits: int = 1) -> str:
    return "–" if pd.isna(value) else f"{value:+.{digits}f}".replace("-", "−")


def _p_value(value: Any) -> str:
    return "–" if pd.isna(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"


def _changed(path: Path, digest: str) -> bool:
    return not path.is_file() or _sha256(path) != digest


def _table(paths: Paths, products: Mapping[str, Any], name: str) -> pd.DataFrame | None:
    """A CSV of the figures folder that some product of the manifest owns."""
    owned = any(name in entry["files"] for entry in products.values())
    return load(paths.figures / name) if owned and (paths.figures / name).is_file() else None


def _picture(paths: Paths, products: Mapping[str, Any], name: str) -> str:
    """A picture as a data URI, the SVG if there is one; empty where no product owns it."""
    for suffix, kind in ((".svg", "image/svg+xml"), (".png", "image/png")):
        path = paths.figures / f"{name}{suffix}"
        if path.is_file() and any(path.name in entry["files"] for entry in products.values()):
            return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
    return ""


def _items(
    products: Mapping[str, Any], verdicts: Counter[str], figure: Sequence[Any], table1: pd.DataFrame | None
) -> list[dict[str, str]]:
    """Every item of the paper with what there is of it: state "done", "part", "code" or "open"."""
    summaries = {"Table 1": _counted(verdicts), "Figure 1": _counted(Counter(row["verdict"] for row in figure))}
    notes = {"Table 1": _without(table1)}
    rows = []
    for item in records(published.items()):
        name, note = item["item"], notes.get(item["item"], "")
        owners = [entry for entry in products.values() if name in entry["items"]]
        anchor = next((own for own in OWN_SECTIONS if owners and owners[0]["name"].startswith(own)), "")
        if owners:
            whole = all(entry["complete"] and not entry["changed"] for entry in owners)
            state, text = ("done", "complete") if whole else ("part", owners[0]["completeness"])
            anchor = anchor or owners[0]["name"]
        elif item["module"] and find_spec(f"paper_repro.{item['module']}"):
            state, text = "code", f"in the code: paper_repro.{item['module']}"
        else:
            state, text = "open", ""
        line = {"state": state, "text": text, "note": note, "anchor": anchor, "verdict": summaries.get(name, "")}
        rows.append({**item, **line})
    return rows


def _without(table1: pd.DataFrame | None) -> str:
    """The rows of Table 1 that have no runs by design, with the reason."""
    if table1 is None:
        return ""
    empty = table1[table1["status"].isin(["not built yet", "number not known"])]
    reasons = dict(zip(empty["method"], empty["status"], strict=True))
    return "; ".join(f"{method}: {reason}" for method, reason in reasons.items())


def _counted(verdicts: Counter[str]) -> str:
    """Verdicts as a phrase: "19 hold, 1 fails"."""
    plural = {"holds": "hold", "fails": "fail"}
    order = ("holds", "fails", "cannot be told", "not complete")
    found = [(verdicts[name], name) for name in order if verdicts[name]]
    return ", ".join(f"{count} {name if count == 1 else plural.get(name, name)}" for count, name in found)


def _table1_blocks(frame: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Blocks of Table 1 by train_source; each row has one cell a benchmark."""
    blocks: dict[str, dict[str, dict[str, Any]]] = {}
    for row in records(frame) if frame is not None else []:
        line = blocks.setdefault(row["train_source"], {}).setdefault(row["method"], {"cells": {}})
        line["reproduction"] = "" if pd.isna(row["reproduction"]) else row["reproduction"]
        line["cells"][row["benchmark"]] = row
    return [
        {"source": source, "rows": [{"method": m, **r} for m, r in rows.items()]} for source, rows in blocks.items()
    ]


def _claim_rows(frame: pd.DataFrame | None) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for row in records(frame) if frame is not None else []:
        line = rows.setdefault(row["claim"], {"claim": row["claim"], "section": row["section"], "cells": {}})
        line["cells"][row["benchmark"]] = row
    return list(rows.values())


def _figure1_verdicts(frame: pd.DataFrame | None) -> list[dict[str, Any]]:
    """:data:`FIGURE_RULE` for IMP and DIMP on generated data: per cent at the last epoch, by benchmark."""
    if frame is None or frame.empty:
        return []
    here = frame[frame["train_source"] == "GPT-3.5 generated"]
    rows = []
    for (benchmark, method), group in here.groupby(["benchmark", "method"], sort=False):
        if method not in ("IMP-Loss (Ours)", "DIMP-Loss (Ours)"):
            continue
        plain = here[(here["benchmark"] == benchmark) & (here["method"] == "CE-Loss")]
        ours, theirs = _last_epoch(group), _last_epoch(plain)
        whole = (group["status"] == "complete").all() and (plain["status"] == "complete").all() and len(theirs)
        above, below = ours.min(initial=np.inf) > theirs.max(initial=0), ours.max(initial=0) < theirs.min(initial=1)
        found = "holds" if above else "fails" if below else "cannot be told"
        rows.append(
            {
                "benchmark": BENCHMARK_TITLES.get(str(benchmark), str(benchmark)),
                "method": method,
                "ours": 100 * ours,
                "theirs": 100 * theirs,
                "verdict": found if whole else "not complete",
            }
        )
    return rows


def _last_epoch(frame: pd.DataFrame) -> np.ndarray[Any, Any]:
    """(seeds,) test accuracies, fractions, at each finished run's last epoch."""
    done = frame[frame["status"] == "complete"].sort_values("epoch")
    return done.groupby("seed")["test_accuracy"].last().to_numpy(dtype=float)


def _section(paths: Paths, entry: Mapping[str, Any]) -> dict[str, Any]:
    """A product of another notebook: its pictures, and its tables if they are short."""
    pictures, tables, long = [], [], []
    stems = dict.fromkeys(Path(name).stem for name in entry["files"] if not name.endswith(".csv"))
    pictures = [picture for stem in stems if (picture := _picture(paths, {"": entry}, stem))]
    for name in entry["files"]:
        if name.endswith(".csv") and (paths.figures / name).is_file():
            frame = load(paths.figures / name)
            if len(frame) <= LONGEST_TABLE:
                body = [
                    ["" if pd.isna(v) else f"{v:.5g}" if isinstance(v, float) else v for v in r]
                    for r in frame.to_numpy(dtype=object)
                ]
                tables.append({"name": name, "columns": list(frame), "rows": body})
            else:
                long.append(f"{name} ({len(frame)} rows)")
    return {**entry, "pictures": pictures, "tables": tables, "long": long}


def _run_rows(paths: Paths, frame: pd.DataFrame | None) -> list[dict[str, Any]]:
    """One row a run: what was trained, its selected epoch and accuracy, and a link where the store is at hand."""
    if frame is None:
        return []
    chosen = frame[(frame["status"] != "complete") | (frame["selected"].astype("boolean").fillna(False))]
    rows = []
    for row in records(chosen):
        folder = paths.store / "runs" / str(row["key"])
        link = Path(os.path.relpath(folder, paths.report.parent)).as_posix() + "/" if folder.is_dir() else ""
        rows.append({**row, "link": link})
    return rows
