"""Live calls for tests: fake engines, a scripted caller, and no waiting."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import numpy as np

from apps.core.audio import FRAME_BYTES, FRAME_MS, samples_to_pcm
from apps.core.clock import loop_ms
from apps.core.policy import PolicySlots
from apps.core.resources import resource
from apps.dispatcher.live_call import LiveCall
from apps.dispatcher.profile import load_profiles
from apps.dispatcher.rt_fsm import PolicyRouter
from apps.dispatcher.services import CallOptions, Limits, Services
from apps.knowledge.retriever import Retriever
from apps.llm.answer import GroundedAnswerer
from apps.rl.reward_calc import RewardCalculator
from apps.rl.selector import CallFeedback, Decision, Learned
from apps.rl.signals import is_abandoned, signals_of
from apps.voice.doors.base import (
    CallerAudio,
    CallerDigit,
    CallerHungUp,
    CallerRating,
    CallerText,
    CallRequest,
    Capabilities,
)
from apps.voice.stt.fake import FakeStt
from apps.voice.tts.fake import FakeTts
from apps.voice.vad import EnergyVad

TUESDAY_MORNING = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)
VOICE = samples_to_pcm(
    (8000 * np.sin(np.arange(FRAME_BYTES // 2) * 2 * np.pi * 200 / 16000)).astype(np.int16)
)
QUIET = b"\0" * FRAME_BYTES
_retriever: list[Retriever] = []


def knowledge() -> Retriever:
    """Return the sample knowledge base, indexed once."""
    if not _retriever:
        _retriever.append(Retriever.from_folder(resource("knowledge")))
    return _retriever[0]


class StubSelector:
    """Gives every call the same policy and keeps what it was taught."""

    def __init__(self, slots: PolicySlots) -> None:
        self.slots = slots
        self.taught: list[CallFeedback] = []

    async def choose(self, call_ref: str, context: Mapping[str, object], **_: Any) -> Decision:
        return Decision("v1a", 0.9, {"v1a": 0.9}, {}, "because", True, 0, self.slots)

    async def learn(self, call_ref: str, feedback: CallFeedback) -> Learned:
        self.taught.append(feedback)
        signals = signals_of(feedback.facts, feedback.rating)
        reward = None if is_abandoned(feedback.facts) else RewardCalculator().calculate(signals)
        return Learned("v1a", signals, reward, stored=True, learns=True)

    async def outlook(self) -> Any:
        return SimpleNamespace(probabilities={"v1a": 1.0})


class ListSink:
    """Keeps a call's event log in memory."""

    def __init__(self) -> None:
        self.records: list[Any] = []

    def put(self, call_ref: str, record: Any) -> bool:
        self.records.append(record)
        return True

    def kinds(self) -> list[str]:
        return [record.kind for record in self.records]


class ScriptedDoor:
    """A caller who acts on cue: each step of the script waits for a state, then does something."""

    name = "test"
    unplayed_ms = 0.0

    def __init__(self, *script: Any, audio: bool = True, language: str = "en") -> None:
        self.script = list(script)
        self.request = CallRequest("kfz", language)
        self.capabilities = Capabilities(audio=audio, transfer=True, observe=True)
        self.told: list[dict[str, Any]] = []
        self.frames: list[float] = []
        self.flushed: list[float] = []
        self.closed: str | None = None
        self._voice_left = 0

    async def events(self):
        while True:
            if self.script and self._is_time_for(self.script[0]):
                _, action = self.script.pop(0)
                if isinstance(action, int | float):
                    self._voice_left = int(action / FRAME_MS)
                else:
                    yield action
                    if isinstance(action, CallerHungUp):
                        return
            if self.capabilities.audio:
                speaking = self._voice_left > 0
                self._voice_left -= speaking
                yield CallerAudio(VOICE if speaking else QUIET)
            await asyncio.sleep(FRAME_MS / 1000)

    def _is_time_for(self, step: tuple[Any, Any]) -> bool:
        cue, _ = step
        return cue(self) if callable(cue) else self.state == cue and self._voice_left <= 0

    @property
    def state(self) -> str:
        states = self.of("state")
        return states[-1]["state"] if states else ""

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.told if message["type"] == kind]

    def said(self, role: str) -> list[str]:
        return [m["text"] for m in self.of("transcript.final") if m["role"] == role]

    async def play(self, frame: bytes) -> None:
        self.frames.append(loop_ms())

    async def flush(self) -> None:
        self.flushed.append(loop_ms())

    async def tell(self, kind: str, data: Mapping[str, Any]) -> None:
        self.told.append({"type": kind, **data})

    async def transfer(self, target: str, summary: str) -> None:
        await self.tell("transfer", {"target": target, "summary": summary})

    async def close(self, reason: str) -> None:
        self.closed = reason


@dataclass
class Outcome:
    """What is left of a call when it is over."""

    door: ScriptedDoor
    call: LiveCall
    reason: str
    sink: ListSink
    stt: FakeStt
    tts: Any
    services: Services
    facts: Any
    left_over: list[str] = field(default_factory=list)


async def hold_call(
    door: ScriptedDoor,
    *heard: str,
    slots: PolicySlots | None = None,
    tts: Any = None,
    stt: Any = None,
    limits: Limits | None = None,
    generator: Any = None,
    now: datetime = TUESDAY_MORNING,
    base: Any = None,
    profile: Mapping[str, Any] | None = None,
) -> Outcome:
    """Hold one call to its end: the recogniser hears the given lines, utterance by utterance."""
    slots = slots or PolicySlots()
    sink, tts = ListSink(), tts or FakeTts()
    ear = FakeStt(heard) if stt is None else stt
    services = Services(
        profiles=load_profiles(resource("profiles")),
        router=PolicyRouter(StubSelector(slots), b"k" * 32),  # type: ignore[arg-type]
        knowledge=base or knowledge(),
        generator=generator or GroundedAnswerer(),
        stt={"en": ear, "de": ear} if ear else {},
        tts={"en": tts, "de": tts},
        new_vad=EnergyVad,
        log_sink=sink,
        deaf={} if ear else {"de": "No ear for German.", "en": "No ear."},
        limits=limits or Limits(),
        clock=lambda: now,
    )
    own = services.profiles["kfz"].model_copy(update=dict(profile or {}))
    session = await services.router.create("call_1", "kfz")
    call = LiveCall(door, session, CallOptions(own, door.request.language), services)
    reason = await call.run()
    facts = call.facts(reason)
    left_over = [t.get_name() for t in asyncio.all_tasks() if t is not asyncio.current_task()]
    return Outcome(door, call, reason.value, sink, ear, tts, services, facts, left_over)


__all__ = [
    "CallerDigit",
    "CallerHungUp",
    "CallerRating",
    "CallerText",
    "Outcome",
    "ScriptedDoor",
    "hold_call",
]
