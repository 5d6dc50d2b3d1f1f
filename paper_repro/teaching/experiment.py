"""An experiment that trains in a tenth of a second: softmax regression on a bag of words, in a world with knobs.

CE-Loss and IMP-Loss are one call each, since a weighted loss is what ``sample_weight`` means in scikit-learn; the
weights of DIMP-Loss change with the model, so it has a minimiser of its own. P' is fitted on the first ``labelled``
dev texts, the diversity checker on the generated ones; the test texts come from P.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import softmax
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from paper_repro.measures.intervals import mean_interval
from paper_repro.measures.weights import diagnose
from paper_repro.paper.outcomes import verdict
from paper_repro.teaching import texts
from paper_repro.teaching.texts import observed
from paper_repro.texts import world
from paper_repro.texts.pools import Benchmark
from paper_repro.tools.errors import UserError
from paper_repro.tools.progress import MARK

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Classifier = Callable[[Any], Floats]

LOWEST = 1e-6
"""Probability of a class that the training texts do not show."""

METHODS: Mapping[str, str] = {
    "ce": "CE",
    "imp": "IMP, estimated weights",
    "dimp": "DIMP",
    "imp_true": "IMP, true weights",
    "checker": "quality checker alone",
    "best": "best possible",
}
"""Titles by id; "best" is P itself."""


@dataclass(frozen=True)
class Setting:
    """The positions of all knobs.

    ``misconception``: share of the concepts that Q misjudges. ``input_shift``: share of Q's texts that are moved to
    concepts which it judges correctly. ``labelled``: texts in D_P'. ``sharpness``: P' is raised to this power and
    normalised (above 1 more confident, below 1 less). ``noise``: standard deviation of what is added to log P' of
    every label of every text. ``seed``: the repetition; another seed is another world with the same distributions.
    """

    misconception: float = 0.3
    input_shift: float = 0.0
    labelled: int = 200
    sharpness: float = 1.0
    noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.labelled <= texts.CONFIG.dev:
            raise UserError(f"labelled is {self.labelled}; expected 1 to {texts.CONFIG.dev}")
        if self.sharpness < 0 or self.noise < 0:
            raise UserError(f"sharpness {self.sharpness} and noise {self.noise}: expected 0 or greater")


KNOBS: Mapping[str, tuple[float, ...]] = {
    "misconception": (0.0, 0.15, 0.3, 0.45, 0.6),
    "input_shift": (0.0, 0.25, 0.5, 0.75, 1.0),
    "labelled": (25, 50, 100, 200, 400, 800),
    "sharpness": (0.25, 0.5, 1.0, 2.0, 4.0),
    "noise": (0.0, 0.5, 1.0, 2.0, 3.0),
}
"""The values of each knob in the static figures; all others stay at the defaults of :class:`Setting`."""


def softmax_regression(
    features: Any, labels: Ints, classes: int, weights: Floats | None = None, *, inverse_penalty: float = 1.0
) -> Classifier:
    """Minimise sum_i weight_i (-log p(y_i|x_i)) + |coefficients|^2 / (2 inverse_penalty); p as a function of features.

    ``features`` (texts, words), ``labels`` (texts,), ``weights`` (texts,) or None for 1 each. The result gives
    (texts, classes), with :data:`LOWEST` for classes that are not among ``labels``.
    """
    present = np.unique(labels)
    model = None
    if len(present) > 1:
        model = LogisticRegression(C=inverse_penalty, max_iter=1000).fit(features, labels, sample_weight=weights)

    def probabilities(wanted: Any) -> Floats:
        found = np.full((wanted.shape[0], classes), LOWEST)
        found[:, present] = 1.0 if model is None else np.maximum(model.predict_proba(wanted), LOWEST)
        return np.asarray(found / found.sum(axis=1, keepdims=True))

    return probabilities


def dimp_regression(features: Any, labels: Ints, classes: int, quality: Floats) -> Classifier:
    """DIMP-Loss trained to its end, with the same penalty as :func:`softmax_regression`; ``quality`` (texts,) P'.

    With the weight P'/p detached, the gradient of a text's loss is -(P'/p) grad log p = grad (P'/p). So DIMP-Loss
    descends on sum_i P'_i / p(y_i|x_i), which is convex in the coefficients.
    """

    def objective(flat: Floats) -> tuple[float, Floats]:
        table = flat.reshape(-1, classes)  # a row for each word, and one for the intercepts
        p = softmax(features @ table[:-1] + table[-1], axis=1)
        weight = quality / observed(p, labels)
        gradient = weight[:, None] * (p - np.eye(classes)[labels])
        penalised = features.T @ gradient + table[:-1]
        return weight.sum() + (table[:-1] ** 2).sum() / 2, np.vstack([penalised, gradient.sum(axis=0)]).ravel()

    start = np.zeros((features.shape[1] + 1) * classes)
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options={"ftol": 1e-7})
    table = found.x.reshape(-1, classes)
    return lambda wanted: np.asarray(softmax(wanted @ table[:-1] + table[-1], axis=1))


def bag_of_words(words: Sequence[str] | None = None, longest: int = 1) -> CountVectorizer:
    """Texts to rows of 0 and 1, a column for each of ``words`` (or for each word, or pair of words, that it meets)."""
    return CountVectorizer(
        vocabulary=words, token_pattern=r"\w+|[^\w\s]", ngram_range=(1, longest), binary=True, dtype=np.float64
    )


def at(knob: str, value: float, seed: int = 0) -> Setting:
    """The defaults with one knob turned to ``value``, in world ``seed``."""
    turned: dict[str, Any] = {knob: int(value) if knob == "labelled" else value}
    return replace(Setting(seed=seed), **turned)


@dataclass(frozen=True)
class Drawn:
    """One world with what does not depend on the quality checker: features, the CE model, the diversity checker.

    ``diversity`` is that of the observed labels of D_Q, by the CE model itself, which is fitted on D_Q.
    """

    benchmark: Benchmark
    features: Mapping[str, Any]
    ce: Classifier
    diversity: Floats
    true_weights: Floats


@lru_cache(maxsize=64)
def draw(misconception: float, input_shift: float, seed: int) -> Drawn:
    """A world at these knobs; UserError for values out of range."""
    config = replace(texts.CONFIG, misconception=misconception, input_shift=input_shift, seed=seed)
    made = world.make(config)[texts.BENCHMARK]
    to_words = bag_of_words(world.vocabulary(config))
    features = {name: to_words.transform(made.pools[name].texts) for name in ("dev", "generated", "test")}
    labels, truth = made.pools["generated"].labels, texts.truth_of(made)
    ce = softmax_regression(features["generated"], labels, made.classes)
    diversity = observed(ce(features["generated"]), labels)
    return Drawn(made, features, ce, diversity, observed(truth.p, labels) / observed(truth.q, labels))


@dataclass(frozen=True)
class Outcome:
    """Test accuracy of each of :data:`METHODS` as a fraction; ESS and mean of IMP's estimated weights."""

    accuracy: Mapping[str, float]
    ess: float
    mean_weight: float


def run(setting: Setting) -> Outcome:
    """Train everything once: two IMP models, DIMP, a quality checker, and CE where this world has not seen it yet."""
    drawn = draw(setting.misconception, setting.input_shift, setting.seed)
    made, features = drawn.benchmark, drawn.features
    labels, few = made.pools["generated"].labels, slice(setting.labelled)
    fitted = softmax_regression(features["dev"][few], made.pools["dev"].labels[few], made.classes)
    rng = np.random.default_rng([setting.seed, 7])
    quality = {pool: disturbed(fitted(features[pool]), setting, rng) for pool in ("generated", "test")}
    p_prime = observed(quality["generated"], labels)
    about = (features["generated"], labels, made.classes)
    guesses = {
        "ce": drawn.ce(features["test"]),
        "imp": softmax_regression(*about, p_prime / drawn.diversity)(features["test"]),
        "dimp": dimp_regression(*about, p_prime)(features["test"]),
        "imp_true": softmax_regression(*about, drawn.true_weights)(features["test"]),
        "checker": quality["test"],
        "best": texts.truth_of(made, "test").p,
    }
    test = made.pools["test"].labels
    weights = diagnose(p_prime / drawn.diversity)
    accuracy = {method: float((guess.argmax(axis=1) == test).mean()) for method, guess in guesses.items()}
    return Outcome(accuracy, weights.ess, weights.mean)


def disturbed(probabilities: Floats, setting: Setting, rng: np.random.Generator) -> Floats:
    """P' (texts, classes) after the knobs ``sharpness`` and ``noise``; every row still sums to 1."""
    noise = setting.noise * rng.standard_normal(probabilities.shape)
    return np.asarray(softmax(setting.sharpness * np.log(probabilities) + noise, axis=1))


# ---------------------------------------------------------------- turning a knob


def turn(knob: str, repetitions: int) -> pd.DataFrame:
    """Every value of a knob in ``repetitions`` worlds: one row per value, repetition and method.

    Columns: knob, value, repetition, method, accuracy (%), ess (%), mean_weight. UserError for an unknown knob.
    """
    if knob not in KNOBS:
        raise UserError(f"there is no knob {knob!r}; expected one of {', '.join(KNOBS)}")
    rows = []
    for value in KNOBS[knob]:
        for seed in range(repetitions):
            outcome = run(at(knob, value, seed))
            about = {"knob": knob, "value": float(value), "repetition": seed}
            more = {"ess": 100 * outcome.ess, "mean_weight": outcome.mean_weight}
            rows += [{**about, "method": m, "accuracy": 100 * a, **more} for m, a in outcome.accuracy.items()]
    print(f"{MARK} {knob}: {len(KNOBS[knob]) * repetitions} experiments done", flush=True)
    return pd.DataFrame(rows)


def summary(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean accuracy (%) with its 95 % interval over the repetitions, by knob, value and method, and the mean ESS."""
    rows = []
    for (knob, value, method), group in runs.groupby(["knob", "value", "method"], sort=False):
        found = mean_interval(group["accuracy"])
        rows.append((knob, value, method, found.mean, found.low, found.high, group["ess"].mean(), len(group)))
    return pd.DataFrame(rows, columns=["knob", "value", "method", "accuracy", "low", "high", "ess", "repetitions"])


def against(runs: pd.DataFrame) -> pd.DataFrame:
    """Points of accuracy of IMP and DIMP above CE and the quality checker, paired by repetition, 95 % intervals."""
    wide = runs.pivot_table(index=["knob", "value", "repetition"], columns="method", values="accuracy", sort=False)
    rows = []
    for (knob, value), group in wide.groupby(level=["knob", "value"], sort=False):
        for method, other in ((a, b) for a in ("imp", "dimp") for b in ("ce", "checker")):
            gap = mean_interval(group[method] - group[other])
            rows.append((knob, value, method, other, gap.mean, gap.low, gap.high, len(group)))
    columns = ["knob", "value", "method", "versus", "difference", "low", "high", "repetitions"]
    return pd.DataFrame(rows, columns=columns)


def in_words(differences: pd.DataFrame, knob: str) -> list[str]:
    """One sentence for each two methods: at which values of the knob is the first above or below the second?"""
    words = {"holds": "above", "fails": "below", "inconclusive": "inconclusive"}
    here = differences[differences["knob"] == knob]
    here = here.assign(word=[words[verdict(*ends, "complete")] for ends in zip(here["low"], here["high"], strict=True)])
    lines = []
    for (method, other), group in here.groupby(["method", "versus"], sort=False):
        parts = [f"{word} at {', '.join(map('{:g}'.format, same['value']))}" for word, same in group.groupby("word")]
        lines.append(f"{METHODS[str(method)]} against {METHODS[str(other)]}: {'; '.join(parts)}")
    return lines
