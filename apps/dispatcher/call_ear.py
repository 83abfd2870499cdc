"""The ear of a call, as its policy, its profile and the settings want it; or none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, replace

from apps.core.audio import FRAME_BYTES, FRAME_MS
from apps.core.clock import loop_ms
from apps.core.policy import PolicySlots
from apps.dispatcher.call_log import CallLog
from apps.dispatcher.services import CallOptions, Services
from apps.voice.completeness import Expecting
from apps.voice.ear import Ear, Heard
from apps.voice.ear_log import EarLog
from apps.voice.stt.base import SpeechToText
from apps.voice.turn_options import BARGE_IN_MS, HOLD_MS

GAP_S = 2.0
"""Without audio for so long, the caller's line is taken for silent."""


class CallEar:
    """Listens to one call's caller; without a recogniser it hears nothing.

    Args:
        stt: The recogniser of the call's language, or None.
        options: The call's profile and language.
        slots: The call's policy; its sensitivity decides how soon a barge-in is believed.
        services: What all calls share.
        log: The call's event log; it keeps what turn-taking saw and decided.
    """

    def __init__(
        self,
        stt: SpeechToText | None,
        options: CallOptions,
        slots: PolicySlots,
        services: Services,
        log: CallLog,
    ) -> None:
        self._stt, self._options, self._slots = stt, options, slots
        self._services, self._log = services, log
        self._ear: Ear | None = None
        self._heard_ms = 0.0
        self._watch: asyncio.TimerHandle | None = None

    def open(self, tasks: asyncio.TaskGroup, tell: Callable[[Heard], None]) -> None:
        """Begin to listen.

        Args:
            tasks: The call's task group.
            tell: Told of everything heard.
        """
        if self._stt is None:
            return
        space, language = self._options.profile.space, self._options.language
        sensitivity = self._slots.barge_in_sensitivity
        turns = replace(
            self._services.limits.turns,
            language=language,
            hold_ms=HOLD_MS[sensitivity],
            barge_in_ms=BARGE_IN_MS[sensitivity],
        )
        self._log.note("ear.options", **asdict(turns))
        self._ear = Ear(
            vad=self._services.new_vad(),
            stt=self._stt,
            profile=space,
            options=turns,
            tell=tell,
            tasks=tasks,
            bias_words=self._services.knowledge.vocabulary(space, language),
            log=EarLog(lambda kind, data: self._log.note(kind, **data)),
        )
        self._heard_ms = loop_ms()
        self._watch_for_gaps()

    def hear(self, pcm: bytes) -> None:
        """Take caller audio of any length in."""
        if self._ear is not None:
            self._heard_ms = loop_ms()
            self._ear.hear(pcm)

    def _watch_for_gaps(self) -> None:
        """Hear silence where audio has stopped coming, or an utterance would never end."""
        gap_ms = loop_ms() - self._heard_ms
        if self._ear is not None and self._ear.busy and gap_ms >= GAP_S * 1000:
            self.hear(bytes(int(gap_ms // FRAME_MS) * FRAME_BYTES))
        self._watch = asyncio.get_running_loop().call_later(GAP_S, self._watch_for_gaps)

    def played(self, pcm: bytes, at_ms: float) -> None:
        """Note a frame of the assistant's that is heard at `at_ms` of loop time: it may echo."""
        if self._ear is not None:
            self._ear.played(pcm, at_ms)

    def playback(self, *, interruptible: bool, asks: bool = False) -> None:
        """Note what the caller hears of the assistant from now on."""
        if self._ear is not None:
            self._ear.playback(interruptible=interruptible, asks=asks)

    def by_hand(self, on: bool) -> None:
        """Note whether the caller's side says when turns end, by `end_turn`."""
        if self._ear is not None:
            self._ear.by_hand(on)

    def end_turn(self, *, discard: bool) -> None:
        """End the caller's turn now, where there is one."""
        if self._ear is not None:
            self._ear.end_turn(discard=discard)

    def expect(self, expecting: Expecting) -> None:
        """Note what the assistant has asked for."""
        if self._ear is not None:
            self._ear.expect(expecting)

    def close(self) -> None:
        """Give up whatever is being recognised."""
        if self._watch is not None:
            self._watch.cancel()
        if self._ear is not None:
            self._ear.close()
