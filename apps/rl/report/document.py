"""The report as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

from apps.rl.guard.health import HealthLevel
from apps.rl.pages.drawing import Plot
from apps.rl.pages.frame import figure, page, when
from apps.rl.report import tables
from apps.rl.report.findings import Findings
from apps.rl.report.plots import TITLES


@dataclass(frozen=True, slots=True)
class _Section:
    """A plot with its table, and what is said where there is neither."""

    name: str
    title: str
    nothing: str
    table: Callable[[Findings], str]


_SECTIONS = (
    _Section("posteriors", TITLES["posteriors"], "No reward was counted yet.", tables.posteriors),
    _Section("traffic", TITLES["traffic"], "No call has been served yet.", tables.traffic),
    _Section("acts", TITLES["acts"], "Nothing was done yet.", tables.acts),
    _Section("regret", TITLES["regret"], "Too little is known to say.", tables.regret),
    _Section("makeup", TITLES["makeup"], "No call has been rewarded yet.", tables.makeup),
    _Section("ratings", TITLES["ratings"], "Nobody was asked for a rating yet.", tables.ratings),
    _Section("policies", TITLES["policies"], "No call to evaluate on yet.", tables.policies),
)


def document(found: Findings, drawn: Mapping[str, Plot], *, made: datetime) -> str:
    """Return the page.

    Args:
        found: What it shows.
        drawn: Its plots, by section; one without has its table alone, or says why it has none.
        made: When; cut to the hour.
    """
    body = [
        f"<p>{when(made)}. {escape(_source(found))}</p>",
        _health(found),
        _unknown(found.unknown),
        "<h2>Where every variant stands</h2>",
        tables.variants(found),
    ]
    for number, section in enumerate(_SECTIONS):
        plot = drawn.get(section.name)
        body.append(figure(number, plot) if plot else f"<h2>{escape(section.title)}</h2>")
        body.append(section.table(found) or f"<p>{escape(section.nothing)}</p>")
    body += ["<h2>Feedback that is held</h2>", tables.held(found) or "<p>None.</p>"]
    return page("What the assistant has learned", body)


def _source(found: Findings) -> str:
    gathered = found.material.history.gathered
    callers = len({call.caller for call in gathered.calls})
    cut = len(gathered.calls) == found.material.newest
    left = "; ".join(f"{n} {why}" for why, n in sorted(gathered.left_out.items()))
    return (
        f"{len(found.material.history.decisions)} calls were given a variant,"
        f" {len(gathered.calls)} of {callers} callers have a reward that counts, up to feedback"
        f" {gathered.source.last_feedback} of store {gathered.source.store}."
        + (f" The others: {left}." if left else "")
        + (f" Older calls are left out: the newest {len(gathered.calls)} count." if cut else "")
        + (" All callers were simulated: the store is a sandbox." if found.material.sandbox else "")
    )


def _health(found: Findings) -> str:
    health = found.material.health
    said = " ".join(health.findings)
    kind = "verdict" if health.level is HealthLevel.OK else "verdict bad"
    return (
        f'<p class="{kind}" role="status"><strong>Health: {escape(health.level.value)}.</strong>'
        f" {escape(said)}</p>"
    )


def _unknown(sentences: Sequence[str]) -> str:
    if not sentences:
        return ""
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f"<h2>What is not known</h2><ul>{items}</ul>"
