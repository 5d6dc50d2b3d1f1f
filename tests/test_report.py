"""The manifest tells the truth about its products, and the report about the manifest."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import threading
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import fake_runs
import pandas as pd
import pytest

from paper_repro import figures, report, tables
from paper_repro.report import content
from paper_repro.texts import generated
from paper_repro.tools.errors import UserError
from paper_repro.tools.paths import Paths, project_root

IMP = ("GPT-3.5 generated", "IMP-Loss (Ours)", "mrpc")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a figures folder as notebook 04 leaves it; each kind once."""

    @lru_cache
    def make(kind: str, **changes: frozenset[tuple[str, str, str, int]]) -> Path:
        space = fake_runs.FakeWorkspace(fake_runs.profile(kind), examples=60, **changes)  # type: ignore[arg-type]
        folder = tmp_path_factory.mktemp("figures") / space.profile.name
        fill(folder, space)
        return folder

    return make


def fill(folder: Path, space: fake_runs.FakeWorkspace) -> None:
    specs, notebook = [cell.spec for cell in space.cells], "04_train_losses"
    table1, runs = tables.beside_paper(space, space.cells), tables.runs(space, space.cells)
    first = [
        tables.save(table1, folder / "table1.csv"),
        tables.save(tables.claims(space, space.cells), folder / "table1_claims.csv"),
        *figures.save(figures.table1_dots(table1), folder / "table1_dots", dpi=50),
    ]
    second = [
        tables.save(runs, folder / "table1_runs.csv"),
        *figures.save(figures.figure1(runs), folder / "figure1", dpi=50),
    ]
    report.write_manifest(
        folder,
        [
            report.product(space, "table1", "Table 1", first, items=["Table 1"], notebook=notebook, specs=specs),
            report.product(space, "figure1", "Figure 1", second, items=["Figure 1"], notebook=notebook, specs=specs),
        ],
    )


@pytest.fixture
def made(workshop: Callable[..., Path], tmp_path: Path) -> Callable[..., Paths]:
    """A copy of such a folder that a test may spoil: ``made("real", missing=...)``."""

    def copy(kind: str = "real", **changes: object) -> Paths:
        source = workshop(kind, **changes)
        shutil.copytree(source, tmp_path / "figures" / source.name)
        return Paths.of(source.name, str(tmp_path / "results"), str(tmp_path / "figures"))

    return copy


def page(paths: Paths) -> str:
    return report.build(paths).read_text("utf-8")


def plain(html: str) -> str:
    """The page's words, in one line."""
    body = re.sub(r"<style>.*?</style>|<[^>]+>", " ", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", body).replace("&#39;", "'").replace("&lt;", "<")


# ---------------------------------------------------------------- the manifest


def test_a_product_has_files_runs_hardware_versions_and_commit(made: Callable[..., Paths]) -> None:
    paths = made()
    entry = report.read_manifest(paths.figures)["table1"]
    csv = paths.figures / "table1.csv"
    assert entry["files"]["table1.csv"] == hashlib.sha256(csv.read_bytes()).hexdigest()
    assert entry["complete"] and entry["completeness"] == "complete"
    assert len(entry["runs"]) == entry["wanted"] == 144 and len(set(entry["runs"])) == 144
    assert entry["hardware"] == ["Made-up CPU, 2 cores"] and entry["versions"] == {"torch": "2.13.0"}
    assert "0123456789ab" in entry["commits"] and entry["notebook"] == "04_train_losses"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", entry["written"])


def test_a_product_without_all_its_runs_is_marked(made: Callable[..., Paths]) -> None:
    paths = made(missing=frozenset({(*IMP, 3)}), broken=frozenset({(*IMP, 2)}))
    entry = report.read_manifest(paths.figures)["table1"]
    assert not entry["complete"] and entry["completeness"] == "142 of 144 runs"


def test_other_notebooks_entries_stay_and_own_ones_are_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    tables.save(pd.DataFrame({"x": [1]}), folder / "t.csv")
    report.write_manifest(folder, [report.Product("b", "B", ("t.csv",)), report.Product("a", "A", ("t.csv",))])
    report.write_manifest(folder, [report.Product("b", "B, again", ("t.csv",))])
    products = report.read_manifest(folder)
    assert [(name, entry["title"]) for name, entry in products.items()] == [("a", "A"), ("b", "B, again")]


def test_notebooks_that_end_at_once_lose_nothing(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    folder = tmp_path / "demo"
    tables.save(pd.DataFrame({"x": [1]}), folder / "t.csv")
    products = [report.Product(f"p{n}", "P", ("t.csv",)) for n in range(12)]
    threads = [threading.Thread(target=report.write_manifest, args=(folder, [item])) for item in products]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(report.read_manifest(folder)) == 12
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "t.csv"]


def test_a_product_must_be_saved_before_it_is_listed(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    with pytest.raises(UserError, match=r"fig: no file .*fig.png; save it before the manifest"):
        report.write_manifest(tmp_path / "demo", [report.Product("fig", "Fig", ("fig.png",))])
    assert not (tmp_path / "demo" / "manifest.json").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"products": [1]}', '{"products": {"a": {}}}', '{"x": 1}'])
def test_a_damaged_manifest_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(UserError, match="manifest.json: not a manifest"):
        report.read_manifest(tmp_path)


# ---------------------------------------------------------------- the report


@pytest.mark.parametrize("name", ["demo", "mini"])
def test_the_shipped_figures_make_a_report_with_everything_in_it(name: str, tmp_path: Path) -> None:
    shutil.copytree(project_root() / "figures" / name, tmp_path / "figures" / name)
    paths = Paths.of(name, str(tmp_path / "results"), str(tmp_path / "figures"))
    text = plain(page(paths))
    for entry in report.read_manifest(paths.figures).values():
        shown = [file for file in entry["files"] if not content.is_claims(file)]
        assert not shown or plain(entry["title"]) in text, entry["name"]
    assert "changed or missing since" not in text


def test_nothing_run_yet_says_what_to_run(tmp_path: Path) -> None:
    paths = Paths.of("mini", str(tmp_path / "results"), str(tmp_path / "figures"))
    with pytest.raises(UserError, match="no tables and figures yet .*paper-repro run --profile mini"):
        report.build(paths)
    assert not paths.report.exists()


def test_every_item_stands_with_its_state(made: Callable[..., Paths]) -> None:
    text = plain(page(made()))
    for name in [f"Table {n}" for n in range(1, 7)] + [f"Figure {n}" for n in range(1, 8)]:
        assert name in text
    for name in [f"Eq. {n}" for n in range(1, 11)] + ["Sec. 3.2", "App. B", "App. C", "App. D"]:
        assert name in text
    for notebook in ("01", "02", "05", "06"):
        assert f"paper-repro run {notebook} --profile mini" in text
    assert "paper-repro run 04" not in text
    assert "Hu et al.'s: not run; SunGen: number not known" in text
    assert "Not complete." not in text


def test_numbers_stand_beside_the_papers(made: Callable[..., Paths]) -> None:
    paths = made()
    text = plain(page(paths))
    (row,) = tables.records(
        tables.load(paths.figures / "table1.csv").query(
            "method == @IMP[1] and benchmark == 'mrpc' and train_source == @IMP[0]"
        )
    )
    mean = f"{row['mean_accuracy']:.2f} [{row['accuracy_low']:.1f}, {row['accuracy_high']:.1f}]"
    assert f"75.83 70.52 {row['best_accuracy']:.2f} {row['best_macro_f1']:.2f} {mean}" in text
    assert "n = 4 × 60" in text
    verdicts = tables.load(paths.figures / "table1_claims.csv")["verdict"].value_counts()
    assert f"{verdicts['cannot be told']} cannot be told" in text
    assert tables.RULE in text and report.FIGURE_RULE in text


def test_the_page_needs_nothing_from_outside(made: Callable[..., Paths]) -> None:
    html = page(made())
    assert not re.findall(r"<(?:script|link|iframe|object)", html)
    assert all(source.startswith("data:image/") for source in re.findall(r'src="([^"]*)', html))
    assert re.findall(r'href="(http[^"]*)', html) == ["https://arxiv.org/abs/2410.21526"]
    assert "url(" not in html and "@import" not in html
    assert 'name="viewport"' in html and "prefers-color-scheme: dark" in html
    anchors = set(re.findall(r'href="#([^"]+)', html))
    assert anchors and anchors <= set(re.findall(r'id="([^"]+)', html))


def test_the_report_is_the_same_when_made_again_and_without_results(made: Callable[..., Paths], tmp_path: Path) -> None:
    paths = made()
    first = page(paths)
    elsewhere = Paths.of("mini", str(tmp_path / "nowhere"), str(tmp_path / "figures"))
    assert page(elsewhere) == first


def test_runs_are_linked_where_the_store_is_at_hand(made: Callable[..., Paths]) -> None:
    paths = made()
    key = report.read_manifest(paths.figures)["table1"]["runs"][0]
    assert f'href="runs/{key}/"' not in page(paths)
    (paths.store / "runs" / key).mkdir(parents=True)
    assert page(paths).count(f'href="runs/{key}/"') == 1


def test_the_incomplete_is_never_shown_as_complete(made: Callable[..., Paths]) -> None:
    html = page(made(missing=frozenset({(*IMP, 3)}), broken=frozenset({(*IMP, 2)})))
    text = plain(html)
    assert "Not complete. Figure 1: 142 of 144 runs; Table 1: 142 of 144 runs." in text
    assert "failed: non-finite loss at step 12 (2 of 4 seeds)" in text
    assert '<span class="badge done">complete</span>' not in html


def test_a_file_that_changed_since_is_reported(made: Callable[..., Paths]) -> None:
    paths = made()
    table = paths.figures / "table1.csv"
    table.write_text(table.read_text().replace("complete", "complete ", 1))
    (paths.figures / "figure1.png").unlink()
    text = plain(page(paths))
    assert "Table 1: complete; changed or missing since it was made: table1.csv" in text
    assert "changed or missing since it was made: figure1.png" in text


def test_the_demo_says_that_the_papers_numbers_are_of_other_data(made: Callable[..., Paths]) -> None:
    assert tables.OTHER_DATA in plain(page(made("miniature")))
    assert tables.OTHER_DATA not in plain(page(made("real")))


def test_the_generator_of_the_few_shot_row_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generated, "own_labels", lambda benchmark: benchmark.pools["test"].labels)
    paths = Paths.of("mini", str(tmp_path / "results"), str(tmp_path / "figures"))
    fill(paths.figures, fake_runs.FakeWorkspace(fake_runs.profile("real"), examples=60))
    assert f"ours: {generation.FEW_SHOT_GENERATOR}" in plain(page(paths))


def test_text_is_escaped_and_other_products_are_shown(made: Callable[..., Paths]) -> None:
    paths = made()
    nasty = "<script>alert(1)</script>"
    tables.save(pd.DataFrame({"text": [nasty], "n": [3]}), paths.figures / "texts.csv")
    tables.save(pd.DataFrame({"n": range(500)}), paths.figures / "long.csv")
    other = report.Product("texts", f"Texts {nasty}", ("texts.csv", "long.csv"), ("Table 5",), "01_generate")
    report.write_manifest(paths.figures, [other])
    html = page(paths)
    assert nasty not in html and html.count("&lt;script&gt;") >= 2
    assert "long.csv (500 rows)" in html and '<section id="texts">' in html


def test_only_files_of_the_manifest_are_read(made: Callable[..., Paths]) -> None:
    paths = made()
    manifest = json.loads((paths.figures / "manifest.json").read_text())
    del manifest["products"]["figure1"]
    (paths.figures / "manifest.json").write_text(json.dumps(manifest))
    html = page(paths)
    assert '<section id="figure1">' not in html and '<section id="table1">' in html


def test_figure_1_verdict_by_hand() -> None:
    def frame(imp: list[float], ce: list[float], status: str = "complete") -> pd.DataFrame:
        rows = [("IMP-Loss (Ours)", seed, a) for seed, a in enumerate(imp)]
        rows += [("CE-Loss", seed, a) for seed, a in enumerate(ce)]
        data = pd.DataFrame(rows, columns=["method", "seed", "test_accuracy"])
        return data.assign(train_source=IMP[0], benchmark="mrpc", epoch=5, status=status)

    def verdict(*arguments: object) -> str:
        (row,) = content.figure1_verdicts(frame(*arguments))  # type: ignore[arg-type]
        return str(row["verdict"])

    assert verdict([0.8, 0.9], [0.6, 0.7]) == "holds"
    assert verdict([0.5, 0.6], [0.7, 0.8]) == "fails"
    assert verdict([0.6, 0.8], [0.7, 0.75]) == "cannot be told"
    assert verdict([0.8, 0.9], [0.6, 0.7], "missing") == "not complete"
