"""The real benchmarks from their original files: known counts, splits by their rules, other data in their place."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from paper_repro.texts import benchmarks, description
from paper_repro.texts.description import NAMES
from paper_repro.texts.pools import Benchmark, input_hash
from paper_repro.tools.errors import UserError
from paper_repro.tools.paths import BUNDLED

# Counted with awk and sort, not with this package. GLUE's card has the same for MRPC.
LABEL_COUNTS = {
    "financial": {"train": [422, 2015, 955], "dev": [26, 156, 60], "test": [156, 708, 348]},
    "tweet_irony": {"train": [1417, 1445], "dev": [107, 93], "test": [473, 311]},
    "mrpc": {"train": [1194, 2474], "dev": [129, 279], "test": [578, 1147]},
}

# Bytes of text by pool in the hub's Parquet files, from their cards: num_bytes less 12 a row (a 4-byte offset
# and an 8-byte label), and for MRPC less 20 (two offsets, label, idx). They fix how the texts are stripped.
HUB_BYTES = {
    "tweet_irony": {"train": 259187 - 12 * 2862, "test": 75897 - 12 * 784},
    "mrpc": {"train": 943843 - 20 * 3668, "dev": 105879 - 20 * 408, "test": 442410 - 20 * 1725},
}


@pytest.fixture(scope="module")
def real(real_data_dir: Path) -> dict[str, Benchmark]:
    return {name: benchmarks.load(name, data_dir=real_data_dir) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_sizes_of_table_5_and_label_counts(name: str, real: dict[str, Benchmark]) -> None:
    with (BUNDLED / "published" / "table5.csv").open() as lines:
        table5 = {row["split"]: int(row[name]) for row in csv.DictReader(lines)}
    pools = dict(real[name].pools)
    assert tuple(pools) == ("train", "dev", "test", "generated") and not real[name].truth
    del pools["generated"], table5["generated"]
    assert {pool: len(content) for pool, content in pools.items()} == table5
    for pool, content in pools.items():
        assert np.bincount(content.labels).tolist() == LABEL_COUNTS[name][pool], pool
        assert content.labels.dtype == np.int64
        assert (content.pairs is not None) == (name == "mrpc")
        stored = HUB_BYTES.get(name, {}).get(pool)
        texts = content.texts + (content.pairs or ())
        assert stored is None or sum(len(text.encode()) for text in texts) == stored, pool


def test_duplicates_are_kept_and_counted(real: dict[str, Benchmark]) -> None:
    pools = {name: real["financial"].pools[name] for name in ("train", "dev", "test")}
    whole = [text for pool in pools.values() for text in pool.texts]
    assert len(whole) == 4846 and len(set(whole)) == 4838
    assert {name: pool.repeated for name, pool in pools.items()} == {"train": 6, "dev": 0, "test": 2}


def test_splits_follow_their_rule(real_data_dir: Path) -> None:
    def splits(name: str) -> dict[str, list[int]]:
        content: dict[str, list[int]] = json.loads((BUNDLED / "splits" / f"{name}.json").read_text("utf-8"))
        return content

    raw = (real_data_dir / "financial" / "Sentences_50Agree.txt").read_bytes().decode("latin-1")
    sentences = [line[: line.rindex("@")].strip() for line in raw.split("\r\n")[:-1]]
    order = sorted(range(4846), key=lambda i: hashlib.sha256(sentences[i].encode()).hexdigest())
    financial = splits("financial")
    assert financial["dev"] == sorted(order[:242])
    assert financial["test"] == sorted(order[242 : 242 + 1212])
    assert financial["train"] == sorted(order[242 + 1212 :])
    lines = (real_data_dir / "tweet_irony" / "val_text.txt").read_bytes().split(b"\n")[:-1]
    order = sorted(range(955), key=lambda i: hashlib.sha256(lines[i]).hexdigest())
    assert splits("tweet_irony")["dev"] == sorted(order[:200])
    glue = {tuple(line.split("\t")) for line in (real_data_dir / "mrpc" / "dev_ids.tsv").read_text().splitlines()}
    rows = (real_data_dir / "mrpc" / "msr_paraphrase_train.txt").read_bytes().decode("utf-8-sig").split("\n")[1:-1]
    dev = [i for i, row in enumerate(rows) if tuple(row.split("\t")[1:3]) in glue]
    assert len(dev) == len(glue) and splits("mrpc")["dev"] == dev
    assert splits("mrpc")["train"] == sorted(set(range(len(rows))) - set(dev))


def test_mrpc_agrees_with_a_reader_of_its_own(real: dict[str, Benchmark], real_data_dir: Path) -> None:
    path = real_data_dir / "mrpc" / "msr_paraphrase_test.txt"
    with path.open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    test = real["mrpc"].pools["test"]
    assert test.texts == tuple(row[3] for row in rows) and test.pairs == tuple(row[4] for row in rows)


@pytest.mark.parametrize(
    ("name", "agreement", "few_shot"), [("financial", 88.0, 86.55), ("tweet_irony", 83.4, 94.26), ("mrpc", 80.7, 80.06)]
)
def test_the_generators_labels(name: str, agreement: float, few_shot: float, real: dict[str, Benchmark]) -> None:
    """Agreement with the benchmark's own labels is that of the data cards, in per cent."""
    train, relabelled, test = (real[name].pool(pool) for pool in ("train", "relabelled", "test"))
    known = dict(zip(train.inputs, train.labels, strict=True))
    right = [known[given] == label for given, label in zip(relabelled.inputs, relabelled.labels, strict=True)]
    assert len(right) == 1500 and round(100 * float(np.mean(right)), 1) == agreement
    assert [input_hash(given) for given in relabelled.inputs] == [key for key, _ in real[name].labelled]
    assert relabelled.repeated <= train.repeated and real[name].truth_of("relabelled") is None
    assert len(real[name].pool("relabelled:300")) == 300 and len(real[name].pool("dev+relabelled:500")) == 500
    predictions = real[name].few_shot
    assert predictions is not None and round(100 * float(np.mean(predictions.labels == test.labels)), 2) == few_shot


def test_the_environment_names_the_directory(real_data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAPER_REPRO_DATA", str(real_data_dir))
    assert benchmarks.load("financial").pools["dev"].fingerprint.startswith("307c93ed")
    monkeypatch.setenv("PAPER_REPRO_DATA", str(real_data_dir / "nowhere"))
    with pytest.raises(UserError, match="There is no folder .*nowhere/financial"):
        benchmarks.load("financial")


def test_unknown_names() -> None:
    with pytest.raises(UserError, match="Unknown kind of benchmark 'big'"):
        benchmarks.load("mrpc", kind="big")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="Unknown benchmark 'imdb': the miniature world has financial,"):
        benchmarks.load("imdb", kind="miniature")


# -- data that are not the published ones: a made-up directory of the right shape, with one thing wrong at a time -----


@pytest.fixture(scope="module")
def shaped_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up files that pass every check of form, and fail the comparison of content only."""
    folder = tmp_path_factory.mktemp("shaped")
    for name in ("financial", "tweet_irony"):
        (folder / name).mkdir()
    labels = description.read("financial").labels
    lines = [f"Sales of caf\xe9 no. {i} @ 5 pounds rose .@{labels[i % 3]}\r\n" for i in range(4846)]
    (folder / "financial" / "Sentences_50Agree.txt").write_bytes("".join(lines).encode("latin-1"))
    for part, size in (("train", 2862), ("val", 955), ("test", 784)):
        texts = "".join(f"post \u2603 {part} {i} \n" for i in range(size))
        (folder / "tweet_irony" / f"{part}_text.txt").write_bytes(texts.encode())
        (folder / "tweet_irony" / f"{part}_labels.txt").write_text("".join(f"{i % 2}\n" for i in range(size)))
    return folder


PHRASES, POSTS = "financial/Sentences_50Agree.txt", "tweet_irony/test_text.txt"
BAD_FILES: dict[str, tuple[str, Callable[[bytes], bytes] | None, str]] = {
    "altered": (PHRASES, lambda raw: raw, "financial, pool train, .*content differs .*3392 examples, .*44b8f587b50d"),
    "missing": (PHRASES, None, f"no file .*{PHRASES}"),
    "missing labels": ("tweet_irony/val_labels.txt", None, "no file .*tweet_irony/val_labels.txt"),
    "truncated": (
        PHRASES,
        lambda raw: raw[: raw.index(b"\n", 100_000)],
        "but the splits take number 48[34].; the file seems cut short",
    ),
    "truncated texts": (POSTS, lambda raw: raw[:9_999], "test_text.txt: .* lines, but test_labels.txt has 784"),
    "label": (PHRASES, lambda raw: raw.replace(b"@neg", b"@Neg"), "line [123]: label 'Negative', expected one of"),
    "no label": (PHRASES, lambda raw: raw.replace(b"@", b"&"), "line 1: no '@' between sentence and label"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_named_with_the_way_out(shaped_dir: Path, tmp_path: Path, case: str) -> None:
    file, change, expected = BAD_FILES[case]
    name = file.split("/")[0]
    shutil.copytree(shaped_dir / name, tmp_path / name)
    if change is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_bytes(change((tmp_path / file).read_bytes()))
    with pytest.raises(UserError, match=expected) as raised:
        benchmarks.load(name, data_dir=tmp_path)
    assert f"Put the files as published into {tmp_path / name}" in str(raised.value) and "\n" not in str(raised.value)


def test_one_changed_label_is_noticed(real_data_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(real_data_dir / "tweet_irony", tmp_path / "tweet_irony")
    path = tmp_path / "tweet_irony" / "test_labels.txt"
    content = path.read_bytes()
    path.write_bytes((b"1" if content[:1] == b"0" else b"0") + content[1:])
    with pytest.raises(UserError, match=r"tweet_irony, pool test, from .*: the content differs"):
        benchmarks.load("tweet_irony", data_dir=tmp_path)


# -- your own data in their place ----------------------------------------------------------------------------


def in_place(folder: Path, records: list[dict[str, str]]) -> Path:
    folder.mkdir(parents=True)
    for pool in ("train", "dev", "test", "generated"):
        (folder / f"{pool}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder.parent


def test_own_data_in_place_of_a_benchmark(tmp_path: Path) -> None:
    records = [{"text": "rain", "label": "negative"}, {"text": "sun", "label": "positive"}]
    folder = in_place(tmp_path / "financial", records)
    opened = benchmarks.load("financial", data_dir=folder)
    assert opened.title == "Financial PhraseBank (your own data)" and opened.few_shot is None
    assert all(p.texts == ("rain", "sun") and p.labels.tolist() == [0, 2] for p in opened.pools.values())
    with pytest.raises(
        UserError, match="financial, pool 'relabelled': 1500 of 1500 labelled inputs are not in this D_P"
    ):
        opened.pool("relabelled")
    pairs = in_place(tmp_path / "mrpc", [{"sentence1": "a", "sentence2": "b", "label": "1"}])
    assert benchmarks.load("mrpc", data_dir=pairs).pools["generated"].pairs == ("b",)
    (folder / "financial" / "dev.jsonl").write_text('{"text": "a", "label": "fine"}')
    with pytest.raises(UserError, match=r"dev.jsonl, line 1: label 'fine', expected one of 'negative'"):
        benchmarks.load("financial", data_dir=folder)
    (folder / "financial" / "dev.jsonl").unlink()
    with pytest.raises(UserError, match=r"no file .*dev.jsonl"):
        benchmarks.load("financial", data_dir=folder)
