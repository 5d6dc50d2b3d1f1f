"""Exercises 8 and 9 (notebook 04): a paired difference and its error; a score that the test set did not choose."""

from __future__ import annotations

import numpy as np

from paper_repro.teaching.feedback import Answer, Exercise, Floats, numbers, two_numbers

# ---------------------------------------------------------------- 8: answer(a, b) -> (points, standard error)


def gap(a: Floats, b: Floats) -> float:
    return float(100 * (a - b).mean())


def paired_error(a: Floats, b: Floats) -> float:
    return float(100 * (a - b).std(ddof=1) / np.sqrt(len(a)))


GAP_MISTAKES: dict[str, Answer] = {
    "The difference is a fraction; asked for are points of accuracy, 100 times as much.": lambda a, b: gap(a, b) / 100,
    "The sign: asked for is a minus b.": lambda a, b: gap(b, a),
}


def unpaired_error(a: Floats, b: Floats) -> float:
    return float(100 * np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / len(a)))


ERROR_MISTAKES: dict[str, Answer] = {
    "Your standard error is that of two independent test sets. Both methods answer the same texts, so take the "
    "difference text by text first.": unpaired_error,
    "Your second number is the standard deviation of the differences; that of their mean is sqrt(n) times smaller.": (
        lambda a, b: 100 * (a - b).std(ddof=1)
    ),
    "Your second number is a variance; take its square root.": lambda a, b: 100 * (a - b).var(ddof=1) / len(a),
    "The standard error is a fraction; asked for are points.": lambda a, b: paired_error(a, b) / 100,
    "Divide by n - 1 in the variance (ddof=1): the mean was estimated from the same texts.": lambda a, b: (
        100 * (a - b).std() / np.sqrt(len(a))
    ),
}


def paired_difference() -> Exercise:
    rng = np.random.default_rng(5)
    text = rng.random(200)  # how hard each text is for both
    random = tuple((text < share + rng.normal(scale=0.05, size=200)).astype(np.float64) for share in (0.8, 0.7))
    mistakes = {words: _both(wrong, paired_error) for words, wrong in GAP_MISTAKES.items()}
    mistakes |= {f"The difference is right. {words}": _both(gap, wrong) for words, wrong in ERROR_MISTAKES.items()}
    return Exercise(
        number=8,
        parts=("difference", "standard error"),
        cases=[(np.array([1.0, 1.0, 1.0, 0.0, 1.0]), np.array([1.0, 0.0, 1.0, 1.0, 0.0])), random],
        right=_both(gap, paired_error),
        mistakes=mistakes,
        observe=two_numbers("difference", "standard error"),
        example="For a = [1, 1, 1, 0, 1] and b = [1, 0, 1, 1, 0]",
        lesson=lambda: (
            f"On the check's 200 texts the difference is {gap(*random):.1f} points with a standard error of "
            f"{paired_error(*random):.1f}; as two independent test sets it would be "
            f"{unpaired_error(*random):.1f}. Texts that both methods get right, or both wrong, say "
            "nothing about the difference, and pairing takes them out."
        ),
    )


def _both(first: Answer, second: Answer) -> Answer:
    return lambda a, b: (first(a, b), second(a, b))


# ---------------------------------------------------------------- 9: answer(dev, test) -> accuracy


def chosen_on_dev(dev: Floats, test: Floats) -> Floats:
    """Test accuracy of each seed, (seeds,), at the epoch that its own dev accuracy chooses."""
    return np.asarray(test[np.arange(len(test)), dev.argmax(axis=1)])


SCORE_MISTAKES: dict[str, Answer] = {
    "The test set chose the epoch. That is the largest of several draws, and too high.": lambda dev, test: test.max(
        axis=1
    ).mean(),
    "This is the best of all runs and epochs on the test set: the largest of many draws.": lambda dev, test: test.max(),
    "The epochs are right, but the test set chose the seed. Take the mean over the seeds.": lambda dev, test: (
        chosen_on_dev(dev, test).max()
    ),
    "This is the accuracy on D_P' itself. It chose the epoch, so it promises too much.": lambda dev, test: dev.max(
        axis=1
    ).mean(),
    "This is the last epoch; asked for is the one that D_P' chooses.": lambda dev, test: test[:, -1].mean(),
    "You chose one epoch for all seeds. Each run keeps its own best epoch.": lambda dev, test: test[
        :, dev.mean(axis=0).argmax()
    ].mean(),
    "This is one run, the best on D_P'. Asked for is the mean over the seeds.": lambda dev, test: test.flat[
        dev.argmax()
    ],
}


def score_without_peeking() -> Exercise:
    rng = np.random.default_rng(6)
    luck = tuple(rng.normal(80, 2, size=(4, 5)) for _ in range(2))  # every run and epoch is equally good
    return Exercise(
        number=9,
        parts=("accuracy",),
        cases=[
            (np.array([[70.0, 74.0, 72.0], [76.0, 73.0, 71.0]]), np.array([[71.0, 70.0, 73.0], [72.0, 75.0, 70.0]])),
            luck,
        ],
        right=lambda dev, test: chosen_on_dev(dev, test).mean(),
        mistakes=SCORE_MISTAKES,
        observe=lambda answer, case: (numbers(answer(*case), (), "The accuracy"),),
        example="For dev [[70, 74, 72], [76, 73, 71]] and test [[71, 70, 73], [72, 75, 70]]",
        lesson=lambda: (
            "In the check's second case all 4 seeds and 5 epochs are draws around 80 % and differ by luck alone. Your "
            f"rule says {chosen_on_dev(*luck).mean():.1f}; the best seed of the four would be "
            f"{chosen_on_dev(*luck).max():.1f}, and with the epoch chosen on the test set as well {luck[1].max():.1f}."
        ),
    )
