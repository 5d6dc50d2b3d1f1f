"""A knob to turn in JupyterLab: a slider, another for the world, and a picture that follows both.

Without a browser nothing is lost: the sliders are made but not shown, and the static figure beside them stays.
"""

from __future__ import annotations

from typing import Any

import ipywidgets  # type: ignore[import-untyped]
import pandas as pd

from paper_repro.teaching import figures
from paper_repro.teaching.experiment import KNOBS, METHODS, Setting, at, run

WORLDS = 50
"""Repetitions to choose from with the second slider; the static figures use the first of them."""
STEPS = {"misconception": 0.05, "input_shift": 0.05, "noise": 0.1}


class Knob(ipywidgets.VBox):  # type: ignore[misc]
    """Turn ``knob``: each change trains all methods once in one world and marks them on the static figure.

    ``runs`` are those of :func:`paper_repro.teaching.experiment.turn`, ``profile`` stands in the caption.
    ``value`` and ``world`` are the sliders, ``picture`` the image, ``numbers`` the accuracies in words.
    """

    def __init__(self, knob: str, runs: pd.DataFrame, profile: str) -> None:
        self.knob, self.runs, self.profile = knob, runs, profile
        self.value = _slider(knob)
        self.world = ipywidgets.IntSlider(value=0, min=0, max=WORLDS - 1, description="world", continuous_update=False)
        self.numbers = ipywidgets.Label()
        self.picture = ipywidgets.Image(format="png")
        for slider in (self.value, self.world):
            slider.observe(self._turned, names="value")
        super().__init__([ipywidgets.HBox([self.value, self.world]), self.numbers, self.picture])
        self._turned()

    def _turned(self, change: Any = None) -> None:
        outcome = run(at(self.knob, self.value.value, self.world.value))
        accuracy = {method: 100 * share for method, share in outcome.accuracy.items() if method != "best"}
        parts = [f"{METHODS[method]} {found:.1f} %" for method, found in accuracy.items()]
        weights = f"mean estimated weight {outcome.mean_weight:.2f}, effective sample {100 * outcome.ess:.0f} %"
        self.numbers.value = ", ".join(parts) + f"; {weights}"
        drawn = figures.primer_knobs(self.runs, self.profile, self.knob, (float(self.value.value), accuracy))
        self.picture.value = drawn._repr_png_()  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        """What a page without a kernel shows in its place."""
        return f"[a slider for {self.knob!r}: open this notebook in JupyterLab and run it to turn it]"


def _slider(knob: str) -> Any:
    """A slider over the range of the static figure; sizes of D_P' and powers go up by factors."""
    values = KNOBS[knob]
    shared: dict[str, Any] = {"value": getattr(Setting(), knob), "description": knob, "continuous_update": False}
    shared |= {"style": {"description_width": "initial"}, "layout": {"width": "26em"}}  # else long names are cut
    if knob in STEPS:
        return ipywidgets.FloatSlider(min=values[0], max=values[-1], step=STEPS[knob], **shared)
    return ipywidgets.SelectionSlider(options=list(values), **shared)
