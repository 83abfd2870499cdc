"""The comparison's tables in docs/benchmarks-learning.md, and its figures, out of ``results``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.learning.roster import ROOT

RESULTS = Path(__file__).with_name("results")
PAGE = ROOT / "docs/benchmarks-learning.md"
FIGURES = ROOT / "docs/figures"
Found = Mapping[str, Any]
NOT_WORLDS = ("machine", "seeds", "learners")


def renew() -> None:
    """Write the page's tables anew, and draw the figures."""
    from benchmarks.learning import figures

    found = {file.stem: json.loads(file.read_text("utf-8")) for file in RESULTS.glob("*.json")}
    text = PAGE.read_text(encoding="utf-8")
    for name, block in blocks(found).items():
        begin, end = f"<!-- generated: {name} -->", "<!-- end -->"
        before, found_it, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        if not found_it:
            raise ValueError(f"{PAGE.name} needs a place for {name}")
        text = f"{before}{begin}\n{block}\n{end}{after}"
    PAGE.write_text(text, encoding="utf-8")
    figures.draw(found, FIGURES)


def blocks(found: Found) -> dict[str, str]:
    """Return every table for which there are results."""
    makers: Mapping[str, tuple[str, Callable[[Found], str]]] = {
        "regret": ("scenarios", lambda part: by_world(part, "regret", 0)),
        "bad": ("scenarios", lambda part: by_world(part, "bad", 1)),
        "worst": ("scenarios", lambda part: by_world(part, "worst", 1)),
        "beside": ("scenarios", best_beside),
        "beside-bad": ("scenarios", lambda part: best_beside(part, "beside_bad", 2)),
        "grid": ("tuning", gained),
        "configurations": ("scenarios", parameters),
        "bundled": ("bundled", lambda part: by_world(part, "regret", 1)),
        "bundled-beside": ("bundled", best_beside),
        "bundled-configurations": ("bundled", parameters),
        "speed": ("speed", speeds),
        "live": ("speed", live),
        "agreement": ("off_policy", agreement),
        "rmse": ("off_policy", rmse),
        "coverage": ("off_policy", coverage),
    }
    return {name: make(found[part]) for name, (part, make) in makers.items() if part in found}


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""
    columns = list(head)
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def worlds(part: Found) -> list[str]:
    """Return the names of the scenarios or sets in a part."""
    return [name for name in part if name not in NOT_WORLDS]


def by_world(part: Found, what: str, digits: int) -> str:
    """Return a table of one figure: a row for each learner, a column for each world."""
    names = worlds(part)
    rows = []
    for learner in dict.fromkeys(learner for world in names for learner in part[world]["by"]):
        cells = [part[world]["by"].get(learner) for world in names]
        told = (_cell(c, what, digits, part["seeds"][1]) if c else "-" for c in cells)
        rows.append([learner, *told])
    if what == "regret" and "single" in part[names[0]]:
        cells = [part[world]["single"] for world in names]
        rows.append(
            ["(best single variant)", *(f"{mean:.0f} ± {half:.0f}" for mean, half in cells)]
        )
    return table(["", *(f"`{name}`" for name in names)], rows)


def _cell(found: Found, what: str, digits: int, seeds: int) -> str:
    mean, half = found[what]
    fewer = "" if found["runs"] == seeds else f" ({found['runs']} runs)"
    return f"{mean:.{digits}f} ± {half:.{digits}f}{fewer}"


def best_beside(part: Found, what: str = "beside", digits: int = 0) -> str:
    """Return a table of our best beside the others' best."""
    rows = []
    for world in worlds(part):
        b = part[world][what]
        both = (b["ours"], b["peer"])
        told = [f"{name} {mean:.{digits}f} ± {half:.{digits}f}" for name, mean, half in both]
        rows.append(
            [
                f"`{world}`",
                *told,
                f"{b['runs']}",
                f"{b['ratio']:.2f}",
                f"{b['difference'][0]:+.1f} ± {b['difference'][1]:.1f}",
                "yes" if b["apart"] else "no",
            ]
        )
    head = (
        "",
        "ours",
        "best of the others",
        "runs",
        "ratio",
        "difference, paired",
        "intervals apart",
    )
    return table(head, rows)


def parameters(part: Found) -> str:
    """Return a table of everybody's parameters."""
    rows = []
    for name, known in part["learners"].items():
        options = ", ".join(f"{key} {value}" for key, value in known.items() if key != "from")
        rows.append([name, options or "-", known["from"] or "-"])
    return table(("", "parameters", "from"), rows)


DEFAULTS = (
    "mabwiser-lints(alpha=1)",
    "mabwiser-linucb(alpha=1)",
    "vw-squarecb(gamma=10,rate=0.5)",
    "vw-regcb(mellowness=0.001,rate=0.5)",
    "river-linucb(beta=1)",
    "tensorzero(epsilon=0)",
)
"""What the other libraries take when nothing is said."""


def gained(part: Found) -> str:
    """Return a table of what the others' tuning has brought, in shares of uniform's regret."""
    rows = []
    for default in DEFAULTS:
        name = default.partition("(")[0]
        cells = []
        for what in ("simulator", "bundled"):
            tried = {k: row["mean"] for k, row in part[what].items() if k.startswith(name + "(")}
            if not tried:
                cells += ["-", "-"]
                continue
            best = min(tried, key=lambda k: tried[k])
            cells += [f"{tried[default]:.3f}", f"{tried[best]:.3f} {best.removeprefix(name)}"]
        rows.append([name, *cells])
    return table(("", "scenarios: default", "best", "sets: default", "best"), rows)


def speeds(part: Found) -> str:
    """Return a table of decisions and updates per second."""
    rows = [
        [name, f"{s['decisions']:,.0f}", f"{s['updates']:,.0f}" if s["updates"] else "-"]
        for name, s in part["by"].items()
    ]
    return table(("", "decisions/s", "updates/s"), rows)


def live(part: Found) -> str:
    """Return a table of how long a choice after the guard takes."""
    rows = [[kind, f"{t['p50_ms']:.2f}", f"{t['p99_ms']:.2f}"] for kind, t in part["live"].items()]
    return table(("policy", "p50, ms", "p99, ms"), rows)


def agreement(part: Found) -> str:
    """Return a table of how far ours and obp's values are apart."""
    rows = [[name, f"{gap:.1e}"] for name, gap in part["furthest"].items()]
    return table(("estimator", "largest difference"), rows)


def rmse(part: Found) -> str:
    """Return a table of RMSE: a row for each estimator, a column for each log and target."""
    columns = list(part["rmse"])
    rows = []
    for name in part["rmse"][columns[0]]:
        cells = [part["rmse"][column][name] for column in columns]
        rows.append([name, *(f"{value:.4f} ({behind:.1f})" for value, behind in cells)])
    return table(("", *columns), rows)


def coverage(part: Found) -> str:
    """Return a table of how often the 95 % intervals held the truth."""
    rows = [
        [
            world,
            target,
            f"{c['logs']}",
            f"{c['bias']:+.4f}",
            f"{c['rmse']:.4f}",
            f"{c['covers']:.3f}",
        ]
        for world, targets in part["coverage"].items()
        for target, c in targets.items()
    ]
    return table(("callers", "target", "logs", "bias", "RMSE", "delta interval covers"), rows)


def compact(text: str) -> str:
    """Return indented JSON with its lists of numbers on one line each."""
    return re.sub(r"\[[^\[\]{}]*\]", lambda m: re.sub(r"\s+", " ", m[0]), text)
