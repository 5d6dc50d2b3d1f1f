"""A knob to turn in JupyterLab: a slider, another for the world, and a picture that follows both.

Without a browser nothing is lost: the sliders are made but not shown, and the static figure beside them stays.
"""

from __future__ import annotations

from typing import Any

import ipywidgets  # type: ignore[import-untyped]
import pandas as pd

from paper_repro.teaching import figures
from paper_repro.teaching.experiment import KNOBS, Setting, at, run
from paper_repro.teaching.names import METHODS

WORLDS = 50
"""Repetitions to choose from with the second slider; the static figures use the first of them."""
STEPS = {"misconception": 0.05, "input_shift": 0.05, "noise": 0.1}


class Knob(ipywidgets.VBox):  # type: ignore[misc]
    """Turn ``knob``: each change trains all methods once in one world and marks them on the static figure.

    ``frame`` is that of :func:`paper_repro.teaching.experiment.summary`, ``profile`` stands in the caption.
    ``value`` and ``world`` are the sliders, ``picture`` the image, ``numbers`` the accuracies in words.
    """

    def __init__(self, knob: str, frame: pd.DataFrame, profile: str) -> None:
        self.knob, self.frame, self.profile = knob, frame, profile
        self.value = _slider(knob)
        self.world = ipywidgets.IntSlider(value=0, min=0, max=WORLDS - 1, description="world", continuous_update=False)
        self.numbers = ipywidgets.Label()
        self.picture = ipywidgets.Image(format="png")
        for slider in (self.value, self.world):
            slider.observe(self._turned, names="value")
        super().__init__([ipywidgets.HBox([self.value, self.world]), self.numbers, self.picture])
        self._turned()

    def _turned(self, change: Any = None) -> None:
        value = self.value.value
        outcome = run(at(self.knob, value, self.world.value))
        accuracy = {name: 100 * outcome.accuracy[name] for name in METHODS}
        parts = [f"{name} {found:.1f} %" for name, found in accuracy.items()]
        weights = f"mean estimated weight {outcome.mean_weight:.2f}, effective sample {100 * outcome.ess:.0f} %"
        self.numbers.value = ", ".join(parts) + f"; {weights}"
        drawn = figures.one_knob(self.frame, self.knob, self.profile, (float(value), accuracy))
        self.picture.value = drawn._repr_png_()  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        """What a page without a kernel shows in its place."""
        return f"[a slider for {self.knob!r}: open this notebook in JupyterLab and run it to turn it]"


def _slider(knob: str) -> Any:
    """A slider over the range of the static figure; sizes of D_P' and powers go up by factors."""
    values, start = KNOBS[knob], getattr(Setting(), knob)
    if knob in STEPS:
        step = STEPS[knob]
        return ipywidgets.FloatSlider(
            value=start, min=values[0], max=values[-1], step=step, description=knob, continuous_update=False
        )
    return ipywidgets.SelectionSlider(options=list(values), value=start, description=knob, continuous_update=False)
