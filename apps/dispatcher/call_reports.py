"""What a call tells the caller's side and its event log: each fact once to both."""

from __future__ import annotations

from typing import Any

import structlog

from apps.core.errors import TransferFailed
from apps.core.events import CallEvent
from apps.dispatcher.call_log import CallLog
from apps.dispatcher.rt_fsm import CallSession
from apps.dispatcher.services import CallOptions, Services
from apps.dispatcher.turn import Stages
from apps.llm.style import Line, wording
from apps.voice.doors.base import Door
from apps.voice.doors.messages import PROTOCOL_VERSION
from apps.voice.ear import Heard
from apps.voice.stt.base import SpeechToText, Transcript

log = structlog.get_logger(__name__)


class CallReports:
    """Reports of one call.

    Args:
        door: Where the caller is.
        session: The call and its policy.
        options: The call's profile and language.
        services: What all calls share.
        events: The call's event log.
    """

    def __init__(
        self,
        door: Door,
        session: CallSession,
        options: CallOptions,
        services: Services,
        events: CallLog,
    ) -> None:
        self._door, self._session, self._options = door, session, options
        self._services, self._events = services, events

    async def started(self, stt: SpeechToText | None, *, recorded: bool = False) -> None:
        """Tell that the call is taken, by which engines and, to observers, under which policy."""
        language = self._options.language
        tts = self._services.tts.get(language)
        decision = self._session.decision
        started: dict[str, Any] = {
            "protocol": PROTOCOL_VERSION,
            "profile": self._options.profile.id,
            "language": language,
            "engines": {
                "stt": stt.name if stt else None,
                "tts": tts.name if tts else None,
                "llm": self._services.generator.name,
            },
            "listening": stt is not None,
        }
        request = self._door.request
        if request.direction == "outgoing":
            started |= {"direction": request.direction, "purpose": request.purpose}
        if recorded:
            started["recorded"] = True
        self._events.note("call.started", **started, variant=decision.variant)
        started["call_id"] = self._session.call_id  # told, and never stored
        if self._door.capabilities.observe:
            started |= {
                "policy_variant": decision.variant,
                "propensity": decision.propensity,
                "slots": self._session.slots.as_dict(),
                "why": decision.why,
                "probabilities": dict(decision.propensities),
            }
        await self._door.tell("call.started", started)
        if self._door.capabilities.audio and stt is None:
            log.warning("cannot_hear", why=self._services.deaf.get(language, ""))
            text = wording(language).line(Line.NO_EAR, self._session.slots)
            await self._door.tell("notice", {"code": "cannot_hear", "text": text})

    async def speech(self, heard: Heard) -> None:
        """Tell when the caller's voice began, and when the caller has finished."""
        if heard.kind in ("started", "ended"):
            said = {"role": "caller", "turn_id": None, "utterance": heard.utterance_id}
            await self._door.tell(f"speech.{heard.kind}", said | {"audio_ms": heard.audio_ms})

    async def finished(self, turn_id: int) -> None:
        """Tell that the caller has heard all of a turn."""
        await self._door.tell("speech.ended", {"role": "assistant", "turn_id": turn_id})

    async def transcript(self, transcript: Transcript, utterance_id: int) -> None:
        """Tell what was understood of the caller, for now or finally."""
        said: dict[str, Any] = {"role": "caller", "text": transcript.text}
        which = {"utterance": utterance_id}
        if not transcript.is_final:
            self._events.note("partial", text=transcript.text)
            await self._door.tell("transcript.partial", said | which)
            return
        sure = transcript.confidence
        said["confidence"] = None if sure is None else round(sure, 3)
        said["model"] = transcript.model
        self._events.note("transcript", **which, **said)
        if transcript.text:
            await self._door.tell("transcript.final", {**said, **which, "turn_id": None})

    async def rating_asked(self, turn_id: int) -> None:
        """Tell that the rating question is put, and how it can still be answered afterwards."""
        asked: dict[str, Any] = {"turn_id": turn_id}
        if self._door.capabilities.rates_later:
            asked["rating_token"] = self._services.router.rating_token(self._session)
        await self._door.tell("rating.asked", asked)

    async def latency(self, turn_id: int, stages: Stages) -> None:
        """Tell how long the caller waited for an answer, by stage."""
        total_ms, shares = stages.total_ms(), stages.shares()
        if total_ms is None:
            return
        self._events.note("turn.latency", turn_id, ms=total_ms, stages=shares)
        for stage, ms in (*shares.items(), ("total", total_ms)):
            self._services.metrics.turn_stage(stage, ms)  # type: ignore[arg-type]
        told = {"turn_id": turn_id, "ms": total_ms, "stages": shares}
        await self._door.tell("turn.latency", told)

    async def heard(self, turn_id: int, text: str) -> None:
        """Tell how much of an interrupted turn the caller heard."""
        self._events.note("heard", turn_id, text=text)
        await self._door.tell("heard", {"turn_id": turn_id, "text": text})

    async def transfer(self, summary: str) -> CallEvent:
        """Hand the caller over to a person, and return what came of it."""
        handover = self._options.profile.handover
        target = handover.target if handover else ""
        self._events.note("transfer", target=target, summary=summary)
        try:
            await self._door.transfer(target, summary)
        except TransferFailed as error:
            log.error("transfer_failed", door=self._door.name, reason=error.message)
            self._events.note("transfer.failed", reason=error.code)
            return CallEvent.TRANSFER_FAILED
        self._services.metrics.handover()
        return CallEvent.TRANSFERRED
