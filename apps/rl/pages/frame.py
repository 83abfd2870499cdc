"""One HTML page that needs nothing else: its head and style, tables, and figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape

from apps.core.clock import utc_hour
from apps.rl.pages.drawing import Plot

_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1f24; --muted: #6e7781;
  --line: #d0d7de; --first: #0550ae; --second: #a04100; --third: #1a7f37; --fourth: #8250df;
  --fifth: #bf3989; --sixth: #9a6700; --seventh: #0e7490; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181d; --ink: #e6e9ec; --muted: #9aa4ae;
  --line: #3a424b; --first: #79b8ff; --second: #ffab70; --third: #7ee787; --fourth: #d2a8ff;
  --fifth: #ff9bce; --sixth: #e3b341; --seventh: #56d4dd; } }
body { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif;
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
a { color: var(--first); }
.verdict { border-left: 4px solid var(--first); padding: .4rem 1rem; font-size: 1.1rem; }
.bad { border-color: var(--second); }
.scroll { overflow-x: auto; margin: 1rem 0; } .said { min-width: 16rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--muted); padding-bottom: .3rem; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid var(--line);
  vertical-align: top; }
tbody th { white-space: nowrap; }
figure { margin: 1rem 0; } figure svg { width: 100%; height: auto; max-width: 46rem; }
figcaption { color: var(--muted); }
"""
_SENTENCE = 40  # longer text needs room, or a narrow screen makes a tower of it


def page(title: str, body: Iterable[str]) -> str:
    """Return the whole page.

    Args:
        title: Its title, which the heading repeats.
        body: Its parts, as HTML.
    """
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><main><h1>{escape(title)}</h1>\n{chr(10).join(body)}</main></body></html>\n"
    )


def when(made: datetime) -> str:
    """Return a time cut to the hour, as HTML."""
    hour = utc_hour(made)
    return f'<time datetime="{hour.isoformat()}">{hour:%Y-%m-%d, %H} h UTC</time>'


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table, whose first column names the rows, as HTML."""
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join(
        "<tr>"
        + f'<th scope="row">{escape(row[0])}</th>'
        + "".join(_cell(text) for text in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{top}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(text: str) -> str:
    kind = ' class="said"' if len(text) > _SENTENCE else ""
    return f"<td{kind}>{escape(text)}</td>"


def figure(number: int, plot: Plot) -> str:
    """Return a plot with its title and what it says, as HTML.

    Args:
        number: Its own on the page.
        plot: The plot.
    """
    # Ids inside the drawings are the same in each: they must not meet on one page.
    svg = plot.svg.replace('id="', f'id="p{number}-').replace("url(#", f"url(#p{number}-")
    svg = svg.replace('href="#', f'href="#p{number}-')
    return (
        f'<h2 id="plot{number}">{escape(plot.title)}</h2>'
        f'<figure role="img" aria-labelledby="plot{number}" aria-describedby="said{number}">{svg}'
        f'</figure><p id="said{number}">{escape(plot.text)}</p>'
    )
