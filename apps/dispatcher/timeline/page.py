"""A timeline as one HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from apps.core.events import LogRecord
from apps.dispatcher.timeline.lanes import STAGES, draw_lanes, slowest
from apps.dispatcher.timeline.story import Story, Turn
from apps.dispatcher.timeline.svg import SHAPES, clean
from apps.dispatcher.timeline.tell import tell

_HERE = Path(__file__).parent
_SPEECH_SHOWN = 140
_SIGNS = {
    "started": "started",
    "maybe_ended": "may have ended",
    "went_on": "went on",
    "ended": "ended",
    "hold": "hold",
    "false_alarm": "false alarm",
    "backchannel": "backchannel",
    "barge_in": "barge-in",
}


def timeline(records: Sequence[LogRecord], name: str) -> str:
    """Draw one call.

    Args:
        records: Its event log, in order.
        name: What the page calls it.

    Returns:
        A page of HTML. Whatever a caller said is text in it and nothing else.
    """
    story = tell(records)
    chart, places = draw_lanes(story)
    style, script = (_HERE / "timeline.css").read_text(), (_HERE / "timeline.js").read_text()
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_policy(script)}">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{clean(name)} - timeline</title><style>{style}</style></head><body>",
            f"<h1>{clean(name)}</h1>{_facts(story)}{_table(story)}",
            _controls(),
            f'<div class="timeline"><div class="names">{"".join(_names(places))}</div>',
            f'<div class="scroll" tabindex="0" data-length-ms="{story.length_ms:.0f}">',
            f"{chart}</div></div>{_legend()}<script>{script}</script></body></html>",
        )
    )


def _policy(script: str) -> str:
    """Allow this one script and inline style, and nothing from anywhere."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def _facts(story: Story) -> str:
    facts = {"length": f"{story.length_ms / 1000:.0f} s", **story.facts}
    items = "".join(f"<div><dt>{clean(k)}</dt><dd>{clean(v)}</dd></div>" for k, v in facts.items())
    missing = "" if story.voice else _NO_EAR
    return f'<dl class="facts">{items}</dl>{missing}'


def _table(story: Story) -> str:
    rows = "".join(_row(turn) for turn in story.turns)
    heads = ("turn", "at", "caller", "TOM", "voice to voice", "why", "also")
    head = "".join(f"<th>{name}</th>" for name in heads)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<div class="turns">{table}</div>'


def _row(turn: Turn) -> str:
    said = " ".join(turn.said)
    shown = said if len(said) <= _SPEECH_SHOWN else said[:_SPEECH_SHOWN].rsplit(" ", 1)[0] + " …"
    waited = "" if turn.waited_ms is None else f"{turn.waited_ms:.0f} ms"
    number = str(turn.turn_id)
    if turn.waited_ms is not None:
        number = f'<a href="#turn-{turn.turn_id}">{turn.turn_id}</a>'
    return (
        f'<tr><td class="number">{number}</td><td class="number">{turn.at_ms / 1000:.1f} s</td>'
        f"<td>{clean(turn.asked)}</td><td>{clean(shown)}</td>"
        f'<td class="number">{waited}</td><td>{clean(slowest(turn))}</td>'
        f"<td>{clean('; '.join(turn.notes))}</td></tr>"
    )


def _controls() -> str:
    return (
        '<p class="controls"><label>scale <input id="zoom" type="range" min="0" max="100" '
        'value="50"></label> <output id="scale"></output></p>'
    )


def _names(places: Sequence[tuple[str, float, float]]) -> Iterator[str]:
    for name, top, height in places:
        yield f'<div style="top:{top:g}px;height:{height:g}px">{clean(name)}</div>'


def _legend() -> str:
    signs = "".join(
        f'<span><svg width="12" height="12" viewBox="-1 -6 12 12" class="mark {kind}">'
        f'<path d="{SHAPES[kind]}"/></svg>{name}</span>'
        for kind, name in _SIGNS.items()
    )
    stages = "".join(
        f'<span><svg width="12" height="12" class="stage {name}">'
        f'<rect width="12" height="12"/></svg>{name}: {what}</span>'
        for name, what in STAGES.items()
    )
    return f'<p class="legend">{signs}</p><p class="legend">{stages}</p>{_HOW_TO_READ}'


_NO_EAR = (
    '<p class="missing">The log holds no ear records: there are no levels and no decisions of '
    "turn-taking to be seen.</p>"
)
_HOW_TO_READ = (
    '<p class="legend">The caller: level as an area, probability of voice as a line; shaded where '
    "the caller spoke, yellow where TOM waited to see whether that was all. Sentences are placed "
    "by their letters. Hover over anything for more.</p>"
)
