"""The ear of a call, as its policy, its profile and the settings want it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, replace

from apps.core.policy import PolicySlots
from apps.dispatcher.call_log import CallLog
from apps.dispatcher.services import CallOptions, Services
from apps.voice.ear import Ear, Heard
from apps.voice.ear_log import EarLog
from apps.voice.stt.base import SpeechToText
from apps.voice.turn_taking import BARGE_IN_MS, HOLD_MS


def make_ear(
    stt: SpeechToText | None,
    options: CallOptions,
    slots: PolicySlots,
    services: Services,
    tell: Callable[[Heard], None],
    tasks: asyncio.TaskGroup,
    log: CallLog,
) -> Ear | None:
    """Return the ear of a call, or None when there is no recogniser for it.

    Args:
        stt: The recogniser of the call's language.
        options: The call's profile and language.
        slots: The call's policy; its sensitivity decides how soon a barge-in is believed.
        services: What all calls share.
        tell: Told of everything heard.
        tasks: The call's task group.
        log: The call's event log; it keeps what turn-taking saw and decided.
    """
    if stt is None:
        return None
    space, language = options.profile.space, options.language
    sensitivity = slots.barge_in_sensitivity
    turns = replace(
        services.limits.turns,
        language=language,
        hold_ms=HOLD_MS[sensitivity],
        barge_in_ms=BARGE_IN_MS[sensitivity],
    )
    log.note("ear.options", **asdict(turns))
    return Ear(
        vad=services.new_vad(),
        stt=stt,
        profile=space,
        options=turns,
        tell=tell,
        tasks=tasks,
        bias_words=services.knowledge.vocabulary(space, language),
        log=EarLog(lambda kind, data: log.note(kind, **data)),
    )
