"""The generated data D_Q: how a file of it is written, and what its texts look like beside the real ones.

Sources: App. I (generator), Table 5 (sizes), Tables 1 and 4 (few-shot rows). Whatever makes a D_Q hands over a
:class:`~paper_repro.texts.pools.Pool`: the package's own, the miniature world, or a language model
(:mod:`paper_repro.llm.generate`); nothing after that knows the difference.

Generated text is data: it is never evaluated, and :func:`readable` escapes it in HTML.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.io.formats.style import Styler

from paper_repro.measures import diversity
from paper_repro.measures.diversity import ngrams
from paper_repro.texts.description import Description, columns
from paper_repro.texts.pools import Benchmark, Pool
from paper_repro.texts.prompts import draw_examples
from paper_repro.tools.files import write_whole


def write_pool(pool: Pool, form: Description, path: Path, notes: Sequence[Mapping[str, Any]] | None = None) -> None:
    """Write JSON lines that any description reads as its D_Q; the file appears whole or not at all.

    Each line has ``label`` and ``text`` (pairs: ``sentence1``, ``sentence2``); ``notes`` are further fields for each
    text (an id, the words asked for).
    """
    text, label, *pair = columns(form.paired)
    lines = []
    for i, example in enumerate(pool.inputs):
        body = dict(zip((text, *pair), example, strict=True))
        record = {label: form.labels[pool.labels[i]], **body, **(notes[i] if notes else {})}
        lines.append(json.dumps(record, ensure_ascii=False) + "\n")
    write_whole(path, "".join(lines).encode())


def with_generated(benchmark: Benchmark, pool: Pool) -> Benchmark:
    """The benchmark with another D_Q, whose P(y|x) and Q(y|x) nobody knows."""
    truth = {name: known for name, known in benchmark.truth.items() if name != "generated"}
    return replace(benchmark, pools={**benchmark.pools, "generated": pool}, truth=truth)


def own_labels(benchmark: Benchmark) -> NDArray[np.int64] | None:
    """(test examples,) the labels that the generator itself gives to the test set, or None where they are not known.

    These are the benchmark's few-shot predictions (the bundled ones come from a model that may have met the test sets
    in its own training); in the miniature world the generator *is* Q(y|x), and its answer is the class of largest Q.
    """
    if benchmark.few_shot is not None:
        return benchmark.few_shot.labels
    if "test" in benchmark.truth:
        return np.asarray(benchmark.truth["test"].q.argmax(axis=1), dtype=np.int64)
    return None


# ---------------------------------------------------------------- what a D_Q looks like


def whole_texts(pool: Pool) -> list[str]:
    """Each example as one text (a pair: both sentences, one after the other)."""
    return [" ".join(example) for example in pool.inputs]


def word_counts(pool: Pool) -> NDArray[np.int64]:
    """(examples,) words separated by white space; a pair counts both sentences."""
    return np.array([len(text.split()) for text in whole_texts(pool)], dtype=np.int64)


def length_table(pool: Pool) -> pd.DataFrame:
    """How many texts have how many words: columns words, texts, share (of the pool)."""
    words, texts = np.unique(word_counts(pool), return_counts=True)
    return pd.DataFrame({"words": words, "texts": texts, "share": texts / len(pool)})


def label_shares(pool: Pool, classes: int) -> NDArray[np.float64]:
    """(classes,) the fraction of the pool that has each label."""
    return np.bincount(pool.labels, minlength=classes) / len(pool)


def normalised(text: str) -> str:
    """Lower case, digits as 0, nothing but words: texts that agree in this form are near duplicates."""
    return " ".join(re.findall(r"\w+", re.sub(r"\d", "0", text.casefold())))


def shared_ngrams(pool: Pool, other: Pool, n: int = 7) -> list[set[str]]:
    """For each example of ``pool`` the n-grams that also stand in ``other``."""
    known = {gram for text in whole_texts(other) for gram in ngrams(text, n)}
    return [known.intersection(ngrams(text, n)) for text in whole_texts(pool)]


def distinct(pool: Pool, n: int, size: int, seed: int = 0, draws: int = 10) -> float:
    """Different n-grams per n-gram (distinct-n), the mean over seeded samples of ``size`` examples.

    The ratio falls as a pool grows, so only samples of one size can be compared.
    """
    generator, texts = np.random.default_rng(seed), whole_texts(pool)
    ratios = []
    for _ in range(draws):
        chosen = generator.choice(len(texts), min(size, len(texts)), replace=False)
        ratios.append(diversity.distinct([texts[i] for i in chosen], n))
    return float(np.mean(ratios))


def describe(pool: Pool, reference: Benchmark) -> pd.DataFrame:
    """One row on a pool (index: its name), beside the benchmark that it is for.

    size; labels (share of each class, per cent); words_mean, words_median; exact_duplicates (texts that
    stand earlier in the pool); near_duplicates (further ones, equal in :func:`normalised` form);
    distinct_1, distinct_2 (in samples as large as D_P'); dev_7grams, test_7grams (texts that share a run
    of seven words with these sets; NaN for the set itself); in_dev, in_test (texts that stand there).
    """
    texts = whole_texts(pool)
    forms = [normalised(text) for text in texts]
    words, dev = word_counts(pool), reference.pools["dev"]
    exact = len(texts) - len(set(texts))
    row: dict[str, Any] = {
        "size": len(pool),
        "labels": " / ".join(f"{100 * share:.0f}" for share in label_shares(pool, reference.classes)),
        "words_mean": float(words.mean()),
        "words_median": float(np.median(words)),
        "exact_duplicates": exact,
        "near_duplicates": len(forms) - len(set(forms)) - exact,
        "distinct_1": distinct(pool, 1, len(dev)),
        "distinct_2": distinct(pool, 2, len(dev)),
    }
    for name in ("dev", "test"):
        other = reference.pools[name]
        itself = other.fingerprint == pool.fingerprint
        known = {normalised(text) for text in whole_texts(other)}
        row[f"{name}_7grams"] = np.nan if itself else sum(map(bool, shared_ngrams(pool, other)))
        row[f"in_{name}"] = np.nan if itself else sum(form in known for form in forms)
    return pd.DataFrame([row], index=pd.Index([pool.name], name="pool"))


def samples(pool: Pool, label_names: Sequence[str], per_label: int = 2, seed: int = 0) -> pd.DataFrame:
    """A few texts of each class, or as many as there are: columns label, text (pairs: sentence1, sentence2)."""
    frames = []
    for label, name in enumerate(label_names):
        drawn = draw_examples(pool, label, min(per_label, len(pool)), seed)
        texts = {"text": drawn.texts} if drawn.pairs is None else {"sentence1": drawn.texts, "sentence2": drawn.pairs}
        frames.append(pd.DataFrame({"label": name, **texts}))
    return pd.concat(frames, ignore_index=True)


def readable(frame: pd.DataFrame) -> Styler:
    """A frame of texts for a notebook: left-aligned, line breaks kept, every cell escaped, no formulas.

    Without the two class names a notebook would set what stands between two dollar signs as mathematics.
    """
    style = frame.style.format(escape="html").format_index(escape="html", axis=1).hide(axis="index")
    style.set_table_attributes('class="tex2jax_ignore mathjax_ignore"')
    left = "text-align: left; white-space: pre-wrap; vertical-align: top"
    style.set_table_styles([{"selector": "th", "props": "text-align: left"}, {"selector": "td", "props": left}])
    return style
