"""Draws premature cuts against the wait after a turn as SVG, with nothing but text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 420, 320
_LEFT, _TOP, _RIGHT, _BOTTOM = 52, 44, 14, 46
_TICK_MS = 500
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#222}.small{font-size:10px}"
    ".grid{stroke:#ddd}.axis{stroke:#555}polyline{fill:none;stroke-width:2}"
)


@dataclass(frozen=True, slots=True)
class Point:
    """One rule: how long a caller waits, and how often one is cut off (in [0, 1])."""

    label: str
    wait_ms: float
    cut: float


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of one rule at several settings."""

    name: str
    colour: str
    points: Sequence[Point]


def draw(panels: Sequence[tuple[str, Sequence[Curve]]]) -> str:
    """Return an SVG with one panel for each title and its curves."""
    curves = [curve for _, some in panels for curve in some]
    wait_ms = _round_up(max(p.wait_ms for c in curves for p in c.points), _TICK_MS)
    cut = _round_up(max(p.cut for c in curves for p in c.points) * 100, 10)
    drawn = [
        f'<g transform="translate({place * _WIDTH},0)">{_panel(title, some, wait_ms, cut)}</g>'
        for place, (title, some) in enumerate(panels)
    ]
    size = f'width="{_WIDTH * len(panels)}" height="{_HEIGHT}"'
    view = f'viewBox="0 0 {_WIDTH * len(panels)} {_HEIGHT}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {view}>\n<style>{_STYLE}</style>\n'
        '<rect width="100%" height="100%" fill="#fff"/>\n' + "\n".join(drawn) + "\n</svg>\n"
    )


def _panel(title: str, curves: Sequence[Curve], wait_ms: int, cut: int) -> str:
    lines = [f'<text x="{_LEFT}" y="18" font-weight="600">{escape(title)}</text>']
    for ms in range(0, wait_ms + 1, _TICK_MS):
        x, base = _x(ms, wait_ms), _HEIGHT - _BOTTOM
        lines.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{_TOP}" y2="{base}"/>')
        lines.append(
            f'<text class="small" x="{x}" y="{base + 14}" text-anchor="middle">{ms}</text>'
        )
    for percent in range(0, cut + 1, 10):
        y, end = _y(percent / 100, cut), _WIDTH - _RIGHT
        kind = "grid" if percent else "axis"
        lines.append(f'<line class="{kind}" x1="{_LEFT}" x2="{end}" y1="{y}" y2="{y}"/>')
        label = (
            f'<text class="small" x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{percent} %</text>'
        )
        lines.append(label)
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    lines.append(
        f'<text x="{middle}" y="{_HEIGHT - 10}" text-anchor="middle">'
        "wait after the last sound, ms</text>"
    )
    lines.append(f'<text class="small" x="8" y="{_TOP - 10}">turns cut off</text>')
    for place, curve in enumerate(curves):
        lines += _curve(curve, place, wait_ms, cut)
    return "\n".join(lines)


def _curve(curve: Curve, place: int, wait_ms: int, cut: int) -> list[str]:
    places = [(_x(p.wait_ms, wait_ms), _y(p.cut, cut), p.label) for p in curve.points]
    path = " ".join(f"{x},{y}" for x, y, _ in places)
    lines = [f'<polyline points="{path}" stroke="{curve.colour}"/>']
    for x, y, label in places:
        lines.append(f'<circle cx="{x}" cy="{y}" r="3" fill="{curve.colour}"/>')
        lines.append(f'<text class="small" x="{x + 5}" y="{y - 5}">{escape(label)}</text>')
    x, y = _WIDTH - _RIGHT - 150, _TOP + 6 + 16 * place
    lines.append(f'<rect x="{x}" y="{y}" width="10" height="10" fill="{curve.colour}"/>')
    lines.append(f'<text class="small" x="{x + 15}" y="{y + 9}">{escape(curve.name)}</text>')
    return lines


def _x(ms: float, wait_ms: int) -> float:
    return round(_LEFT + ms / wait_ms * (_WIDTH - _LEFT - _RIGHT), 1)


def _y(cut: float, highest: int) -> float:
    return round(_HEIGHT - _BOTTOM - cut * 100 / highest * (_HEIGHT - _TOP - _BOTTOM), 1)


def _round_up(value: float, step: int) -> int:
    return int(-(-value // step) * step)
