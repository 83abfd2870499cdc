"""What a call is given: the engines and stores that all calls share, and its own options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from apps.core.clock import utc_now
from apps.core.passages import ENTRIES_ALONE, Passage, Within
from apps.dispatcher.call_log import LogSink
from apps.dispatcher.profile import Language, Profile
from apps.dispatcher.rt_fsm import PolicyRouter
from apps.dispatcher.shadow import Shadow
from apps.llm.base import Generator
from apps.monitor.metrics import Metrics
from apps.store.llm_usage import UsageRow
from apps.voice.sealed import SealingKey
from apps.voice.stt.base import SpeechToText
from apps.voice.tts.base import TextToSpeech
from apps.voice.turn_options import TurnOptions
from apps.voice.vad import VoiceActivity


class Knowledge(Protocol):
    """What a call needs of the knowledge base."""

    async def search(
        self,
        query: str,
        *,
        language: str,
        profile: str,
        k: int = 5,
        within: Within = ENTRIES_ALONE,
    ) -> tuple[Passage, ...]:
        """Return the passages that may answer a question, best first."""
        ...

    def vocabulary(self, profile: str, language: str, limit: int = 50) -> tuple[str, ...]:
        """Return terms that a recogniser should favour."""
        ...

    def question(self, profile: str, language: str, entry_id: str) -> str | None:
        """Return an entry's canonical question, or None when there is no such entry."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """The waits and bounds of every call.

    Attributes:
        turns: How turns are taken; the language and what the policy governs are the call's.
        no_input_s: Silence before the caller is asked again.
        rating_s: Silence before no rating is taken for an answer.
        max_call_s: A call is closed politely after this.
        engine_wait_s: How long speech waits for an engine that is being restarted.
        speculate: Whether answers are drafted before the caller has surely finished.
        filler_after_ms: An answer that takes longer is announced ("One moment, please."); 0 never.
    """

    turns: TurnOptions = field(default_factory=TurnOptions)
    no_input_s: float = 8.0
    rating_s: float = 6.0
    max_call_s: float = 1800.0
    engine_wait_s: float = 5.0
    speculate: bool = True
    filler_after_ms: float = 1500.0


@dataclass(frozen=True, slots=True)
class Services:
    """Shared by all calls of a server; main.py builds it.

    Attributes:
        profiles: By id.
        router: Chooses policies and learns from calls.
        knowledge: The knowledge base.
        generator: Words the answers.
        stt: A recogniser by language; a language without one cannot be heard.
        tts: A synthesiser by language.
        deaf: Why a language has no recogniser, in a sentence with its hint.
        new_vad: Makes a voice activity detector for one call.
        log_sink: Where the calls' event logs go.
        metrics: The server's metrics.
        limits: The waits and bounds of every call.
        recordings: Folder for stereo recordings, or None when recording is off.
        recording_key: Seals them; there is one where there is a folder.
        recording_disk: The thread that writes them; None writes at once.
        clock: Tells the time of day (opening hours).
        shadow: Answers turns in the place of variants that no caller hears yet; may be None.
        put_usage: Takes what answers cost; None where nobody keeps it.
        server: What this server's calls are marked with; None where nobody could tell it died.
    """

    profiles: Mapping[str, Profile]
    router: PolicyRouter
    knowledge: Knowledge
    generator: Generator
    stt: Mapping[str, SpeechToText]
    tts: Mapping[str, TextToSpeech]
    new_vad: Callable[[], VoiceActivity]
    log_sink: LogSink
    deaf: Mapping[str, str] = field(default_factory=dict)
    metrics: Metrics = field(default_factory=Metrics)
    limits: Limits = field(default_factory=Limits)
    recordings: Path | None = None
    recording_key: SealingKey | None = None
    recording_disk: ThreadPoolExecutor | None = None
    clock: Callable[[], datetime] = utc_now
    shadow: Shadow | None = None
    put_usage: Callable[[UsageRow], None] | None = None
    server: str | None = None


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What one call runs with.

    Attributes:
        profile: Who answers.
        language: The call's language.
    """

    profile: Profile
    language: Language

    @property
    def office(self) -> str:
        """The name by which the profile answers in the call's language."""
        return self.profile.office[self.language]
