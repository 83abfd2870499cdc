"""Makes parts of one call from what all calls share."""

from __future__ import annotations

from apps.core.person import Person
from apps.dispatcher.call_log import CallLog
from apps.dispatcher.call_state import Timer
from apps.dispatcher.caller_input import CallerInput, key_menu
from apps.dispatcher.conversation import Conversation
from apps.dispatcher.draft import Voice
from apps.dispatcher.metering import Meter
from apps.dispatcher.rt_fsm import CallSession
from apps.dispatcher.services import CallOptions, Limits, Services
from apps.dispatcher.speculation import Speculator
from apps.dispatcher.turn import Answers, NameSources
from apps.voice.doors.base import Door

TYPING_PATIENCE = 10.0
"""So many times longer a typed call waits for the caller than a spoken one."""


def new_input(
    door: Door, conversation: Conversation, options: CallOptions, services: Services
) -> CallerInput:
    """Return what reads a caller's input."""
    return CallerInput(
        conversation,
        key_menu(options.profile, options.language, services.knowledge),
        options.profile.person(services.clock(), reachable=door.capabilities.transfer),
    )


def new_speculator(
    session: CallSession,
    conversation: Conversation,
    person: Person,
    voice: Voice | None,
    log: CallLog,
    options: CallOptions,
    services: Services,
) -> Speculator:
    """Return what drafts a call's answers."""
    profile = options.profile
    answers = Answers(
        conversation,
        services.knowledge,
        services.generator,
        profile.space,
        options.office,
        person,
        profile.spaces,
        session.call_ref,
        NameSources(profile.name_sources),
        session.decision.adapter or "",
    )
    return Speculator(
        answers,
        voice,
        log,
        services.metrics,
        enabled=services.limits.speculate,
        new_account=Meter(log, services.put_usage).account,
    )


def delays_s(limits: Limits, *, typed: bool) -> dict[Timer, float]:
    """Return how long a call waits for its caller."""
    patience = TYPING_PATIENCE if typed else 1.0
    return {Timer.NO_INPUT: limits.no_input_s * patience, Timer.RATING: limits.rating_s * patience}
