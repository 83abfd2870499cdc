"""Judges one event: does it count, with which reward, and why. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from apps.rl.abuse.checks import CHECKS, CHECKS_OF_ABANDONED
from apps.rl.abuse.evidence import History, Limits, Reason, Told
from apps.rl.abuse.quality import Quality, quality
from apps.rl.abuse.winsor import winsorised


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of an event.

    Attributes:
        held: Why it does not count; None for a sound one.
        reward: What counts, or would count: the reward, winsorised.
        quality: How far it looks like a caller's.
    """

    held: Reason | None
    reward: float
    quality: Quality


def judge_abandoned(event: Told, history: History, limits: Limits) -> Reason | None:
    """Return why a call that ended before its first answer does not count; None if it does.

    Args:
        event: The event; its reward means nothing.
        history: What came before it: of the caller, abandoned calls too.
        limits: What is too much.
    """
    found = (why for why, holds in CHECKS_OF_ABANDONED if holds(event, history, limits))
    return next(found, None)


def judge(event: Told, history: History, limits: Limits) -> Verdict:
    """Return what becomes of a rewarded event.

    Args:
        event: The event, before it is stored.
        history: What came before it.
        limits: What is too much.
    """
    found = quality(event, history, limits)
    held = next((why for why, holds in CHECKS if holds(event, history, limits)), None)
    if held is None and found.score < limits.quality_floor:
        held = Reason.LOW_QUALITY
    # A call's own earlier event, which a revision replaces, must not judge it.
    latest = [
        p.reward for p in history.of_variant if p.call_ref != event.call_ref or not p.call_ref
    ]
    counted = winsorised(event.reward, latest, limits.winsorise, limits.winsorise_from)
    return Verdict(held, counted, found)
