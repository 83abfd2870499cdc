"""The figures as Markdown tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.pipecat.table import LATE_MS

ENOUGH_CALLS: Mapping[str, int] = {"twilio": 60, "sip": 60, "webrtc": 20}
ADDED_MS: Mapping[str, float] = {"websocket": 5.0, "sip": 45.0, "webrtc": 70.0}
BACK_MS = 20.0
LOADED_CLIENT_MS = 10.0
"""Callers that are later than this at the p99 may themselves be what is measured."""


def held(steps: Sequence[Mapping[str, Any]]) -> int:
    """Return the most calls at once that were all complete and in time."""
    return max((step["calls"] for step in steps if _in_time(step)), default=0)


def load_table(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return the calls at once of each door, a row a step."""
    rows: list[tuple[str, ...]] = [
        (
            "door",
            "calls at once",
            "complete",
            "lines answered",
            "frame lateness p99, ms",
            "voice to voice p50 / p95, ms",
            "CPU-seconds a call-second",
            "memory a call, MB",
            "callers' own lateness p99, ms",
        )
    ]
    rows += [_load_row(door, step) for door, steps in found.items() for step in steps]
    return _markdown(rows)


def _load_row(door: str, step: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        door,
        str(step["calls"]),
        str(step["held"]),
        f"{step['lines'] - step['missed'] - step['cuts']} of {step['lines']}",
        _number(step["late_p99_ms"]) + ("" if _in_time(step) else ": missed"),
        f"{_number(step['v2v_p50_ms'])} / {_number(step['v2v_p95_ms'])}",
        _share(step["cpu_per_call_percent"]),
        _number(step["mb_per_call"], 1),
        _own(step["client_late_p99_ms"]),
    )


def added_table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what each door adds, a row a door."""
    rows: list[tuple[str, ...]] = [
        (
            "door",
            "there and back p50, ms",
            "p95",
            "aim",
            "bad network p50",
            "p95",
            "tones lost in it",
            "the 3 s after it p50",
            "from 3 s on p50",
            "callers' own lateness p99, ms",
        )
    ]
    rows += [_added_row(door, told) for door, told in found.items()]
    return _markdown(rows)


def _added_row(door: str, told: Mapping[str, Any]) -> tuple[str, ...]:
    good, bad, aim = told["good"], told.get("bad"), ADDED_MS.get(door)
    return (
        door,
        _number(good["p50_ms"], 1),
        _number(good["p95_ms"], 1),
        "-" if aim is None else f"{aim:.0f}",
        _of(bad, "p50_ms"),
        _of(bad, "p95_ms"),
        f"{bad['lost']} of {bad['tones']}" if bad else "-",
        _of(told.get("just_after"), "p50_ms"),
        _of(told.get("after"), "p50_ms"),
        _own(told["client_late_p99_ms"]),
    )


def verdicts(
    load: Mapping[str, Sequence[Mapping[str, Any]]], added: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Return a sentence for each aim, whether it was met."""
    said = []
    for door, calls in ENOUGH_CALLS.items():
        if max((step["calls"] for step in load.get(door, ())), default=0) >= calls:
            met = held(load[door]) >= calls
            said.append(f"{_met(met)}: {door} holds {held(load[door])} calls, the aim is {calls}.")
    for door, aim in ADDED_MS.items():
        if door not in added:
            continue
        good = added[door]["good"]["p50_ms"]
        met = good is not None and good <= aim
        said.append(f"{_met(met)}: {door} adds {_number(good, 1)} ms, the aim is {aim:.0f}.")
        if after := added[door].get("after"):
            late = after["p50_ms"]
            back = good is not None and late is not None and late - good <= BACK_MS
            more = "-" if good is None or late is None else f"{late - good:+.1f}"
            said.append(
                f"{_met(back)}: {door} 3 s after the bad network: {more} ms, the aim is +20."
            )
    return said


def _in_time(step: Mapping[str, Any]) -> bool:
    late = step["late_p99_ms"]
    return late is not None and late <= LATE_MS and step["held"] == step["calls"]


def _met(met: bool) -> str:
    return "met" if met else "MISSED"


def _of(told: Mapping[str, Any] | None, key: str) -> str:
    return _number(told[key], 1) if told else "-"


def _number(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _own(late_ms: float | None) -> str:
    return _number(late_ms) + (" (too busy)" if (late_ms or 0) > LOADED_CLIENT_MS else "")


def _share(percent: float | None) -> str:
    return "-" if percent is None else f"{percent / 100:.3f}"


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    head, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])
