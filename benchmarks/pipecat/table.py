"""Runs of the same step taken together, whether they are broken, and all of them as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.pipecat.measure import percentile, percentile_of_counts

LATE_MS = 20.0
SLOW = 1.5

_COLUMNS = (
    ("calls", "calls"),
    ("held", "held"),
    ("voice to voice p50", "v2v_p50_ms"),
    ("p95", "v2v_p95_ms"),
    ("p99", "v2v_p99_ms"),
    ("cut", "cuts"),
    ("missed", "missed"),
    ("of", "lines"),
    ("stop p50", "stop_p50_ms"),
    ("p95", "stop_p95_ms"),
    ("late p99", "late_p99_ms"),
    ("CPU/call %", "cpu_per_call_percent"),
    ("MB/call", "mb_per_call"),
    ("client late p99", "client_late_p99_ms"),
)


def together(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return one step's figures: all answers, stops and frames of its runs pooled."""
    waits = [ms for run in runs for ms in run["voice_to_voice_ms"]]
    stops = [ms for run in runs for ms in run["barge_in_stop_ms"]]
    late: Counter[float] = Counter()
    for run in runs:
        late.update({float(ms): count for ms, count in run["lateness_ms"].items()})
    shares = [run["cpu_per_call"] for run in runs if run["cpu_per_call"] is not None]
    return {
        "calls": runs[0]["calls"],
        "runs": len(runs),
        "held": sum(run["complete"] for run in runs),
        "lines": sum(run["lines"] for run in runs),
        "cuts": sum(run["cuts"] for run in runs),
        "missed": sum(run["lines"] - run["cuts"] - len(run["voice_to_voice_ms"]) for run in runs),
        "v2v_p50_ms": percentile(waits, 50),
        "v2v_p95_ms": percentile(waits, 95),
        "v2v_p99_ms": percentile(waits, 99),
        "stop_p50_ms": percentile(stops, 50),
        "stop_p95_ms": percentile(stops, 95),
        "late_p99_ms": percentile_of_counts(late, 99),
        "cpu_per_call_percent": round(100 * sum(shares) / len(shares), 2) if shares else None,
        "mb_per_call": round(sum(run["mb_per_call"] for run in runs) / len(runs), 2),
        "idle_mb": round(sum(run["idle_mb"] for run in runs) / len(runs), 1),
        "client_late_p99_ms": percentile([run["sent_late_p99_ms"] or 0.0 for run in runs], 100),
        "broken": False,
    }


def is_broken(step: Mapping[str, Any], single: Mapping[str, Any]) -> bool:
    """Tell whether so many calls are too many: frames too late, answers too slow, calls lost."""
    wait, late, alone = step["v2v_p50_ms"], step["late_p99_ms"], single["v2v_p50_ms"]
    if step["held"] < step["calls"] * step["runs"] or wait is None or late is None:
        return True
    return late > LATE_MS or (alone is not None and wait > SLOW * alone)


def table(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return all figures, a kind after another."""
    out = []
    for kind, steps in found.items():
        held = [step["calls"] for step in steps if not step["broken"]]
        out.append(f"{kind}: {max(held, default=0)} calls on one core")
        out.append("  ".join(name for name, _ in _COLUMNS))
        for step in steps:
            cells = [_cell(step[key]).rjust(len(name)) for name, key in _COLUMNS]
            out.append("  ".join(cells) + ("   broken" if step["broken"] else ""))
        out.append("")
    return "\n".join(out)


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.1f}"
