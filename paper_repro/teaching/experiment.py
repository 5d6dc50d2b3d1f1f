"""An experiment that trains in a tenth of a second: softmax regression on a bag of words, in a world with knobs.

CE-Loss and IMP-Loss are one call each, since a weighted loss is what ``sample_weight`` means in scikit-learn. P' is
fitted on the first ``labelled`` dev texts, Q on the generated ones; the test texts come from P.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from paper_repro.measures import weights
from paper_repro.paper.outcomes import verdict as judge
from paper_repro.teaching import texts
from paper_repro.teaching.names import BEST, CE, CHECKER, ESTIMATED, TRUE
from paper_repro.teaching.sampling import Floats, mean_interval
from paper_repro.teaching.texts import observed
from paper_repro.texts import world
from paper_repro.texts.pools import Benchmark
from paper_repro.tools.errors import UserError

Ints = NDArray[np.int64]
Classifier = Callable[[Any], Floats]

LOWEST = 1e-6
"""Probability of a class that the training texts do not show."""


@dataclass(frozen=True)
class Setting:
    """Where all knobs stand.

    ``misconception``: share of the concepts that Q misjudges. ``input_shift``: share of Q's texts that are moved to
    concepts which it judges rightly. ``labelled``: texts in D_P'. ``sharpness``: P' is raised to this power and
    normalised (above 1 surer of itself, below 1 less sure). ``noise``: standard deviation of what is added to log P'
    of every label of every text. ``seed``: the repetition; another seed is another world of the same law.
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
"""The values of each knob in the static figures; all others stand at the defaults of :class:`Setting`."""


def softmax_regression(
    features: Any, labels: Ints, classes: int, weights: Floats | None = None, *, inverse_penalty: float = 1.0
) -> Classifier:
    """Fit sum_i weight_i (-log p(y_i|x_i)) + |coefficients|^2 / (2 inverse_penalty); p as a function of features.

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

    ``diversity`` is Q(y_i|x_i) of the observed labels of D_Q, by the CE model itself, which is fitted on D_Q.
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
    vectoriser = bag_of_words(world.vocabulary(config))
    features = {name: vectoriser.transform(made.pools[name].texts) for name in ("dev", "generated", "test")}
    labels, law = made.pools["generated"].labels, made.truth["generated"]
    ce = softmax_regression(features["generated"], labels, made.classes)
    diversity = observed(ce(features["generated"]), labels)
    return Drawn(made, features, ce, diversity, observed(law.p, labels) / observed(law.q, labels))


@dataclass(frozen=True)
class Outcome:
    """Test accuracy of each method (and of P itself) as fractions; ESS and mean of the estimated weights."""

    accuracy: Mapping[str, float]
    ess: float
    mean_weight: float


def run(setting: Setting) -> Outcome:
    """Train everything once: two IMP models, a quality checker, and CE where this world has not seen it yet."""
    drawn = draw(setting.misconception, setting.input_shift, setting.seed)
    made, features = drawn.benchmark, drawn.features
    labels, test = made.pools["generated"].labels, made.pools["test"].labels
    dev, few = made.pools["dev"].labels, slice(setting.labelled)
    fitted = softmax_regression(features["dev"][few], dev[few], made.classes)
    rng = np.random.default_rng([setting.seed, 7])
    quality = {pool: disturbed(fitted(features[pool]), setting, rng) for pool in ("generated", "test")}
    estimated = observed(quality["generated"], labels) / drawn.diversity

    def weighted(weights: Floats) -> Floats:
        return softmax_regression(features["generated"], labels, made.classes, weights)(features["test"])

    guesses = {
        CE: drawn.ce(features["test"]),
        ESTIMATED: weighted(estimated),
        TRUE: weighted(drawn.true_weights),
        CHECKER: quality["test"],
        BEST: made.truth["test"].p,
    }
    accuracy = {name: float((guess.argmax(axis=1) == test).mean()) for name, guess in guesses.items()}
    found = weights.diagnose(estimated)
    return Outcome(accuracy, found.ess, found.mean)


def disturbed(probabilities: Floats, setting: Setting, rng: np.random.Generator) -> Floats:
    """P' (texts, classes) after the knobs ``sharpness`` and ``noise``; every row still sums to 1."""
    logs = setting.sharpness * np.log(probabilities) + setting.noise * rng.standard_normal(probabilities.shape)
    raised = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


# ---------------------------------------------------------------- turning a knob


def turn(knob: str, repetitions: int, values: Iterable[float] | None = None) -> pd.DataFrame:
    """Every value of a knob in ``repetitions`` worlds: one row a value, repetition and method.

    Columns: knob, value, repetition, method, accuracy (%), ess (%), mean_weight. UserError for an unknown knob.
    """
    if knob not in KNOBS:
        raise UserError(f"there is no knob {knob!r}; expected one of {', '.join(KNOBS)}")
    rows = []
    for value in KNOBS[knob] if values is None else values:
        for seed in range(repetitions):
            outcome = run(at(knob, value, seed))
            about = {"knob": knob, "value": float(value), "repetition": seed}
            more = {"ess": 100 * outcome.ess, "mean_weight": outcome.mean_weight}
            rows += [{**about, "method": m, "accuracy": 100 * a, **more} for m, a in outcome.accuracy.items()]
    return pd.DataFrame(rows)


def summary(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean accuracy (%) with its 95 % interval over the repetitions, by knob, value and method, and the mean ESS."""
    rows = []
    for (knob, value, method), group in runs.groupby(["knob", "value", "method"], sort=False):
        found = mean_interval(group["accuracy"].to_numpy())
        spread = {"accuracy": found.mean, "low": found.low, "high": found.high}
        counts = {"ess": group["ess"].mean(), "repetitions": len(group), "n_test": texts.CONFIG.test}
        rows.append({"knob": knob, "value": value, "method": method, **spread, **counts})
    return pd.DataFrame(rows)


def against(runs: pd.DataFrame, method: str = ESTIMATED, others: Iterable[str] = (CE, CHECKER)) -> pd.DataFrame:
    """Points of accuracy of ``method`` above each other method, paired by repetition, with 95 % intervals."""
    wide = runs.pivot_table(index=["knob", "value", "repetition"], columns="method", values="accuracy", sort=False)
    rows = []
    for (knob, value), group in wide.groupby(level=["knob", "value"], sort=False):
        for other in others:
            found = mean_interval((group[method] - group[other]).to_numpy())
            spread = {"difference": found.mean, "low": found.low, "high": found.high, "repetitions": len(group)}
            rows.append({"knob": knob, "value": value, "method": method, "versus": other, **spread})
    return pd.DataFrame(rows)


def in_words(differences: pd.DataFrame, knob: str) -> list[str]:
    """One sentence for each method compared with: at which values of the knob is it above, below, not to be told?"""
    words = {"holds": "above", "fails": "below", "inconclusive": "not to be told apart"}
    lines = []
    for other, group in differences[differences["knob"] == knob].groupby("versus", sort=False):
        verdicts = [judge(float(low), float(high)) for low, high in group[["low", "high"]].to_numpy(float)]
        parts = []
        for verdict, word in words.items():
            chosen = [f"{value:g}" for value, found in zip(group["value"], verdicts, strict=True) if found == verdict]
            if chosen:
                parts.append(f"{word} at {', '.join(chosen)}")
        lines.append(f"{group['method'].iloc[0]}, against {other}: {'; '.join(parts)}")
    return lines
