"""Plots as SVG that takes its colours from the page it stands in. Needs matplotlib."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from apps.core.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REACH = 1.96
"""Half of a 95 % interval, in standard deviations."""

INK, MUTED, PAPER = "#010101", "#020202", "#0b0b0b"
FIRST, SECOND = "#030303", "#040404"
SERIES = (FIRST, SECOND, "#050505", "#060606", "#070707", "#080808", "#090909")
"""For things that are told apart by colour, and by a label: never by colour alone."""

_COLOURS = {
    INK: "var(--ink, currentColor)",
    MUTED: "var(--muted, #6e7781)",
    PAPER: "var(--paper, transparent)",
    SERIES[0]: "var(--first, #0969da)",
    SERIES[1]: "var(--second, #bc4c00)",
    SERIES[2]: "var(--third, #2da44e)",
    SERIES[3]: "var(--fourth, #8250df)",
    SERIES[4]: "var(--fifth, #bf3989)",
    SERIES[5]: "var(--sixth, #9a6700)",
    SERIES[6]: "var(--seventh, #0e7490)",
}
"""The page's colours; where a page has none, ones that can be seen on light and dark."""
_WIDTH = 6.6  # inches; the page scales the drawing


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


def plot(title: str, text: str, draw: Callable[[Axes], None], lines: int = 0) -> Plot:
    """Return a plot of one pair of axes.

    Args:
        title: What it shows.
        text: What it says, in a sentence.
        draw: Draws it, in the colours of this module.
        lines: How many labels stand above each other.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    height = max(3.4, 0.27 * lines + 1.0)
    return panels(title, text, lambda figure: draw(figure.add_subplot()), height)


def panels(title: str, text: str, draw: Callable[[Figure], None], height: float) -> Plot:
    """Return a plot of several pairs of axes.

    Args:
        title: What it shows.
        text: What it says, in a sentence.
        draw: Adds the axes and draws into them.
        height: In inches; the width is 6.6.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    need_matplotlib()
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    style: Any = {  # rcParams; its keys are spelled out in a type of many pages
        "svg.fonttype": "none",
        "svg.hashsalt": "tom",
        "font.family": "sans-serif",
        "font.size": 10,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.titlecolor": INK,
        "axes.edgecolor": MUTED,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with rc_context(style):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        draw(figure)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return Plot(title, text, _themed(file.getvalue()))


def need_matplotlib() -> None:
    """Make sure that plots can be drawn.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "The report's plots need matplotlib, which is not installed.",
            hint="The extra `learn` has it: pip install 'tom-voice[learn]'.",
        ) from error


def _themed(svg: str) -> str:
    """Return the drawing without its head, and with the page's colours for its own."""
    drawing = svg[svg.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    for colour, name in _COLOURS.items():
        drawing = drawing.replace(colour, name)
    # Sizes are the page's matter; the drawing keeps its proportions by its viewBox.
    return re.sub(r'<svg ([^>]*?)width="[^"]*"', r'<svg aria-hidden="true" \1', drawing, count=1)
