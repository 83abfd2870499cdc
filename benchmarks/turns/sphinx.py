"""The embedded recogniser over a recording, in the audio's time: what it tells, and when.

It runs as its worker runs it, one utterance at a time: audio first, and decoding whenever no audio
waits. How long a decode takes is measured as its time on the core, so that what else runs on the
machine changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from apps.core.audio import FRAME_MS, FRAME_SAMPLES
from apps.core.resources import resource
from apps.knowledge.retriever import Retriever
from apps.voice.completeness import Expecting
from apps.voice.ear import RUN_UP_MS
from apps.voice.stt.base import ListenFor, Transcript
from apps.voice.stt.build import GENERAL_WORDS, Recipe, place_recipe
from apps.voice.stt.domain import DomainText
from apps.voice.stt.listening import Listening
from apps.voice.stt.sphinx_decoder import SphinxDecoder
from apps.voice.turn_events import AllWords, Words
from apps.voice.turn_options import TurnOptions
from benchmarks.turns.hearing import listen
from benchmarks.turns.sound import Recording

PROFILE = "kfz"


def load_decoder(cache: Path) -> SphinxDecoder:
    """Return the decoder of the sample profile; its models are built once, in about 15 s."""
    retriever = Retriever.from_folder(resource("knowledge"))
    try:
        knowledge = retriever.corpus(PROFILE, "en")
    finally:
        retriever.close()
    asked = (*knowledge.questions, *knowledge.variants)
    text = DomainText(asked, tuple(knowledge.sentences))
    decoder = SphinxDecoder(place_recipe(Recipe({PROFILE: text}, GENERAL_WORDS), cache).resolve())
    decoder.warm_up()
    return decoder


@dataclass(frozen=True, slots=True)
class _Told:
    at_ms: float
    words: Words


class Sphinx:
    """What PocketSphinx tells of one recording's first utterance.

    Args:
        decoder: See `load_decoder`.
        recording: In English.
    """

    def __init__(self, decoder: SphinxDecoder, recording: Recording) -> None:
        self._decoder, self._recording = decoder, recording
        started_ms = listen(recording, None, TurnOptions()).started_ms
        heard_ms = (started_ms or 0.0) // FRAME_MS * FRAME_MS
        self._began_ms = max(0.0, heard_ms - RUN_UP_MS)
        self._told = [] if started_ms is None else self._tell(heard_ms)

    def partial(self, at_ms: float) -> Words | None:
        """Return the newest partial transcript that is there at a moment."""
        told = [told.words for told in self._told if told.at_ms <= at_ms]
        return told[-1] if told else None

    def final(self, ended_ms: float) -> tuple[float, AllWords]:
        """Return the transcript of all audio up to a moment, after the time it took to decode."""
        listening = self._open()
        self._push(listening, self._began_ms, ended_ms)
        listening.look_ahead()  # which the worker has done in the silence before the end
        transcript, took_ms = _timed(listening.finish)
        assert transcript is not None
        return ended_ms + took_ms, AllWords(transcript.text, transcript.confidence)

    def _tell(self, heard_ms: float) -> list[_Told]:
        listening = self._open()
        told: list[_Told] = []
        self._push(listening, self._began_ms, heard_ms)
        free_ms = now_ms = heard_ms
        while now_ms < len(self._recording.samples) / FRAME_SAMPLES * FRAME_MS:
            if now_ms >= free_ms:
                partial, took_ms = _timed(lambda: listening.look_ahead() or listening.partial())
                free_ms = now_ms + took_ms
                if partial is not None and partial.text:
                    until_ms = self._began_ms + (partial.until_ms or 0.0)
                    told.append(_Told(free_ms, Words(partial.text, until_ms)))
            self._push(listening, now_ms, now_ms + FRAME_MS)
            now_ms += FRAME_MS
        return told

    def _open(self) -> Listening:
        return Listening(self._decoder, profile=PROFILE, listen_for=self._listen_for())

    def _listen_for(self) -> ListenFor:
        rating = self._recording.utterance.expecting is Expecting.RATING
        return ListenFor.RATING if rating else ListenFor.ANYTHING

    def _push(self, listening: Listening, from_ms: float, to_ms: float) -> None:
        first, last = (int(ms * FRAME_SAMPLES / FRAME_MS) for ms in (from_ms, to_ms))
        if last > first:
            listening.push(self._recording.samples[first:last])


def _timed(decode: Callable[[], Transcript | None]) -> tuple[Transcript | None, float]:
    started = time.thread_time()
    transcript = decode()
    return transcript, (time.thread_time() - started) * 1000
