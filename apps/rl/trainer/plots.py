"""The report's plots, as SVG that takes its colours from the page. Needs matplotlib."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from apps.core.errors import ConfigError
from apps.rl.trainer.features import KINDS, contrast
from apps.rl.trainer.training import Training

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK, _MUTED, _FIRST, _SECOND = "#010101", "#020202", "#030303", "#040404"
_COLOURS = {
    _INK: "var(--ink, currentColor)",
    _MUTED: "var(--muted, #6e7781)",
    _FIRST: "var(--first, #0969da)",
    _SECOND: "var(--second, #bc4c00)",
}
"""The page's colours; where a page has none, ones that can be seen on light and dark."""
_REACH = 1.96


@dataclass(frozen=True, slots=True)
class Plot:
    """One plot.

    Attributes:
        title: What it shows.
        text: The same in a sentence, for who cannot see it.
        svg: The drawing.
    """

    title: str
    text: str
    svg: str


def plots(training: Training) -> list[Plot]:
    """Return the plots of a training.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    found = [_variants(training), _left_out(training), _calibration(training)]
    return [*found, _slot_effects(training), _preferences(training), _grid(training)]


def _variants(training: Training) -> Plot:
    scores = {v: s for s in training.scores for v in s.variants}
    names = sorted(training.arms, key=lambda v: -scores[v].mean)

    def draw(axes: Axes) -> None:
        at = np.arange(len(names))
        mean = np.array([scores[v].mean for v in names])
        error = np.array([scores[v].error for v in names])
        axes.errorbar(mean, at - 0.12, xerr=_REACH * error, fmt="o", color=_FIRST, label="model")
        for y, name in zip(at, names, strict=True):
            found = training.policies.get(name)
            if found is None or found.best is None:
                continue
            best = found.estimate(found.best)
            low, high = best.value - best.delta.low, best.delta.high - best.value
            label = "log" if y == 0 else None
            axes.errorbar(
                best.value, y + 0.12, xerr=[[low], [high]], fmt="s", color=_SECOND, label=label
            )
        axes.set_yticks(at, names)
        axes.invert_yaxis()
        axes.set_xlabel("mean reward")
        axes.legend(frameon=False)

    text = f"The model thinks {names[0]} the best of the variants served and {names[-1]} the worst."
    return _plot("Variants: what the model says, and what the log says", text, draw, len(names))


def _left_out(training: Training) -> Plot:
    left = training.validation.left_out
    model, plain = training.validation.left_out_rmse

    def draw(axes: Axes) -> None:
        x, y = np.array([v.predicted for v in left]), np.array([v.observed for v in left])
        axes.errorbar(x, y, xerr=[_REACH * v.error for v in left], fmt="o", color=_FIRST)
        for v in left:
            axes.annotate(
                v.variant, (v.predicted, v.observed), xytext=(4, 4), textcoords="offset points"
            )
        _diagonal(axes, x, y)
        axes.set_xlabel("predicted from its slots, without its calls")
        axes.set_ylabel("observed mean reward")

    text = (
        f"Unseen variants are predicted with an error of {model:.3f}; their mean has {plain:.3f}."
    )
    return _plot("Each variant, predicted without any of its calls", text, draw)


def _calibration(training: Training) -> Plot:
    bins, slope = training.validation.bins, training.validation.slope

    def draw(axes: Axes) -> None:
        x, y = np.array([b.predicted for b in bins]), np.array([b.observed for b in bins])
        axes.errorbar(x, y, yerr=[_REACH * b.error for b in bins], fmt="o", color=_FIRST)
        _diagonal(axes, x, y)
        axes.set_xlabel("predicted reward")
        axes.set_ylabel("observed mean reward")

    text = f"Observed rewards rise {slope:.2f} times as fast as predicted ones; 1 is calibrated."
    return _plot("Calibration on calls that the model had not seen", text, draw)


def _slot_effects(training: Training) -> Plot:
    blocks, model = training.encoder.blocks, training.model
    weights, covariance = model.weights[blocks.slots], model.covariance[blocks.slots, blocks.slots]
    three = contrast(3)
    names, effects, errors = [], [], []
    for i, (slot, kind) in enumerate(KINDS.items()):
        own = slice(2 * i, 2 * i + 2)
        for row, value in zip(three, kind, strict=True):
            names.append(f"{slot} {value.value}")
            effects.append(float(row @ weights[own]))
            errors.append(math.sqrt(float(row @ covariance[own, own] @ row)))

    def draw(axes: Axes) -> None:
        at = np.arange(len(names))
        reach = _REACH * np.array(errors)
        axes.axvline(0.0, color=_MUTED, linewidth=0.8)
        axes.errorbar(effects, at, xerr=reach, fmt="o", color=_FIRST)
        axes.set_yticks(at, names)
        axes.invert_yaxis()
        axes.set_xlabel("effect on the reward, over all other slots")

    best = names[int(np.argmax(effects))]
    text = f"The slot value that helps most, whatever the others are, is {best}."
    return _plot("What each slot value is worth", text, draw, len(names))


def _preferences(training: Training) -> Plot:
    arms, known = training.arms, training.preferences
    unit = np.eye(len(arms))
    base = unit[arms.index(training.known.base)]
    strength, error = known.compare(unit, base)
    order = np.argsort(-strength)

    def draw(axes: Axes) -> None:
        at = np.arange(len(arms))
        axes.axvline(0.0, color=_MUTED, linewidth=0.8)
        axes.errorbar(strength[order], at, xerr=_REACH * error[order], fmt="o", color=_FIRST)
        axes.set_yticks(at, [arms[i] for i in order])
        axes.invert_yaxis()
        axes.set_xlabel("log odds of winning against the base variant")

    text = f"In {known.pairs} pairs of like calls, {arms[order[0]]} wins most often."
    return _plot("Pairs of calls: who wins against the base variant", text, draw, len(arms))


def _grid(training: Training) -> Plot:
    scores = sorted(training.scores, key=lambda s: s.gain)
    offered = {c.score.slots: c.variant.id for c in training.candidates}

    def draw(axes: Axes) -> None:
        at = np.arange(len(scores))
        gain = np.array([s.gain for s in scores])
        reach = _REACH * np.array([s.gain_error for s in scores])
        axes.axhline(0.0, color=_MUTED, linewidth=0.8)
        axes.fill_between(at, gain - reach, gain + reach, color=_MUTED, alpha=0.25, linewidth=0)
        axes.plot(at, gain, ".", color=_MUTED, markersize=3)
        for mark, colour, label, wanted in (
            ("s", _SECOND, "served", [s.served for s in scores]),
            ("o", _FIRST, "candidate", [s.slots in offered for s in scores]),
        ):
            axes.plot(at[wanted], gain[wanted], mark, color=colour, markersize=5, label=label)
        axes.set_xlabel("all 243 combinations, by what is expected of them")
        axes.set_ylabel("gain over the base variant")
        axes.legend(frameon=False)

    better = sum(s.gain > 0 and not s.served for s in scores)
    text = (
        f"Of the combinations that nobody serves, {better} are expected to beat the base variant."
    )
    return _plot("The search over all combinations", text, draw)


def _diagonal(axes: Axes, x: np.ndarray, y: np.ndarray) -> None:
    ends = [float(min(x.min(), y.min())), float(max(x.max(), y.max()))]
    axes.plot(ends, ends, color=_MUTED, linewidth=0.8)


def _plot(title: str, text: str, draw: Callable[[Axes], None], lines: int = 0) -> Plot:
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError(
            "The report's plots need matplotlib, which is not installed.",
            hint="pip install 'tom-voice[learn]', or leave the plots out.",
        ) from error
    style: Any = {  # rcParams; its keys are spelled out in a type of many pages
        "svg.fonttype": "none",
        "svg.hashsalt": "tom",
        "font.family": "sans-serif",
        "font.size": 10,
        "text.color": _INK,
        "axes.labelcolor": _INK,
        "axes.edgecolor": _MUTED,
        "xtick.color": _INK,
        "ytick.color": _INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with rc_context(style):
        figure = Figure(figsize=(6.6, max(3.4, 0.27 * lines + 1.0)), layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return Plot(title, text, _themed(file.getvalue()))


def _themed(svg: str) -> str:
    """Return the drawing without its head, and with the page's colours for its own."""
    drawing = svg[svg.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    for colour, name in _COLOURS.items():
        drawing = drawing.replace(colour, name)
    # Sizes are the page's matter; the drawing keeps its proportions by its viewBox.
    return re.sub(r'<svg ([^>]*?)width="[^"]*"', r'<svg aria-hidden="true" \1', drawing, count=1)
