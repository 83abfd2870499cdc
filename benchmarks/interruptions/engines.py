"""A recogniser that knows what is said and when, and espeak-ng as it is heard in virtual time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

from apps.core.audio import duration_ms
from apps.core.clock import loop_ms
from apps.voice.stt.base import ListenOptions, OnPartial, Transcript
from apps.voice.tts.base import Speech, SpeechStyle, WordMark
from apps.voice.tts.espeak import EspeakTts

WORD_DELAY_MS = 100.0
FINAL_DELAY_S = 0.1
SURE = 0.9


@dataclass(frozen=True, slots=True)
class Said:
    """A word of the caller and the loop time at which it truly ends."""

    word: str
    end_ms: float


class ScriptedEar:
    """Tells every word 100 ms after its true end, and all of them 100 ms after the turn's end.

    Attributes:
        said: What the caller says, set when they begin.
    """

    name = "scripted"
    languages = frozenset({"de", "en"})
    ready = True

    def __init__(self) -> None:
        self.said: Sequence[Said] = ()
        self.taken = 0

    async def start(self) -> None:
        """Do nothing: there is nothing to load."""

    def listen(self, options: ListenOptions, on_partial: OnPartial | None = None) -> ScriptedTurn:
        """Open one utterance."""
        return ScriptedTurn(self, on_partial)

    def words(self, until_ms: float) -> list[str]:
        """Return the words that ended by then and were not in an earlier utterance."""
        return [said.word for said in self.said[self.taken :] if said.end_ms <= until_ms]

    async def close(self) -> None:
        """Do nothing: there is nothing to stop."""


class ScriptedTurn:
    """One utterance of the caller."""

    def __init__(self, ear: ScriptedEar, on_partial: OnPartial | None) -> None:
        self._ear, self._on_partial = ear, on_partial
        self._fed_ms = 0.0
        self._over = False

    def feed(self, pcm: bytes) -> None:
        """Take audio; what it holds is known."""
        self._fed_ms += duration_ms(pcm)
        if self._over or self._on_partial is None:
            return
        text = " ".join(self._ear.words(loop_ms() - WORD_DELAY_MS))
        until_ms = max(0.0, self._fed_ms - WORD_DELAY_MS)
        self._on_partial(Transcript(text, SURE, is_final=False, until_ms=until_ms))

    async def finish(self) -> Transcript:
        """Return the words that had ended by now."""
        self._over = True
        words = self._ear.words(loop_ms())
        self._ear.taken += len(words)
        await asyncio.sleep(FINAL_DELAY_S)
        return Transcript(" ".join(words), SURE if words else 0.0, is_final=True)

    def cancel(self) -> None:
        """Forget the utterance."""
        self._over = True


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence's audio as espeak-ng makes it: its pieces, in order."""

    pieces: tuple[bytes | WordMark, ...]

    @property
    def pcm(self) -> bytes:
        """All of its audio."""
        return b"".join(piece for piece in self.pieces if isinstance(piece, bytes))

    @property
    def marks(self) -> dict[int, float]:
        """Where its words begin in milliseconds, by index."""
        found: dict[int, float] = {}
        for piece in self.pieces:
            if isinstance(piece, WordMark):
                found.setdefault(piece.word, piece.at_ms)
        return found


class Recordings:
    """What espeak-ng says, kept; it runs in a loop of its own, in real time.

    Whoever asks waits without giving way to others, so that virtual time stands still meanwhile.
    """

    def __init__(self) -> None:
        self._made: dict[tuple[str, SpeechStyle], Sentence] = {}
        self._engine = EspeakTts()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="espeak-ng")

    def __enter__(self) -> Recordings:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._engine.start(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._engine.close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def sentence(self, text: str, style: SpeechStyle) -> Sentence:
        """Return a sentence as it is spoken."""
        key = (text, style)
        if key not in self._made:
            made = asyncio.run_coroutine_threadsafe(self._make(text, style), self._loop)
            self._made[key] = made.result()
        return self._made[key]

    async def _make(self, text: str, style: SpeechStyle) -> Sentence:
        async with aclosing(self._engine.synthesise(text, style)) as pieces:
            return Sentence(tuple([piece async for piece in pieces]))


class RecordedVoice:
    """The synthesiser of a call in virtual time.

    Args:
        recordings: What espeak-ng says.
        marks: Whether the words are marked; many engines cannot do it.

    Attributes:
        spoken: Each sentence of the call, by its text.
    """

    name = "recorded"
    languages = frozenset({"de", "en"})
    ready = True

    def __init__(self, recordings: Recordings, *, marks: bool = True) -> None:
        self._recordings, self._marks = recordings, marks
        self.spoken: dict[str, Sentence] = {}

    async def start(self) -> None:
        """Do nothing: the recordings are there."""

    async def synthesise(self, text: str, style: SpeechStyle) -> Speech:
        """Yield a sentence's audio at once."""
        sentence = self.spoken[text] = self._recordings.sentence(text, style)
        for piece in sentence.pieces:
            if self._marks or isinstance(piece, bytes):
                yield piece

    async def close(self) -> None:
        """Do nothing: the recordings are closed elsewhere."""
