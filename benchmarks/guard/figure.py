"""One picture as SVG: innocents blacklisted over the calls, and bad ones found over their own."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchmarks.guard.runs import NEVER, Found
from benchmarks.guard.traffic import Floats, Ints

COLOURS: Mapping[str, str] = {
    "contest": "#0b6e4f",
    "asymptotic": "#2b6cb0",
    "threshold": "#8a8a8a",
    "z_bonferroni": "#c05621",
    "z": "#c53030",
}
LABELS: Mapping[str, str] = {
    "contest": "the guard",
    "asymptotic": "asymptotic sequence",
    "threshold": "mean < -0.2 after 20",
    "z_bonferroni": "z, Bonferroni, every look",
    "z": "z, every look",
}
_WIDTH, _HEIGHT, _LEFT, _TOP = 330, 220, 60, 50


def figure(same: Found, bad: Found) -> str:
    """Return the picture.

    Args:
        same: Runs in which all are innocent.
        bad: Runs whose last variant is bad.
    """
    first = {}
    for rule in COLOURS:
        when = np.where(same.at[rule] == NEVER, np.inf, same.at[rule]).min(axis=1)
        first[rule] = when
    own = {
        rule: np.where(bad.own[rule][:, -1] == NEVER, np.inf, bad.own[rule][:, -1])
        for rule in COLOURS
    }
    calls = -500 * (-int(same.calls.sum(axis=1).max()) // 500)  # the abandoned ones too
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 860 360" font-family="sans-serif"'
        ' font-size="12">',
        '<rect width="860" height="360" fill="white"/>',
        _panel(
            0, "Runs with an innocent blacklisted", "calls of all twelve variants", first, calls
        ),
        _panel(420, "Runs in which the bad one is found", "its own calls", own, 200),
    ]
    for place, (rule, colour) in enumerate(COLOURS.items()):
        x = 60 + 160 * place
        parts.append(f'<rect x="{x}" y="334" width="14" height="4" fill="{colour}"/>')
        parts.append(f'<text x="{x + 20}" y="340">{LABELS[rule].replace("<", "&lt;")}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _panel(offset: int, title: str, axis: str, when: Mapping[str, Floats | Ints], end: int) -> str:
    left, bottom = offset + _LEFT, _TOP + _HEIGHT
    parts = [
        f'<text x="{left}" y="30" font-size="14" font-weight="bold">{title}</text>',
        f'<text x="{left + _WIDTH / 2}" y="{bottom + 36}" text-anchor="middle">{axis}</text>',
    ]
    for part in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = bottom - part * _HEIGHT
        parts.append(f'<path d="M{left} {y}h{_WIDTH}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{part:.0%}</text>')
        x = left + part * _WIDTH
        parts.append(
            f'<text x="{x}" y="{bottom + 18}" text-anchor="middle">{part * end:,.0f}</text>'
        )
    grid = np.linspace(0.0, end, 201)
    for rule, hits in when.items():
        share = (hits[:, None] <= grid).mean(axis=0)
        points = "L".join(
            f"{left + x / end * _WIDTH:.1f},{bottom - s * _HEIGHT:.1f}"
            for x, s in zip(grid, share, strict=True)
        )
        parts.append(f'<path d="M{points}" fill="none" stroke="{COLOURS[rule]}" stroke-width="2"/>')
    return "\n".join(parts)
