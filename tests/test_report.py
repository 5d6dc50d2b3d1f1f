"""The manifest tells the truth about its products, and the report about this run, the reference and the paper."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from paper_repro.paper import csv_files, published, style
from paper_repro.report import manifest, page, reference
from paper_repro.study import open_notebook
from paper_repro.tools import paths as places
from paper_repro.tools.errors import UserError
from paper_repro.tools.paths import Paths

HARDWARE = {"device": "Made-up CPU, 2 cores", "torch": "2.13.0", "commit": "0123456789ab"}


class Runs:
    """In the place of results: the runs named in ``finished`` are there, ``failed`` have a reason."""

    def __init__(self, finished: str, failed: dict[str, str] | None = None) -> None:
        self.finished, self.failed = finished, failed or {}

    def result(self, name: str) -> Any:
        return SimpleNamespace(key=f"key-{name}", environment=HARDWARE) if name in self.finished else None

    def failure(self, name: str) -> str | None:
        return self.failed.get(name)


def table1(mean: float, status: str = "complete") -> pd.DataFrame:
    """A table like Table 1 of two methods on one benchmark."""
    row = {"train_source": "generated", "method": "ce", "reproduction": "", "benchmark": "mrpc"}
    row |= {"paper_accuracy": 72.0, "paper_macro_f1": 70.12, "best_accuracy": mean + 1, "best_macro_f1": mean}
    row |= {"mean_accuracy": mean, "accuracy_low": mean - 2, "accuracy_high": mean + 2, "mean_macro_f1": mean - 1}
    row |= {"n_seeds": 4, "n_test": 1725, "status": status}
    return pd.DataFrame([row, {**row, "method": "imp", "paper_accuracy": 75.83}])


def claims(verdict: str) -> pd.DataFrame:
    row = {"id": "generated_imp_ce", "claim": "Generated data: IMP beats CE", "section": "5.1", "item": "Table 1"}
    row |= {"benchmark": "mrpc", "statistic": "points of accuracy", "paper_difference": 3.8, "mean": 1.2, "low": -0.3}
    row |= {"high": 2.7, "n_seeds": 4, "n_test": 1725, "p_value": 0.12, "status": "complete", "verdict": verdict}
    return pd.DataFrame([row, {**row, "id": "other", "claim": "Generated data: DIMP beats CE", "verdict": "fails"}])


def fill(folder: Path, mean: float = 70.0, verdict: str = "holds", runs: Any = (), notebook: str = "04_train") -> None:
    """Table 1, its claims and a figure, as a notebook leaves them in ``folder``."""
    table = csv_files.save(table1(mean), folder / "table1.csv")
    judged = csv_files.save(claims(verdict), folder / "table1_claims.csv")
    figure, _ = style.panels(1, 4.6, 3.2)
    manifest.enter(folder, "table1", "Table 1", [table], items=["Table 1"], notebook=notebook, runs=runs)
    manifest.enter(folder, "table1_claims", "Claims", [judged], notebook=notebook)
    manifest.enter(folder, "figure1", "Figure 1", style.save(figure, folder / "figure1"), notebook=notebook)


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """Places of the profile mini, none of which is there yet."""
    monkeypatch.setattr(places, "REFERENCE", tmp_path / "figures" / "reference")
    return Paths.of("mini", str(tmp_path / "results"), str(tmp_path / "figures"))


def text_of(paths: Paths) -> str:
    """The page's words, in one line."""
    body = re.sub(r"<style>.*?</style>|<[^>]+>", " ", page.build(paths).read_text("utf-8"), flags=re.DOTALL)
    return re.sub(r"\s+", " ", body).replace("&#39;", "'").replace("&lt;", "<")


# -- the manifest ---------------------------------------------------------------------------------------------


def test_a_product_has_its_files_its_runs_and_where_they_were_made(paths: Paths) -> None:
    results = Runs("ab", {"c": "non-finite loss", "d": "non-finite loss"})
    fill(paths.figures, runs=[(results, run) for run in "abacde"])
    entry = manifest.read(paths.figures)["table1"]
    digest = hashlib.sha256((paths.figures / "table1.csv").read_bytes()).hexdigest()
    assert entry["files"] == {"table1.csv": digest}
    assert entry["runs"] == ["key-a", "key-b"] and entry["wanted"] == 5 and not entry["complete"]
    assert entry["completeness"] == "2 of 5 runs; 2 failed: non-finite loss"
    assert entry["hardware"] == ["Made-up CPU, 2 cores"] and entry["versions"] == {"torch": "2.13.0"}
    assert "0123456789ab" in entry["commits"] and entry["notebook"] == "04_train"
    assert manifest.gaps(paths.figures, ["04_train"]) == [f"04_train: table1: {entry['completeness']}"]
    assert manifest.gaps(paths.figures, ["05_other"]) == []


def test_notebooks_that_end_at_once_lose_nothing_and_the_last_word_counts(tmp_path: Path) -> None:
    file = csv_files.save(pd.DataFrame({"x": [1]}), tmp_path / "t.csv")
    names = [f"p{n % 10}" for n in range(12)]
    threads = [threading.Thread(target=manifest.enter, args=(tmp_path, name, name, [file])) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    manifest.enter(tmp_path, "p0", "again", [file])
    assert [entry["title"] for entry in manifest.read(tmp_path).values()] == ["again", *sorted(set(names))[1:]]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"products": [1]}', '{"products": {"a": {}}}', '{"x": 1}'])
def test_a_damaged_manifest_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(UserError, match="manifest.json: not a manifest"):
        manifest.read(tmp_path)


def test_a_notebook_opens_its_study_and_one_call_saves_and_files_a_product(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = 'profile: str = "demo"\ntrain: bool = True\nfigures_dir: str = ""\nresults_dir: str = ""'
    cell = {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": source}
    (tmp_path / "04_train.ipynb").write_text(json.dumps({"cells": [cell]}))
    monkeypatch.setattr(places, "NOTEBOOKS", tmp_path)
    namespace = {"profile": "smoke", "train": "false", "figures_dir": str(tmp_path), "world": "a module, say"}
    study = open_notebook("04_train", namespace)
    assert (study.profile.name, study.workers, namespace["train"]) == ("smoke", 1, False)
    frame = pd.DataFrame({"n": [3]})
    assert study.show("figure2", frame, "Figure 2", items=["Figure 2"], view="what to look at") == "what to look at"
    figure, _ = style.panels(1, 4.6, 3.2)
    assert study.show("figure2", figure, "Figure 2", items=["Figure 2"]) is figure
    entry = manifest.read(tmp_path / "smoke")["figure2"]
    assert set(entry["files"]) == {"figure2.csv", "figure2.png", "figure2.svg"}
    assert (entry["notebook"], entry["items"]) == ("04_train", ["Figure 2"])


# -- the reference --------------------------------------------------------------------------------------------


def test_the_reference_takes_the_products_of_the_notebooks_that_ran_and_keeps_the_rest(paths: Paths) -> None:
    fill(paths.reference, 60.0)
    (paths.reference / "recipe_search.csv").write_text("made by a benchmark\n")
    old = csv_files.save(pd.DataFrame({"x": [1]}), paths.reference / "old.csv")
    manifest.enter(paths.reference, "old", "No longer made", [old], notebook="04_train")
    kept = csv_files.save(pd.DataFrame({"x": [2]}), paths.reference / "kept.csv")
    manifest.enter(paths.reference, "kept", "By a notebook that did not run", [kept], notebook="05_noisy")
    fill(paths.figures, 70.0)
    assert reference.replace(paths) == dict.fromkeys(("figure1", "table1", "table1_claims"), "complete")
    assert set(manifest.read(paths.reference)) == {"figure1", "table1", "table1_claims", "kept"}
    assert csv_files.load(paths.reference / "table1.csv")["mean_accuracy"].tolist() == [70.0, 70.0]
    assert not old.exists() and kept.exists() and (paths.reference / "recipe_search.csv").exists()
    assert not [n for n, e in manifest.read(paths.reference).items() if manifest.changed_files(paths.reference, e)]


def test_a_file_that_changed_since_is_no_reference(paths: Paths) -> None:
    fill(paths.figures)
    (paths.figures / "figure1.svg").write_text("edited")
    with pytest.raises(UserError, match=r"figure1: figure1\.svg changed since"):
        reference.replace(paths)
    assert not paths.reference.exists()


# -- the report -----------------------------------------------------------------------------------------------


def test_the_paper_the_reference_and_this_run_stand_side_by_side(paths: Paths) -> None:
    fill(paths.reference, 68.25, verdict="inconclusive")
    fill(paths.figures, 70.5, verdict="holds")
    text = text_of(paths)
    shipped = "68.25 / 67.25 [66.2, 70.2] best 69.25 / 68.25; n = 4 × 1,725"
    assert f"75.83 / 70.12 {shipped} 70.50 / 69.50 [68.5, 72.5] best 71.50 / 70.50; n = 4 × 1,725" in text
    differing = "Generated data: IMP beats CE, MRPC: holds (shipped: inconclusive)"
    assert text.count("(shipped:") == 1 and differing in text, "the other claim's verdict is the same"
    assert "holds shipped: inconclusive +1.2 [−0.3, +2.7] paper +3.8 n = 4 × 1,725; p 0.120" in text


def test_what_this_run_has_not_made_is_shown_as_the_reference_s(paths: Paths) -> None:
    fill(paths.reference)
    text = text_of(paths)
    assert "Nothing was run here yet" in text and "this run" not in re.sub("not made by this run", "", text)
    file = csv_files.save(pd.DataFrame({"n": [3]}), paths.figures / "table5.csv")
    manifest.enter(paths.figures, "table5", "Table 5", [file], items=["Table 5"], notebook="01_generate")
    text = text_of(paths)
    assert "Nothing was run here yet" not in text
    assert text.count("shipped reference, not made by this run") == 2, "Table 1 and Figure 1"


def test_nothing_at_all_says_what_to_run(paths: Paths) -> None:
    with pytest.raises(UserError, match="no tables and figures yet .*paper-repro run --profile mini"):
        page.build(paths)
    assert not paths.report.exists()


@pytest.mark.parametrize("name", ["demo", "mini"])
def test_the_shipped_reference_makes_a_report_with_everything_in_it(name: str, tmp_path: Path) -> None:
    paths = Paths.of(name, str(tmp_path / "results"), str(tmp_path / "figures"))
    text = text_of(paths)
    for entry in manifest.read(paths.reference).values():
        shown = [file for file in entry["files"] if not file.endswith("claims.csv")]
        assert not shown or entry["title"] in text
    assert "changed or missing since" not in text


def test_every_item_of_the_paper_stands_with_its_state(paths: Paths) -> None:
    fill(paths.figures)
    text = text_of(paths)
    assert [name for name in published.items()["item"] if name not in text] == []
    modules = {module for module in published.items()["module"] if module}
    assert [module for module in modules if f"in the code: paper_repro.{module}" not in text] == []
    assert "paper-repro run 05 --profile mini" in text
    assert "Table 1 Accuracy and macro-F1 of every loss on three benchmarks complete 1 holds, 1 fails" in text


def test_the_incomplete_and_the_changed_are_never_shown_as_complete(paths: Paths) -> None:
    fill(paths.figures, runs=[(Runs("a", {"b": "out of memory"}), run) for run in "ab"])
    (paths.figures / "figure1.png").unlink()
    text = text_of(paths)
    assert "Table 1: 1 of 2 runs; 1 failed: out of memory" in text
    assert "Figure 1: complete; changed or missing since it was made: figure1.png" in text


def test_the_page_needs_nothing_from_outside_and_its_links_lead_somewhere(paths: Paths) -> None:
    for folder in (paths.reference, paths.figures):
        fill(folder)
    html = page.build(paths).read_text("utf-8")
    assert not re.findall(r"<(?:script|link|iframe|object)", html)
    assert all(source.startswith("data:image/") for source in re.findall(r'src="([^"]*)', html))
    assert re.findall(r'href="(http[^"]*)', html) == ["https://arxiv.org/abs/2410.21526"]
    assert "url(" not in html and "@import" not in html
    anchors = set(re.findall(r'href="#([^"]+)', html))
    assert anchors and anchors <= set(re.findall(r'id="([^"]+)', html))


def test_runs_are_linked_where_the_store_is_at_hand(paths: Paths) -> None:
    row = {"profile": "mini", "train_source": "generated", "method": "imp", "benchmark": "mrpc", "seed": 0, "epoch": 3}
    row |= {"status": "complete", "selected": True, "key": "k" * 64, "dev_accuracy": 0.7, "test_accuracy": 0.71}
    file = csv_files.save(pd.DataFrame([{**row, "test_macro_f1": 0.69}]), paths.figures / "table1_runs.csv")
    manifest.enter(paths.figures, "table1_runs", "Runs", [file], notebook="04_train")
    assert 'href="runs/' not in page.build(paths).read_text("utf-8")
    (paths.results / "runs" / ("k" * 64)).mkdir(parents=True)
    assert page.build(paths).read_text("utf-8").count(f'href="runs/{"k" * 64}/"') == 1


def test_text_is_escaped_and_only_files_of_the_manifest_are_read(paths: Paths) -> None:
    nasty = "<script>alert(1)</script>"
    frames = {"texts": pd.DataFrame({"text": [nasty], "n": [3]}), "long": pd.DataFrame({"n": range(500)})}
    files = [csv_files.save(frame, paths.figures / f"{name}.csv") for name, frame in frames.items()]
    csv_files.save(pd.DataFrame({"text": ["of no product"]}), paths.figures / "stray.csv")
    manifest.enter(paths.figures, "texts", f"Texts {nasty}", files, notebook="01_generate")
    html = page.build(paths).read_text("utf-8")
    assert nasty not in html and html.count("&lt;script&gt;") >= 2
    assert "long.csv (500 rows)" in html and "of no product" not in html


def test_each_product_links_to_its_notebook_where_that_can_be_seen(paths: Paths) -> None:
    fill(paths.figures)
    link = 'href="{}">04_train</a>'
    assert "04_train</a>" not in page.build(paths).read_text("utf-8"), "nothing to lead to"
    for place in (paths.notebooks / "04_train.ipynb", paths.site / "notebooks" / "04_train.html"):
        place.parent.mkdir(parents=True)
        place.write_text("")
        assert link.format(place.relative_to(paths.results)) in page.build(paths).read_text("utf-8")
    page.build_in_site(paths)
    assert link.format("notebooks/04_train.html") in (paths.site / "report.html").read_text("utf-8")
