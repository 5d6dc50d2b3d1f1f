"""Which methods there are, and which module trains each."""

from __future__ import annotations

from paper_repro import losses

CLASSICAL = ("tfidf", "frozen")
METHODS = (*losses.METHODS, *CLASSICAL)

# Methods that the training engine does not train: the module that does, whose code enters their runs' keys.
OWN_MODULE = dict.fromkeys(CLASSICAL, "classical")
