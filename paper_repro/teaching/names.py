"""What the primer calls things, in its tables and in its pictures."""

from __future__ import annotations

PLAIN, WEIGHTED, SELF_NORMALISED = "no weights", "weighted", "self-normalised"
RAW, TRUNCATED, BOUNDED, MIXTURE = "as it is", "truncated at mean(w) sqrt(n)", "bounded ratio", "defensive mixture"

CE, ESTIMATED, TRUE, CHECKER = "CE", "IMP, estimated weights", "IMP, true weights", "quality checker alone"
METHODS = (CE, ESTIMATED, TRUE, CHECKER)
BEST = "best possible"

KNOB_TITLES = {
    "misconception": "label misconception: share of concepts that Q misjudges",
    "input_shift": "input shift: share of Q's texts moved off the misjudged concepts",
    "labelled": "size of D_P': real texts that the quality checker learns from",
    "sharpness": "sharpness of P': exponent on its probabilities",
    "noise": "noise of P': standard deviation added to its log-probabilities",
}
