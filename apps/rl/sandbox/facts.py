"""What a simulated call's end looks like to the code that ends live calls."""

from __future__ import annotations

from collections.abc import Mapping

from apps.rl.settle import KNOWN_BEFORE, CallFeedback
from apps.rl.signals import CallFacts, TurnFacts
from apps.rl.simulator.outcomes import CallOutcome
from apps.store.feedback import Flag

CONDITIONS = ("stt_confidence", "latency_ms", "noise_db")


def feedback_of(outcome: CallOutcome, context: Mapping[str, object]) -> CallFeedback:
    """Return a call's end such that its signals are the outcome's, a late rating left out.

    Args:
        outcome: How the call ended.
        context: As ``Calls.context`` gives it.
    """
    in_call = outcome.rating_delay_s == 0.0
    return CallFeedback(
        facts=_facts(outcome, context),
        profile=str(context["profile"]),
        rating=outcome.signals.user_rating if in_call else None,
        rating_offered=outcome.rating_offered,
        rating_answered=outcome.rating_answered and in_call,
    )


def known_before(context: Mapping[str, object]) -> dict[str, object]:
    """Return what of a call's context is known when its variant is chosen."""
    return {key: context[key] for key in KNOWN_BEFORE if key in context}


def _facts(outcome: CallOutcome, context: Mapping[str, object]) -> CallFacts:
    signals = outcome.signals
    told = {Flag.HANG_UP: outcome.abandoned, Flag.UNSAFE: outcome.unsafe}
    return CallFacts(
        turns=() if outcome.abandoned else _turns(signals.repeats or 0, signals.resolution),
        handed_over=bool(signals.handover) and not outcome.abandoned,
        barge_ins=signals.barge_in_count or 0,
        duration_s=signals.duration_sec or 0.0,
        flags=tuple(flag for flag, holds in told.items() if holds),
        conditions={key: float(str(context[key])) for key in CONDITIONS},
    )


def _turns(repeats: int, resolution: bool | None) -> tuple[TurnFacts, ...]:
    """Return turns with so many repeats, after which the caller says how it went, or nothing."""
    repeated = (TurnFacts(answered=True, is_repeat=True),) * repeats
    return (*repeated, TurnFacts(answered=True, confirmed=resolution))
