"""Shows a call as it happens: both sides' words, the state, the policy, latency, and the reward."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

_WIDTH = 11


class CallPrinter:
    """Prints a call's events, readable in a terminal and in a log.

    Args:
        console: Where to.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._before: Mapping[str, float] = {}

    def show(self, event: Mapping[str, Any]) -> None:
        """Print one event; kinds that say nothing to a person are left out."""
        show = getattr(self, "_show_" + event["type"].replace(".", "_"), None)
        if show is not None:
            show(event)

    def _line(self, who: str, style: str, text: str) -> None:
        self._console.print(f"[{style}]{who:>{_WIDTH}}[/]  {text}", soft_wrap=True)

    def _show_call_started(self, event: Mapping[str, Any]) -> None:
        engines = ", ".join(f"{role} {name}" for role, name in event["engines"].items() if name)
        self._line("call", "bold", f"{event['profile']} in {event['language']}; {engines}")
        if "policy_variant" not in event:
            return
        self._before = event["probabilities"]
        slots = ", ".join(f"{name} {value}" for name, value in event["slots"].items())
        self._line("policy", "magenta", f"{event['policy_variant']}: {slots}")
        self._line("", "magenta", f"[dim]{escape(event['why'])}[/]")

    def _show_state(self, event: Mapping[str, Any]) -> None:
        self._line("state", "dim", f"[dim]{event['state']}[/]")

    def _show_transcript_final(self, event: Mapping[str, Any]) -> None:
        if event["role"] == "caller":
            told = event["confidence"] is not None
            confidence = f"{event['confidence']:.2f}, " if told else ""
            sure = f"  [dim]({confidence}{event['model']})[/]"
            self._line("caller", "bold cyan", escape(event["text"]) + sure)
        else:
            sources = ", ".join(_cited(event))
            cited = f"  [dim]\\[{escape(sources)}][/]" if sources else ""
            self._line("TOM", "bold green", escape(event["text"]) + cited)

    def _show_heard(self, event: Mapping[str, Any]) -> None:
        text = escape(event["text"]) or "nothing"
        self._line("interrupted", "yellow", f"[dim]heard until then: {text}[/]")

    def _show_turn_latency(self, event: Mapping[str, Any]) -> None:
        shares = ", ".join(f"{stage} {ms:.0f}" for stage, ms in event["stages"].items())
        self._line("latency", "blue", f"{event['ms']:.0f} ms voice to voice  [dim]({shares})[/]")

    def _show_notice(self, event: Mapping[str, Any]) -> None:
        self._line("notice", "yellow", escape(event["text"]))

    def _show_error(self, event: Mapping[str, Any]) -> None:
        self._line("error", "red", f"{escape(event['message'])} {escape(event['hint'])}")

    def _show_transfer(self, event: Mapping[str, Any]) -> None:
        self._line("transfer", "bold", f"to {event['target']}: {escape(event['summary'])}")

    def _show_rating(self, event: Mapping[str, Any]) -> None:
        stars = event["stars"]
        self._line("rating", "bold", f"{stars} of 5" if stars else "none")

    def _show_reward(self, event: Mapping[str, Any]) -> None:
        if event["value"] is None:
            self._line("reward", "bold", "none: the call ended before its first answer")
        else:
            parts = ", ".join(f"{name} {part:+.3f}" for name, part in event["components"].items())
            missing = f"; not known: {', '.join(event['missing'])}" if event["missing"] else ""
            self._line("reward", "bold", f"{event['value']:+.3f}  [dim]({parts}{missing})[/]")
        if event.get("learned", True) and event["value"] is not None:
            self._console.print(probabilities(self._before, event["probabilities"]))
        else:
            why = "" if event["value"] is None else _why_not(event.get("held"))
            self._line("", "dim", f"[dim]Nothing was learned from this call.{why}[/]")

    def _show_call_ended(self, event: Mapping[str, Any]) -> None:
        self._line("call", "bold", f"ended: {event['reason']} after {event['duration_s']:.1f} s")


def _why_not(held: str | None) -> str:
    if held is not None:
        return f" It is held ({held}) until somebody looks at it: tom rl held."
    return " It was a trial, or learning is switched off."


def probabilities(before: Mapping[str, float], after: Mapping[str, float]) -> Table:
    """Return the choice probabilities of all variants, before and after a call, as a table."""
    table = Table(title="Choice probabilities of the next call", title_justify="left")
    for name in ("variant", "before", "after", "change"):
        table.add_column(name, justify="left" if name == "variant" else "right")
    for variant in sorted(after):
        old, new = before.get(variant, 0.0), after[variant]
        change = round(new - old, 4) + 0.0  # no minus before a zero
        style = "green" if change > 5e-5 else "red" if change < -5e-5 else "dim"
        table.add_row(variant, f"{old:.4f}", f"{new:.4f}", f"[{style}]{change:+.4f}[/]")
    return table


def _cited(event: Mapping[str, Any]) -> list[str]:
    """Return what a sentence was made from: an entry's address, a document's title and page."""
    documents = {
        citation["source"]: f"{citation['title']}, p. {citation['page']}"
        if citation.get("page")
        else str(citation["title"])
        for citation in event.get("citations", [])
        if citation.get("document")
    }
    return [documents.get(source, source) for source in event.get("sources", [])]
