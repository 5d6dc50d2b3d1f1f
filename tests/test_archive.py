"""Runs that travel: what tables use comes back, without data and weights; what is no archive changes nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from paper_repro import study
from paper_repro.runs import archive
from paper_repro.runs.archive import Part, halves, pack, unpack
from paper_repro.runs.results import Results
from paper_repro.runs.spec import Checker, RunSpec, Task
from paper_repro.study import Study
from paper_repro.tools.errors import UserError

SPECS = tuple(tiny.spec(method) for method in ("ce", "imp", "dimp"))
WANTED = (Checker(tiny.spec("ce", "dev")), "financial", "test")


@pytest.fixture(scope="module")
def made(inputs: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Study:
    study = tiny.study(inputs, tmp_path_factory.mktemp("archive"))
    study.run(SPECS, progress=False)
    study.collect([WANTED], progress=False)
    return study


@pytest.fixture
def files(made: Study, tmp_path: Path) -> list[Path]:
    return pack(made, [Part("table1-financial", SPECS, (WANTED,))], tmp_path / "archive")


def elsewhere(files: list[Path], folder: Path) -> Study:
    """The store of another machine, which has neither the texts nor the encoder."""
    bare = {"data_dir": str(folder / "no data"), "encoder_dir": str(folder / "no encoder")}
    study = tiny.study(bare, folder / "results")
    unpack(files, study.store)
    return study


def assert_same(ours: Results, theirs: Results, spec: RunSpec) -> None:
    one, other = ours.result(spec), theirs.result(spec)
    assert one is not None and other is not None
    assert repr(one.history) == repr(other.history) and one.selected_epoch == other.selected_epoch
    np.testing.assert_array_equal(one.test_labels, other.test_labels)
    for name in ("test_probabilities", "dev_probabilities"):
        kept, whole = getattr(one, name), getattr(other, name)
        np.testing.assert_array_equal(kept.argmax(axis=1), whole.argmax(axis=1))
        np.testing.assert_allclose(kept, whole, atol=1e-3)


def test_runs_are_found_without_data_and_weights(made: Study, files: list[Path], tmp_path: Path) -> None:
    """Keys, histories, predictions, scores and labels; and what was unpacked packs to the same bytes again."""
    study = elsewhere(files, tmp_path)
    for spec in (*SPECS, tiny.spec("ce", "dev")):
        assert study.key(spec) == made.key(spec)
        assert_same(study, made, spec)
    np.testing.assert_allclose(study.scores(*WANTED), made.scores(*WANTED), atol=2e-2)
    pool, whole = study.benchmark("financial").pools["test"], made.benchmark("financial").pools["test"]
    np.testing.assert_array_equal(pool.labels, whole.labels)
    with pytest.raises(UserError, match="needs the benchmark's texts"):
        pool.texts[0]
    again = pack(study, [Part("table1-financial", SPECS, (WANTED,))], tmp_path / "again")
    rows = [pq.read_table(path).drop_columns("record").to_pylist() for path in (*files, *again)]
    assert [row["arrays"] for row in rows[0]] == [row["arrays"] for row in rows[1]]


def test_what_is_missing_is_not_tried_without_the_data(
    files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = elsewhere(files, tmp_path)
    study.run([*SPECS, tiny.spec("ce", seed=9)])
    assert study.result(tiny.spec("ce", seed=9)) is None and study.failure(tiny.spec("ce", seed=9)) is None
    assert "cannot be made without data and weights" in capsys.readouterr().out


def test_whoever_has_the_data_goes_on(made: Study, files: list[Path], tmp_path: Path) -> None:
    """More seeds, nothing twice."""
    inputs = {"data_dir": str(made.inputs.data_dir), "encoder_dir": str(made.inputs.encoder_dir)}
    study = tiny.study(inputs, tmp_path / "results")
    assert unpack(files, study.store) == (6 + 1, 7)  # CE on D_Q and D_P', IMP, DIMP; three scores
    assert unpack(files, study.store) == (0, 7)
    before = {path: path.stat().st_mtime_ns for path in study.store.root.glob("runs/*/*")}
    study.run([*SPECS, tiny.spec("ce", seed=1)], progress=False)
    assert study.result(tiny.spec("ce", seed=1)) is not None
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_part_is_written_again_only_for_new_runs(made: Study, files: list[Path], tmp_path: Path) -> None:
    part, folder = Part("table1-financial", SPECS, (WANTED,)), tmp_path / "archive"
    assert pack(made, [part], folder) == []
    more = tiny.spec("ce", seed=1)
    made.run([more], progress=False)
    assert pack(made, [part, Part("more", (more, *SPECS))], folder) == [folder / "more.parquet"]
    assert pq.read_table(folder / "more.parquet").column("key").to_pylist() == [made.key(more)]  # each run once
    assert pack(made, [Part("table1-financial", (*SPECS, more), (WANTED,))], folder) == files


def test_failed_and_running_runs_are_left_out_and_count_as_missing_elsewhere(made: Study, tmp_path: Path) -> None:
    """Where no run on a pool is finished, tables made from the archive have a missing run, not an error."""
    absent, failed = tiny.spec("ce", "train", seed=7), tiny.spec("ce", "train", seed=8)
    made.store.fail(Task(made.key(failed), "run", "failed", failed.to_dict()), "a reason")
    with made.store.lock(made.key(absent)):
        files = pack(made, [Part("none", (absent, failed))], tmp_path / "archive")
    assert [pq.read_table(path).num_rows for path in files] == [0]
    assert pack(made, [Part("none", (absent, failed))], tmp_path / "archive") == []
    study = elsewhere(files, tmp_path)
    assert study.key(absent) == made.key(absent) and study.result(absent) is None


def test_one_run_under_the_names_of_two_pools_is_found_by_both(made: Study, tmp_path: Path) -> None:
    """All of D_P' and a mixture without a generated text are the same texts, hence the same run."""
    names = ("dev", "mix:0%:generated:dev")
    specs = [tiny.spec("ce", name) for name in names]
    pools = [made.benchmark("financial").pool(name).fingerprint for name in names]
    files = pack(made, [Part("both", tuple(specs))], tmp_path / "archive")
    study = elsewhere(files, tmp_path)
    assert [study.benchmark("financial").pool(name).fingerprint for name in names] == pools


def flipped(path: Path) -> None:
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows[0]["arrays"] = rows[0]["arrays"][:-1] + bytes([rows[0]["arrays"][-1] ^ 1])
    pq.write_table(pa.Table.from_pylist(rows, table.schema), path)


def with_metadata(**changes: str):  # type: ignore[no-untyped-def]
    def change(path: Path) -> None:
        table = pq.read_table(path)
        metadata = {**(table.schema.metadata or {}), **{k.encode(): v.encode() for k, v in changes.items()}}
        pq.write_table(table.replace_schema_metadata(metadata), path)

    return change


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-50]), "cannot be read"),
        (lambda path: path.write_bytes(b"PAR1"), "cannot be read"),
        (Path.unlink, "no such archive"),
        (flipped, "does not match its checksum"),
        (with_metadata(what="other"), "not an archive of runs"),
        (with_metadata(format=str(archive.FORMAT + 1)), "take the version that fits"),
        (with_metadata(record="eJw="), "cannot be read"),
        (with_metadata(engine="0"), "made by engine 0"),
        (lambda path: pq.write_table(pa.table({"a": [1]}), path), "not an archive of runs"),
    ],
)
def test_another_file_is_refused_and_the_store_stays_as_it_was(
    inputs: dict[str, str], files: list[Path], tmp_path: Path, harm, message: str
) -> None:
    """Also where a good part comes before it."""
    (good,) = files
    bad = Path(shutil.copyfile(good, tmp_path / "bad.parquet"))
    harm(bad)
    store = tiny.study(inputs, tmp_path / "results").store
    with pytest.raises(UserError, match=message):
        unpack([good, bad], store)
    assert tiny.files_under(store.root) == []


@given(hnp.arrays(np.float32, (5, 4), elements=st.floats(0, 1, width=32)))
def test_halves_keep_the_largest_class(probabilities: np.ndarray) -> None:
    rounded = halves(probabilities)
    np.testing.assert_array_equal(rounded.argmax(axis=1), probabilities.argmax(axis=1))
    np.testing.assert_allclose(rounded, probabilities, atol=1.1e-3)


def test_a_cell_that_needs_texts_is_left_out_and_others_are_not() -> None:
    lines = [f"{study.NEEDS_TEXTS}\n", "print(benchmark.pools)\n"]
    assert "benchmark" not in "".join(study._without_texts(lines)).replace("benchmarks", "")
    assert study._without_texts(lines[1:]) == lines[1:]
