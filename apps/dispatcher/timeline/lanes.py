"""The lanes of a timeline, from the caller at the top to the assistant at the bottom."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from apps.dispatcher.timeline.story import Mark, Span, Story, Turn
from apps.dispatcher.timeline.svg import Scale, area, box, clean, line, mark

STAGES = {
    "endpoint": "for the caller to go on",
    "stt": "for the final transcript",
    "retrieve": "for the passages",
    "generate": "for the answer's first sentence",
    "speak": "for its first sound",
    "playout": "for the first frame to leave",
}
"""A turn's stages in their order, and what was waited for in each."""

_ROW = 17.0
_PARTIAL_ROWS = 4
_PARTIAL_PX = 14.0
_MARK_ROWS = {"started": 0, "maybe_ended": 0, "went_on": 0, "ended": 2}
_MAX_TICKS = 1200


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane: what it is called, how high it is, and what draws it below a height `y`."""

    name: str
    height: float
    draw: Callable[[Story, Scale, float], Iterable[str]]


def draw_lanes(story: Story) -> tuple[str, list[tuple[str, float, float]]]:
    """Return the drawing, and each lane's name, top and height in pixels."""
    scale, y = Scale(max(1.0, story.length_ms)), 0.0
    parts: list[str] = []
    places = []
    for lane in LANES:
        parts.append(f'<g class="lane">{"".join(lane.draw(story, scale, y + 4))}</g>')
        parts.append(f'<line class="rule" x1="0" x2="100%" y1="{y:g}" y2="{y:g}"/>')
        places.append((lane.name, y, lane.height))
        y += lane.height
    grid = "".join(_grid(scale, y))
    return f'<svg class="chart" height="{y:g}">{grid}{"".join(parts)}</svg>', places


def _grid(scale: Scale, height: float) -> Iterator[str]:
    """Draw the seconds; which of them have a number depends on the zoom."""
    seconds = int(scale.length_ms / 1000)
    step = 1 + seconds // _MAX_TICKS
    for second in range(0, seconds + 1, step):
        each = next(n for n in (60, 10, 5, 1) if second % n == 0)
        x = scale.at(second * 1000)
        yield f'<g class="tick each{each}"><line x1="{x}" x2="{x}" y1="16" y2="{height:g}"/>'
        yield f'<svg x="{x}" class="second"><text x="3" y="10">{second} s</text></svg></g>'


def _axis(_story: Story, _scale: Scale, _y: float) -> Iterator[str]:
    yield from ()


def _caller(story: Story, scale: Scale, y: float) -> Iterator[str]:
    for span in story.utterances:
        yield box(scale, span, y - 4, 80, name="utterance")
    yield area(scale, story.caller_level, y, 72, "level")
    yield line(scale, story.voice, y, 72, "probability")


def _words(story: Story, scale: Scale, y: float) -> Iterator[str]:
    """Draw partial words in rows, each up to the next in its row, and the final ones below."""
    for index, one in enumerate(story.partials):
        later = story.partials[index + _PARTIAL_ROWS : index + _PARTIAL_ROWS + 1]
        span = _until(one, later, story.length_ms)
        yield box(scale, span, y + index % _PARTIAL_ROWS * _PARTIAL_PX, _PARTIAL_PX, name="partial")
    for span in story.finals:
        yield box(scale, span, y + _PARTIAL_ROWS * _PARTIAL_PX, 18, name="transcript")


def _until(one: Mark, later: Sequence[Mark], length_ms: float) -> Span:
    to_ms = min([one.at_ms + 2500, length_ms, *(next_.at_ms for next_ in later)])
    return Span(one.at_ms, to_ms, one.kind, one.label, one.about)


def _decisions(story: Story, scale: Scale, y: float) -> Iterator[str]:
    for one in story.decisions:
        yield mark(scale, one, y + 8 + _MARK_ROWS.get(one.kind, 1) * _ROW)


def _states(story: Story, scale: Scale, y: float) -> Iterator[str]:
    for span in story.states:
        yield box(scale, span, y, 20, name="state")


def _waits(story: Story, scale: Scale, y: float) -> Iterator[str]:
    """Draw each turn's stages side by side, under their sum."""
    for turn in story.turns:
        if turn.waited_ms is None:
            continue
        from_ms = turn.at_ms - turn.waited_ms
        whole = Span(from_ms, turn.at_ms, "whole", about=slowest(turn))
        label = f"{turn.waited_ms:.0f} ms (turn {turn.turn_id})"
        yield (
            f'<svg x="{scale.at(from_ms)}" y="{y:g}" class="waited" id="turn-{turn.turn_id}">'
            f'<text x="1" y="7">{clean(label)}</text></svg>'
        )
        yield box(scale, whole, y + _ROW, 18, name="stage")
        for name, ms in turn.stages.items():
            span = Span(from_ms, from_ms + ms, name, f"{ms:.0f}", f"{name}: {ms:.0f} ms")
            yield box(scale, span, y + _ROW, 18, name="stage") if ms else ""
            from_ms += ms


def _guesses(story: Story, scale: Scale, y: float) -> Iterator[str]:
    for span in story.guesses:
        row = 1 if span.kind == "used" else 0
        yield box(scale, span, y + row * 20, 18, name="guess", beside=True)


def _assistant(story: Story, scale: Scale, y: float) -> Iterator[str]:
    for span in story.holds:
        yield box(scale, span, y - 4, 80, name="silence")
    yield area(scale, story.assistant_level, y, 72, "level assistant")


def _sentences(story: Story, scale: Scale, y: float) -> Iterator[str]:
    for span in story.sentences:
        yield box(scale, span, y, 20, name="sentence")


def slowest(turn: Turn) -> str:
    """Say in plain words how long a turn was waited for, and what took longest."""
    if turn.waited_ms is None:
        return ""
    if not turn.stages or not any(turn.stages.values()):
        return f"waited {turn.waited_ms:.0f} ms"
    name, ms = max(turn.stages.items(), key=lambda stage: stage[1])
    what = STAGES.get(name, f"for {name}")
    return f"waited {turn.waited_ms:.0f} ms, {ms:.0f} of them {what}"


LANES = (
    Lane("seconds", 20, _axis),
    Lane("caller", 80, _caller),
    Lane("words", 82, _words),
    Lane("turn-taking", 60, _decisions),
    Lane("call", 28, _states),
    Lane("waiting", 46, _waits),
    Lane("speculation", 46, _guesses),
    Lane("assistant", 80, _assistant),
    Lane("sentences", 30, _sentences),
)
