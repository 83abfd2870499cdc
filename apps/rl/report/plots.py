"""The report's plots. Each stands beside a table that says the same. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from apps.rl.missing import Value
from apps.rl.off_policy import Evaluation
from apps.rl.pages.drawing import FIRST, MUTED, PAPER, SECOND, SERIES, Plot, panels, plot
from apps.rl.report.findings import Findings
from apps.rl.report.timeline import timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLES = {
    "posteriors": "What the policy knew, over time",
    "traffic": "Who was served with what",
    "acts": "What operators and the guard did",
    "regret": "Regret against the best variant",
    "makeup": "What rewards are made of",
    "ratings": "Ratings, for all who were asked",
    "policies": "What each policy would have earned",
}
MOST_PANELS = 15
_COLUMNS = 3


def plots(found: Findings) -> dict[str, Plot]:
    """Return the plots by name; one that has nothing to show is left out.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    drawn = {
        "posteriors": _posteriors(found),
        "traffic": _traffic(found),
        "acts": timeline(found.material.acts, TITLES["acts"]),
        "regret": _regret(found),
        "makeup": _makeup(found),
        "ratings": _ratings(found),
        "policies": _policies(found),
    }
    return {name: plot for name, plot in drawn.items() if plot is not None}


def _posteriors(found: Findings) -> Plot | None:
    known, base = found.posteriors, found.material.base
    if len(known.at) < 2:
        return None
    names = sorted(known.estimates, key=lambda n: (n != base, -known.pulls[n]))[:MOST_PANELS]
    rows = -(-len(names) // _COLUMNS)

    def draw(figure: Figure) -> None:
        axes = figure.subplots(rows, _COLUMNS, sharex=True, sharey=True, squeeze=False)
        for panel, name in zip(axes.flat, names, strict=False):
            _posterior(panel, found, name)
        for panel in list(axes.flat)[len(names) :]:
            panel.set_axis_off()
        figure.supxlabel("rewards counted, of all variants", fontsize=10)
        figure.supylabel("mean reward", fontsize=10)

    best = max(known.estimates, key=lambda n: known.estimates[n][-1].mean)
    text = (
        f"The policy now expects most of {best}, {known.estimates[best][-1].mean:+.2f}. Bands are "
        f"where the truth lies with 95 % probability; the dashed line is the base variant {base}."
    )
    return panels(TITLES["posteriors"], text, draw, 1.25 * rows + 0.9)


def _posterior(axes: Axes, found: Findings, name: str) -> None:
    known, base = found.posteriors, found.material.base
    mine = known.estimates[name]
    low, high = [e.low for e in mine], [e.high for e in mine]
    axes.fill_between(known.at, low, high, color=FIRST, alpha=0.2, linewidth=0)
    axes.plot(known.at, [e.mean for e in mine], color=FIRST, linewidth=1.5)
    if name != base:
        line = [e.mean for e in known.estimates[base]]
        axes.plot(known.at, line, color=MUTED, linewidth=1.0, linestyle=(0, (3, 2)))
    axes.set_title(f"{name}, {known.pulls[name]} rewards", fontsize=9, loc="left")


def _traffic(found: Findings) -> Plot | None:
    traffic = found.traffic
    if not traffic.until:
        return None
    names = list(traffic.counts)
    shown = names if len(names) <= len(SERIES) else names[: len(SERIES) - 1]
    layers = {name: np.array(traffic.shares(name)) for name in shown}
    if len(shown) < len(names):
        rest = names[len(shown) :]
        layers[f"{len(rest)} others"] = np.sum([traffic.shares(n) for n in rest], axis=0)

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        widths = np.diff(traffic.until, prepend=0)
        begins = np.array(traffic.until) - widths
        bottom = np.zeros(len(widths))
        for i, (name, share) in enumerate(layers.items()):
            colour = SERIES[i] if i < len(shown) else MUTED
            axes.bar(
                begins, 100 * share, widths, 100 * bottom, align="edge", color=colour, label=name
            )
            bottom = bottom + share
        for level in np.linspace(0, 100, 5):
            axes.axhline(level, color=PAPER, linewidth=0.6)
        axes.set_xlim(0, traffic.until[-1])
        axes.set_ylim(0, 100)
        axes.set_xlabel("calls, oldest first")
        axes.set_ylabel("% of the calls")
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles[::-1], labels[::-1], loc="outside right upper", frameon=False)

    lately = max(names, key=lambda n: traffic.shares(n)[-1])
    text = f"Of the latest calls {traffic.shares(lately)[-1]:.0%} got {lately}."
    return panels(TITLES["traffic"], text, draw, 3.6)


def _regret(found: Findings) -> Plot | None:
    if not found.regret:
        return None

    def draw(axes: Axes) -> None:
        for each, colour, line in zip(found.regret, (FIRST, SECOND), ("-", "--"), strict=False):
            axes.fill_between(
                each.calls, each.low, each.high, color=colour, alpha=0.18, linewidth=0
            )
            label = f"by {each.source}"
            axes.plot(each.calls, each.mean, color=colour, linestyle=line, label=label)
        axes.set_xlabel("rewarded calls, oldest first")
        axes.set_ylabel("rewards missed, summed")
        axes.set_ylim(bottom=0.0)
        axes.legend(frameon=False, loc="upper left")

    each = found.regret[0]
    text = (
        f"By {each.source}, {each.mean[-1]:.0f} rewards were missed over {each.compared} calls "
        f"({each.low[-1]:.0f} to {each.high[-1]:.0f} with 95 % probability). A line that gets "
        "flatter is a policy that has found what is good."
    )
    return plot(TITLES["regret"], text, draw)


def _makeup(found: Findings) -> Plot | None:
    if not found.makeups:
        return None
    names = list(found.makeups)
    signals = list(next(iter(found.makeups.values())).parts)
    parts = {s: np.array([found.makeups[n].parts[s] for n in names]) for s in signals}
    signals.sort(key=lambda s: -float(np.abs(parts[s]).mean()))

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        y = np.arange(len(names))
        right, left = np.zeros(len(names)), np.zeros(len(names))
        for i, signal in enumerate(signals):
            value = parts[signal]
            begin = np.where(value >= 0, right, left)
            colour = SERIES[i] if i < len(SERIES) else MUTED
            axes.barh(y, value, 0.7, begin, color=colour, label=signal)
            right, left = right + np.maximum(value, 0), left + np.minimum(value, 0)
        total = [found.makeups[n].reward for n in names]
        axes.plot(total, y, "D", color=PAPER, markeredgecolor=MUTED, markersize=6, label="reward")
        axes.axvline(0.0, color=MUTED, linewidth=0.8)
        axes.set_yticks(y, [f"{n} ({found.makeups[n].calls})" for n in names])
        axes.invert_yaxis()
        axes.set_xlabel("mean over the rewarded calls")
        figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9)

    text = (
        f"{names[0]} has the best plain mean and {names[-1]} the worst; means of few calls (in "
        "brackets) are no verdict. The diamond is the reward, which is cut to -1 to 1."
    )
    return panels(TITLES["makeup"], text, draw, 0.3 * len(names) + 1.8)


def _ratings(found: Findings) -> Plot | None:
    rows = {n: r for n, r in found.ratings.items() if r.complete_case is not None}
    if not rows:
        return None

    def draw(axes: Axes) -> None:
        given = [r.complete_case for r in rows.values()]
        _dots(axes, 0.13, given, SECOND, "s", "of the ratings given")
        _dots(axes, -0.13, [r.dr for r in rows.values()], FIRST, "o", "corrected")
        axes.set_yticks(range(len(rows)), [f"{n} ({r.answered})" for n, r in rows.items()])
        axes.invert_yaxis()
        axes.set_xlim(1, 5)
        axes.set_xlabel("mean rating in stars, with 95 % intervals; number of ratings in brackets")
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(0.0, 1.13), ncols=2)

    corrected = sum(r.dr is not None for r in rows.values())
    text = f"{corrected} of {len(rows)} variants have enough ratings to correct for who answered."
    return plot(TITLES["ratings"], text, draw, len(rows) + 2)


def _policies(found: Findings) -> Plot | None:
    told = [p for p in found.judged.policies if p.logged.best is not None]
    if not told:
        return None

    def draw(axes: Axes) -> None:
        _dots(axes, -0.13, [_value(p.logged) for p in told], FIRST, "o", "rewards as logged")
        corrected = [None if p.corrected is None else _value(p.corrected) for p in told]
        _dots(axes, 0.13, corrected, SECOND, "s", "as if all asked had rated")
        axes.set_yticks(range(len(told)), [p.policy for p in told])
        axes.set_ylim(len(told) - 0.5, -0.5)
        axes.set_xlabel("mean reward, with 95 % intervals")
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(0.0, 1.16), ncols=2)

    refused = len(found.judged.policies) - len(told)
    best = max(told, key=lambda p: _sure(p.logged).value)
    text = f"Had one policy served every call, {best.policy} would have earned most"
    text += f" of those that the log can tell of. {refused} are refused." if refused else "."
    return plot(TITLES["policies"], text, draw, 2 * len(told))


def _dots(
    axes: Axes, shift: float, values: Sequence[Value | None], colour: str, mark: str, label: str
) -> None:
    """Draw values with their intervals in lanes of their own; None draws nothing."""
    there = [(i, v) for i, v in enumerate(values) if v is not None]
    if not there:
        return
    x = np.array([v.value for _, v in there])
    low = np.array([v.interval.low for _, v in there])
    high = np.array([v.interval.high for _, v in there])
    reach = np.nan_to_num([np.maximum(x - low, 0), np.maximum(high - x, 0)])
    y = [i + shift for i, _ in there]
    axes.errorbar(x, y, xerr=reach, fmt=mark, color=colour, label=label, markersize=5)


def _value(found: Evaluation) -> Value | None:
    return None if found.best is None else _sure(found)


def _sure(found: Evaluation) -> Value:
    assert found.best is not None
    best = found.estimate(found.best)
    return Value(best.value, best.delta)
