"""Draws the committed figures: voice to voice, frame lateness and processor time by calls at once.

.venv-pipecat/bin/python -m benchmarks.pipecat.plot results.json results.svg
"""
# mypy: ignore-errors
# Matplotlib lives in the benchmark's own environment.

import json
import sys
from pathlib import Path

from matplotlib import pyplot, rcParams

pyplot.switch_backend("svg")
rcParams["svg.hashsalt"] = "tom"

PANELS = (
    ("voice to voice, median, ms", "v2v_p50_ms"),
    ("barge-in to silence, p95, ms", "stop_p95_ms"),
    ("frame lateness, p99, ms", "late_p99_ms"),
    ("processor, % of a core a call", "cpu_per_call_percent"),
)
LOOKS = {
    "tom": ("TOM", "#1b6ca8", "o"),
    "pipecat-silence": ("Pipecat 1.14, 192 ms of silence", "#d1603d", "s"),
    "pipecat-smart": ("Pipecat 1.14, Smart Turn v3", "#e0a030", "^"),
}


def draw(result: dict, out: Path) -> None:
    """Draw one panel a figure; a step that broke is drawn hollow."""
    figure, axes = pyplot.subplots(1, len(PANELS), figsize=(4 * len(PANELS), 3.6))
    for axis, (title, key) in zip(axes, PANELS, strict=True):
        for kind, steps in result["kinds"].items():
            label, colour, marker = LOOKS[kind]
            points = [(s["calls"], s[key], s["broken"]) for s in steps if s[key] is not None]
            axis.plot([p[0] for p in points], [p[1] for p in points], color=colour, label=label)
            for calls, value, broken in points:
                face = "white" if broken else colour
                axis.plot([calls], [value], marker, color=colour, markerfacecolor=face)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("calls at once on one core", fontsize=9)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    axes[2].set_yscale("symlog", linthresh=20)
    axes[2].set_ylim(0, max(100.0, axes[2].get_ylim()[1]))
    axes[0].legend(fontsize=8)
    on = result["machine"]
    caption = f"{on['processor']}, {on['cores']} cores, {on['system']}, Python {on['python']}"
    figure.text(0.01, 0.01, f"{caption}, {on['on']}", fontsize=7)
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    figure.savefig(out, metadata={"Date": None})


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
