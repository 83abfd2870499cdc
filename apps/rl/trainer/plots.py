"""The report's plots, as SVG that takes its colours from the page. Needs matplotlib."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from apps.rl.pages.drawing import FIRST as _FIRST
from apps.rl.pages.drawing import MUTED as _MUTED
from apps.rl.pages.drawing import REACH, Plot
from apps.rl.pages.drawing import SECOND as _SECOND
from apps.rl.pages.drawing import plot as _plot
from apps.rl.trainer.features import KINDS, contrast
from apps.rl.trainer.training import Training

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
        axes.errorbar(mean, at - 0.12, xerr=REACH * error, fmt="o", color=_FIRST, label="model")
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
        axes.errorbar(x, y, xerr=[REACH * v.error for v in left], fmt="o", color=_FIRST)
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
        axes.errorbar(x, y, yerr=[REACH * b.error for b in bins], fmt="o", color=_FIRST)
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
        reach = REACH * np.array(errors)
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
        axes.errorbar(strength[order], at, xerr=REACH * error[order], fmt="o", color=_FIRST)
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
        reach = REACH * np.array([s.gain_error for s in scores])
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
