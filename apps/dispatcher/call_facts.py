"""What happened in a call, as learning sees it; pure."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace

from apps.dispatcher.call_state import EndReason
from apps.rl.signals import CallFacts, TurnFacts, is_abandoned
from apps.store.feedback import Flag


def call_facts(
    reason: EndReason,
    closing: EndReason,
    *,
    turns: tuple[TurnFacts, ...],
    barge_ins: int,
    duration_s: float,
    conditions: Mapping[str, float],
    flags: Set[Flag],
    answering: bool,
) -> CallFacts:
    """Return the facts of a call that has ended.

    Args:
        reason: Why it ended.
        closing: Why it was being closed by then.
        turns: The caller's, in order.
        barge_ins: Those that count.
        duration_s: From the answering to the closing.
        conditions: Under which it was held.
        flags: What went wrong in it so far.
        answering: An answer was sounding when it ended; "what else can I do for you?" is none.
    """
    facts = CallFacts(
        turns=turns,
        # Hanging up while the system closes the call is no sign of content.
        ended_by_caller=reason in (EndReason.COMPLETED, EndReason.CALLER_HUNG_UP)
        and closing is EndReason.COMPLETED,
        handed_over=reason is EndReason.HANDOVER,
        barge_ins=barge_ins,
        duration_s=duration_s,
        conditions=conditions,
    )
    left = reason is EndReason.CALLER_HUNG_UP and (is_abandoned(facts) or answering)
    return replace(facts, flags=tuple(sorted(flags | {Flag.HANG_UP} if left else flags)))
