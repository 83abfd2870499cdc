"""The ear of a call, as its policy, its profile and the settings want it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from apps.core.policy import PolicySlots
from apps.dispatcher.services import CallOptions, Services
from apps.voice.ear import Ear, Heard
from apps.voice.stt.base import SpeechToText
from apps.voice.turn_taking import BARGE_IN_MS, TurnOptions


def make_ear(
    stt: SpeechToText | None,
    options: CallOptions,
    slots: PolicySlots,
    services: Services,
    tell: Callable[[Heard], None],
    tasks: asyncio.TaskGroup,
) -> Ear | None:
    """Return the ear of a call, or None when there is no recogniser for it.

    Args:
        stt: The recogniser of the call's language.
        options: The call's profile and language.
        slots: The call's policy; its sensitivity decides how soon a barge-in is believed.
        services: What all calls share.
        tell: Told of everything heard.
        tasks: The call's task group.
    """
    if stt is None:
        return None
    space, language = options.profile.space, options.language
    return Ear(
        vad=services.new_vad(),
        stt=stt,
        language=language,
        profile=space,
        options=TurnOptions(
            endpoint_ms=services.limits.endpoint_silence_ms,
            barge_in_ms=BARGE_IN_MS[slots.barge_in_sensitivity],
        ),
        tell=tell,
        tasks=tasks,
        bias_words=services.knowledge.vocabulary(space, language),
    )
