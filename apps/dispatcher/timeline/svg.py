"""Shapes of a timeline in SVG: times are percentages of the call, so that zooming is one width."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from apps.dispatcher.timeline.story import Curve, Mark, Span

SHAPES = {
    "started": "M0 -5 8 0 0 5Z",
    "maybe_ended": "M0 0 5 -5 10 0 5 5Z",
    "went_on": "M0 -4 4 0 0 4M5 -4 9 0 5 4",
    "ended": "M0 -5H9V5H0Z",
    "hold": "M0 -5H3V5H0ZM6 -5H9V5H6Z",
    "false_alarm": "M0 -4 8 4M0 4 8 -4",
    "backchannel": "M4 -4A4 4 0 1 0 4.1 -4Z",
    "barge_in": "M0 5 5 -5 10 5Z",
}


def clean(text: str) -> str:
    """Return a text fit for markup: escaped, and without what no page may hold."""
    return escape("".join(c if c.isprintable() or c == " " else "�" for c in text))


@dataclass(frozen=True, slots=True)
class Scale:
    """Where a time lies.

    Attributes:
        length_ms: The time at the right edge.
    """

    length_ms: float

    def at(self, ms: float) -> str:
        """Return a time's place."""
        return f"{self._percent(ms):.4f}%"

    def width(self, from_ms: float, to_ms: float) -> str:
        """Return how wide a stretch of time is."""
        return f"{max(0.0, self._percent(to_ms) - self._percent(from_ms)):.4f}%"

    def _percent(self, ms: float) -> float:
        return min(100.0, max(0.0, 100.0 * ms / self.length_ms))


def box(
    scale: Scale, span: Span, y: float, height: float, *, name: str, beside: bool = False
) -> str:
    """Draw a stretch of time; its label is cut where it does not fit, or stands beside it."""
    place = f'x="{scale.at(span.from_ms)}" width="{scale.width(span.from_ms, span.to_ms)}"'
    x = "100%" if beside else "0"
    label = (
        f'<text x="{x}" dx="4" y="{height / 2:g}">{clean(span.label)}</text>' if span.label else ""
    )
    return (
        f'<svg {place} y="{y:g}" height="{height:g}" class="{name} {clean(span.kind)}">'
        f'{_title(span.about)}<rect width="100%" height="100%"/>{label}</svg>'
    )


def mark(scale: Scale, one: Mark, y: float) -> str:
    """Draw something that happened: its shape, then its label."""
    shape = SHAPES.get(one.kind, SHAPES["maybe_ended"])
    label = f'<text x="13" y="0">{clean(one.label)}</text>' if one.label else ""
    return (
        f'<svg x="{scale.at(one.at_ms)}" y="{y:g}" class="mark {clean(one.kind)}">'
        f'{_title(one.about)}<path d="{shape}"/>{label}</svg>'
    )


def area(scale: Scale, curve: Curve, y: float, height: float, name: str) -> str:
    """Draw a curve as the area below it."""
    if not curve:
        return ""
    path = f"M{curve[0][0]:.0f} 100{_line(curve, 'L')}L{curve[-1][0]:.0f} 100Z"
    return _stretched(scale, path, y, height, name)


def line(scale: Scale, curve: Curve, y: float, height: float, name: str) -> str:
    """Draw a curve as a line."""
    return _stretched(scale, _line(curve, "M"), y, height, name) if curve else ""


def _line(curve: Curve, first: str) -> str:
    points = [f"{ms:.0f} {100 - 100 * value:.0f}" for ms, value in curve]
    return first + "L".join(points)


def _stretched(scale: Scale, path: str, y: float, height: float, name: str) -> str:
    view = f'viewBox="0 0 {scale.length_ms:.0f} 100" preserveAspectRatio="none"'
    return (
        f'<svg y="{y:g}" width="100%" height="{height:g}" class="{name}" {view}>'
        f'<path d="{path}"/></svg>'
    )


def _title(about: str) -> str:
    return f"<title>{clean(about)}</title>" if about else ""
