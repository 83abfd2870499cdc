"""Finds feedback that no honest caller gives, holds it, and bounds what a single one can move.

``judge`` is pure; ``Sieve`` asks the store for what came before, inside the transaction in which
the event is appended. docs/abuse.md tells what is held and how it is released.
"""

from apps.rl.abuse.evidence import History, Limits, Peer, Reason, Told
from apps.rl.abuse.judge import Verdict, judge
from apps.rl.abuse.quality import Quality, quality
from apps.rl.abuse.sieve import Sieve

__all__ = [
    "History",
    "Limits",
    "Peer",
    "Quality",
    "Reason",
    "Sieve",
    "Told",
    "Verdict",
    "judge",
    "quality",
]
