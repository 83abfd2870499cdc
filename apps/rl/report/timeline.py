"""The plot of what operators and the guard did, and when. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from apps.rl.pages.drawing import FIRST, SECOND, Plot, plot
from apps.store.deployment import DeploymentRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_ACTS = 40


def timeline(done: Sequence[DeploymentRow], title: str) -> Plot | None:
    """Return the latest acts in lanes by variant; None without any.

    Args:
        done: All acts, in order.
        title: The plot's.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    acts = [(i, a) for i, a in enumerate(done, 1) if a.at_hour is not None]
    acts = acts[-MOST_ACTS:]
    if not acts:
        return None
    lanes = list(dict.fromkeys(a.variant or "all" for _, a in acts))
    at = spread([a for _, a in acts])

    def draw(axes: Axes) -> None:
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

        x = [float(date2num(m)) for m in at]  # type: ignore[no-untyped-call]
        pad = max(0.12 * (max(x) - min(x)), 0.25)
        for actor, colour, mark in (("operator", FIRST, "o"), ("guard", SECOND, "s")):
            own = [j for j, (_, a) in enumerate(acts) if (a.actor == "guard") == (actor == "guard")]
            y = [lanes.index(acts[j][1].variant or "all") for j in own]
            axes.plot([x[j] for j in own], y, mark, color=colour, label=actor)
        _name(axes, acts, x, lanes)
        axes.set_yticks(range(len(lanes)), lanes)
        axes.set_ylim(len(lanes) - 0.5, -0.7)
        axes.set_xlim(min(x) - pad, max(x) + pad)
        locator = AutoDateLocator(minticks=3, maxticks=7)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
        axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(0.0, 1.16), ncols=2)

    number, last = acts[-1]
    text = f"The latest act, number {number}: {last.action} {last.variant or 'all'}: {last.why}"
    return plot(title, text, draw, 2 * len(lanes))


def _name(
    axes: Axes, acts: Sequence[tuple[int, DeploymentRow]], x: Sequence[float], lanes: list[str]
) -> None:
    """Write each act's number at its mark, and what it was where there is room."""
    own = [lanes.index(act.variant or "all") for _, act in acts]
    alone = _alone(x, own)
    for j, (number, act) in enumerate(acts):
        below = not alone[j] and number % 2 == 0
        axes.annotate(
            f"{number} {act.action}" if alone[j] else str(number),
            (x[j], own[j]),
            xytext=(0, -14 if below else 6),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )


def spread(acts: Sequence[DeploymentRow]) -> list[datetime]:
    """Return when each act was; those of one hour spread over it in their order."""
    moments = []
    for act in acts:
        same = [a for a in acts if a.at_hour == act.at_hour]
        place = next(i for i, a in enumerate(same) if a is act)
        assert act.at_hour is not None
        moments.append(act.at_hour + timedelta(hours=(place + 0.5) / len(same)))
    return moments


def _alone(at: Sequence[float], lanes: Sequence[int]) -> list[bool]:
    """Return which acts have room for a word beside the others of their lane."""
    room = 0.18 * (max(at) - min(at))
    return [
        all(i == j or lanes[j] != lanes[i] or abs(at[j] - at[i]) > room for j in range(len(at)))
        for i in range(len(at))
    ]
