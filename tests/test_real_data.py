"""The real benchmarks from their original files: known counts and hashes, and every kind of bad file."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from paper_repro.texts import benchmarks, original_files
from paper_repro.tools.errors import UserError
from paper_repro.tools.paths import BUNDLED

# SHA-256 of the files as published (those of tweet_irony and mrpc also stand in the hub's own metadata).
PUBLISHED = {
    "financial/Sentences_50Agree.txt": "bb1b4df6de05d50b146f87a9d4d024b69f947066445f2384f014c3564c1612c8",
    "mrpc/dev_ids.tsv": "971d7767d81b997fd9060ade0ec23c4fc31cbb226a55d1bd4a1bac474eb81dc7",
    "mrpc/msr_paraphrase_test.txt": "a04e271090879aaba6423d65b94950c089298587d9c084bf9cd7439bd785f784",
    "mrpc/msr_paraphrase_train.txt": "60a9b09084528f0673eedee2b69cb941920f0b8cd0eeccefc464a98768457f89",
    "tweet_irony/test_labels.txt": "08e2095e1725e74907a380614c220204e356bb46e3e8c93deb74e83e5b15ab38",
    "tweet_irony/test_text.txt": "53103da934a7308eee82f05f2a9781a8ea3e88604fdc1e02d3101108505c64be",
    "tweet_irony/train_labels.txt": "fc69e6106c0f1f433a91536e08f83c71a391d7b219f7684d42f243a8089af77d",
    "tweet_irony/train_text.txt": "a888125a44f7dfaa25b026318748d0e62cc9a300d20f66eafd62011a19eaea23",
    "tweet_irony/val_labels.txt": "ccf429f63b4e8d0e7f425ca09445f7c31f7cea8a1b7c283b015b117c4002fd07",
    "tweet_irony/val_text.txt": "8806cf3793e300a485cfae34892fc3a0a2f9a183deb06c750c6531515c83051e",
}

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


def test_files_are_the_published_ones(real_data_dir: Path) -> None:
    assert sorted(PUBLISHED) == sorted(file for files in original_files.FILES.values() for file in files)
    for file, expected in PUBLISHED.items():
        assert hashlib.sha256((real_data_dir / file).read_bytes()).hexdigest() == expected, file


@pytest.mark.parametrize("name", original_files.NAMES)
def test_sizes_of_table_5_and_label_counts(real_data_dir: Path, name: str) -> None:
    pools = original_files.load(name, real_data_dir)
    with (BUNDLED / "published" / "table5.csv").open() as lines:
        table5 = {row["split"]: int(row[name]) for row in csv.DictReader(lines)}
    assert {pool: len(content) for pool, content in pools.items()} == {
        split: size for split, size in table5.items() if split != "generated"
    }
    for pool, content in pools.items():
        assert np.bincount(content.labels).tolist() == LABEL_COUNTS[name][pool], pool
        assert content.labels.dtype == np.int64
        assert (content.pairs is not None) == (name == "mrpc")
        stored = HUB_BYTES.get(name, {}).get(pool)
        texts = content.texts + (content.pairs or ())
        assert stored is None or sum(len(text.encode()) for text in texts) == stored, pool


def test_duplicates_are_kept_and_counted(real_data_dir: Path) -> None:
    pools = original_files.load("financial", real_data_dir)
    whole = pools["train"].texts + pools["dev"].texts + pools["test"].texts
    assert len(whole) == 4846 and len(set(whole)) == 4838
    assert {name: original_files.duplicates(pool) for name, pool in pools.items()} == {
        "train": 6,
        "dev": 0,
        "test": 2,
    }


def test_splits_follow_their_rule(real_data_dir: Path) -> None:
    raw = (real_data_dir / "financial" / "Sentences_50Agree.txt").read_bytes().decode("latin-1")
    sentences = [line[: line.rindex("@")].strip() for line in raw.split("\r\n")[:-1]]
    order = sorted(range(4846), key=lambda i: hashlib.sha256(sentences[i].encode()).hexdigest())
    splits = original_files.read_splits("financial")
    assert splits["dev"] == sorted(order[:242])
    assert splits["test"] == sorted(order[242 : 242 + 1212])
    assert splits["train"] == sorted(order[242 + 1212 :])
    lines = (real_data_dir / "tweet_irony" / "val_text.txt").read_bytes().split(b"\n")[:-1]
    order = sorted(range(955), key=lambda i: hashlib.sha256(lines[i]).hexdigest())
    assert original_files.read_splits("tweet_irony")["dev"] == sorted(order[:200])


def test_mrpc_agrees_with_a_csv_reader_told_to_ignore_quotes(real_data_dir: Path) -> None:
    path = real_data_dir / "mrpc" / "msr_paraphrase_test.txt"
    with path.open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    test = original_files.load("mrpc", real_data_dir)["test"]
    assert test.texts == tuple(row[3] for row in rows) and test.pairs == tuple(row[4] for row in rows)


def test_real_benchmarks_are_complete(real_data_dir: Path) -> None:
    for name in benchmarks.NAMES:
        benchmark = benchmarks.load(name, kind="real", data_dir=real_data_dir)
        assert tuple(benchmark.pools) == ("train", "dev", "test", "generated") and not benchmark.truth
        assert all(pool.labels.max() == benchmark.classes - 1 for pool in benchmark.pools.values())
        assert (benchmark.pools["generated"].pairs is None) == (name != "mrpc")


def test_environment_names_the_directory(real_data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAPER_REPRO_DATA", str(real_data_dir))
    assert benchmarks.load("financial", kind="real").pools["dev"].fingerprint.startswith("307c93ed")
    monkeypatch.setenv("PAPER_REPRO_DATA", str(real_data_dir / "nowhere"))
    with pytest.raises(UserError, match="nowhere does not exist"):
        benchmarks.load("financial", kind="real")


# Bad input: a made-up directory of the right shape, with one thing wrong at a time.


@pytest.fixture(scope="module")
def shaped_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up files that pass every check of form, and fail the comparison of content only."""
    folder = tmp_path_factory.mktemp("shaped")
    for name in original_files.NAMES:
        (folder / name).mkdir()
    labels = original_files.LABEL_NAMES["financial"]
    lines = [f"Sales of caf\xe9 no. {i} @ 5 pounds rose .@{labels[i % 3]}\r\n" for i in range(4846)]
    (folder / "financial" / "Sentences_50Agree.txt").write_bytes("".join(lines).encode("latin-1"))
    for part, size in (("train", 2862), ("val", 955), ("test", 784)):
        texts = "".join(f"post \u2603 {part} {i} \n" for i in range(size))
        (folder / "tweet_irony" / f"{part}_text.txt").write_bytes(texts.encode())
        (folder / "tweet_irony" / f"{part}_labels.txt").write_text("".join(f"{i % 2}\n" for i in range(size)))
    for part, size in (("train", 4076), ("test", 1725)):
        rows = [f'{i % 2}\t{i}\t{i + 9}\t" Caf\xe9 {i} opened .\tThe caf\xe9 {i} is open .\n' for i in range(size)]
        header = "\t".join(original_files.MRPC_HEADER) + "\n"
        (folder / "mrpc" / f"msr_paraphrase_{part}.txt").write_text(header + "".join(rows), encoding="utf-8-sig")
    (folder / "mrpc" / "dev_ids.tsv").write_text("".join(f"{i}\t{i + 9}\n" for i in range(408)))
    return folder


@pytest.mark.parametrize("name", original_files.NAMES)
def test_data_of_the_right_shape_but_other_content_are_noticed(shaped_dir: Path, name: str) -> None:
    with pytest.raises(UserError) as raised:
        original_files.load(name, shaped_dir)
    message = str(raised.value)
    assert f"{name}, pool train" in message and "content differs" in message
    assert original_files.FINGERPRINTS[name]["train"][:12] in message and "as published" in message


def test_one_changed_label_is_noticed(real_data_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(real_data_dir / "tweet_irony", tmp_path / "tweet_irony")
    path = tmp_path / "tweet_irony" / "test_labels.txt"
    content = path.read_bytes()
    path.write_bytes((b"1" if content[:1] == b"0" else b"0") + content[1:])
    with pytest.raises(UserError, match=r"tweet_irony, pool test, from .*: the content differs"):
        original_files.load("tweet_irony", tmp_path)


def recode(source: str, target: str) -> Callable[[bytes], bytes]:
    return lambda raw: raw.decode(source).encode(target)


def change_line(number: int, old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    """Replace ``old`` in line ``number`` (1-based)."""

    def change(raw: bytes) -> bytes:
        lines = raw.split(b"\n")
        assert old in lines[number - 1]
        lines[number - 1] = lines[number - 1].replace(old, new)
        return b"\n".join(lines)

    return change


PHRASES = "financial/Sentences_50Agree.txt"
MRPC_TRAIN = "mrpc/msr_paraphrase_train.txt"

BAD_FILES = {
    "missing": (PHRASES, None, "Missing file"),
    "missing labels": ("tweet_irony/val_labels.txt", None, "Missing file"),
    "truncated": (PHRASES, lambda raw: raw[:100_000], "expected 4846; the file seems to be cut short"),
    "truncated texts": ("tweet_irony/train_text.txt", lambda raw: raw[:9_999], "expected 2862; .* cut short"),
    "truncated pairs": (MRPC_TRAIN, lambda raw: raw[:100_001], "expected 4076; .* cut short"),
    "empty file": ("mrpc/msr_paraphrase_test.txt", lambda raw: b"", "line 1: expected the header Quality"),
    "one line more": (
        "tweet_irony/test_labels.txt",
        lambda raw: raw + b"1\n",
        "785 .*expected 784; something was",
    ),
    "UTF-8 instead": (PHRASES, recode("latin-1", "utf-8"), "the file is UTF-8, expected ISO-8859-1"),
    "UTF-16 phrases": (PHRASES, recode("latin-1", "utf-16"), "the file is UTF-16, expected ISO-8859-1"),
    "Latin-1 pairs": (MRPC_TRAIN, recode("utf-8-sig", "latin-1"), "is not UTF-8 .perhaps ISO-8859-1"),
    "UTF-16 posts": ("tweet_irony/val_text.txt", recode("utf-8", "utf-16"), "is not UTF-8 .perhaps UTF-16"),
    "label": (
        PHRASES,
        change_line(7, b"@neg", b"@Neg"),
        "line 7: label 'Negative', expected one of negative",
    ),
    "no label": (PHRASES, change_line(4, b"@", b"&"), "line 4: no '@' between sentence and label"),
    "label 2": (
        "tweet_irony/test_labels.txt",
        change_line(3, b"0", b"2"),
        "line 3: label '2', expected one of 0, 1",
    ),
    "label of a pair": (
        MRPC_TRAIN,
        change_line(5, b"1\t", b"yes\t"),
        "line 5: label 'yes', expected one of 0, 1",
    ),
    "no text": (
        "tweet_irony/test_text.txt",
        lambda raw: b" \n" + raw.split(b"\n", 1)[1],
        "line 1: the text is empty",
    ),
    "no sentence": (
        PHRASES,
        lambda raw: b"@neutral\r\n" + raw.split(b"\n", 1)[1],
        "line 1: the text is empty",
    ),
    "no tab": (
        MRPC_TRAIN,
        change_line(9, b" opened .\t", b" opened . "),
        "line 9: 4 tab-separated fields, expected 5",
    ),
    "no header": (MRPC_TRAIN, lambda raw: raw.split(b"\n", 1)[1], "line 1: expected the header"),
    "dev ids": (
        "mrpc/dev_ids.tsv",
        change_line(2, b"1\t10", b"1\t7"),
        "1 of 408 pairs of ids .such as 1 7. are not in",
    ),
    "dev id": ("mrpc/dev_ids.tsv", change_line(2, b"\t", b" "), "line 2: 1 fields, expected 2 ids"),
    "fewer dev ids": (
        "mrpc/dev_ids.tsv",
        lambda raw: raw[:50],
        "expected 408; the file seems to be cut short",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_named_with_what_was_found_and_expected(shaped_dir: Path, tmp_path: Path, case: str) -> None:
    file, change, expected = BAD_FILES[case]
    shutil.copytree(shaped_dir, tmp_path / "data")
    path = tmp_path / "data" / file
    if change is None:
        path.unlink()
    else:
        path.write_bytes(change(path.read_bytes()))
    with pytest.raises(UserError, match=expected) as raised:
        benchmarks.load(file.split("/")[0], kind="real", data_dir=tmp_path / "data")
    message = str(raised.value)
    assert str(path) in message and original_files.REPLACE in message and "\n" not in message


def test_a_missing_directory_and_a_file_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none does not exist\. Give the folder .*PAPER_REPRO_DATA"):
        original_files.load("mrpc", tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file is not a directory"):
        original_files.load("mrpc", tmp_path / "file")


def test_unknown_names() -> None:
    with pytest.raises(UserError, match="Unknown benchmark 'mnli', expected one of financial, tweet_irony, mrpc"):
        benchmarks.load("mnli", kind="real")
    with pytest.raises(UserError, match="Unknown kind of benchmark 'big'"):
        benchmarks.load("mrpc", kind="big")  # type: ignore[arg-type]


# Data of one's own


def own_data(folder: Path, texts: list[dict[str, str]], labels: list[str] | None = None) -> Path:
    folder.mkdir(parents=True)
    for pool in ("train", "dev", "test", "generated"):
        (folder / f"{pool}.jsonl").write_text("".join(json.dumps(text) + "\n" for text in texts))
    if labels is not None:
        (folder / "labels.json").write_text(json.dumps(labels))
    return folder.parent


def test_own_data_in_place_of_a_benchmark(tmp_path: Path) -> None:
    texts = [{"text": "rain", "label": "wet"}, {"text": "sun", "label": "dry"}]
    folder = own_data(tmp_path / "financial", texts, ["dry", "wet"])
    benchmark = benchmarks.load("financial", kind="real", data_dir=folder)
    assert benchmark.title == "Financial PhraseBank (your own data)" and benchmark.label_names == (
        "dry",
        "wet",
    )
    assert benchmark.pools["test"].labels.tolist() == [1, 0] and benchmark.pools["dev"].texts == (
        "rain",
        "sun",
    )
    pairs = [{"sentence1": "a", "sentence2": "b", "label": "1"}]
    mrpc = benchmarks.load("mrpc", kind="real", data_dir=own_data(tmp_path / "mrpc", pairs))
    assert mrpc.pools["generated"].pairs == ("b",)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"text": "a"', "line 1: not JSON"),
        ('["a"]', "line 1: 'text' is missing"),
        ('{"text": " ", "label": "neutral"}', "line 1: 'text' is missing, empty"),
        ('{"text": "a", "label": "fine"}', "label 'fine', expected one of negative, neutral, positive"),
        ("", "no examples"),
        ('{"text": "caf\xe9", "label": "neutral"}', "is not UTF-8"),
    ],
)
def test_bad_data_of_ones_own(tmp_path: Path, line: str, expected: str) -> None:
    folder = own_data(tmp_path / "financial", [{"text": "a", "label": "neutral"}])
    (folder / "financial" / "dev.jsonl").write_bytes(line.encode("latin-1"))
    with pytest.raises(UserError, match=expected):
        benchmarks.load("financial", kind="real", data_dir=folder)
    (folder / "financial" / "dev.jsonl").unlink()
    with pytest.raises(UserError, match=r"Missing file .*dev.jsonl"):
        benchmarks.load("financial", kind="real", data_dir=folder)
