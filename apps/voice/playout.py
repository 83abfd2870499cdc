"""How far an answer has been heard: pure bookkeeping over what was queued and what was sent."""

from __future__ import annotations

from dataclasses import dataclass, field

from apps.core.audio import FRAME_MS, level_dbfs
from apps.voice.tts.base import WordMark
from apps.voice.word_durations import usual_ms
from apps.voice.word_estimate import (
    PAUSE_FRAMES,
    Sentence,
    quiet_below_dbfs,
    tempo_after,
    word_starts_ms,
)
from apps.voice.word_times import displayed_starts_ms, marked_starts_ms, words_begun

# Where words are not marked, at least so much is said again after a break, and so much more
# than the word itself, since its beginning is an estimate.
REPEAT_MS = 240.0
ESTIMATE_SPREAD_MS = 280.0
_SEARCH_FRAMES = 120 // FRAME_MS


@dataclass(slots=True)
class Spoken:
    """One sentence in the mouth.

    Attributes:
        text: Its words as they are displayed.
        reading: Its words as they are read aloud; empty when these are the same.
        language: ``de`` or ``en``.
        tempo: Actual over usual durations of words, in what was said before.
        sent: Frames of it that were sent.
        complete: Whether all of its audio has been queued.
        marks: Where its words begin in milliseconds, by index in the reading.
        levels: Of its frames that were queued so far, in dBFS.
    """

    text: str
    reading: str = ""
    language: str = "en"
    tempo: float = 1.0
    sent: int = 0
    complete: bool = False
    marks: dict[int, float] = field(default_factory=dict)
    levels: list[float] = field(default_factory=list)

    @property
    def frames(self) -> int:
        """Frames of it that were queued so far."""
        return len(self.levels)

    def mark(self, mark: WordMark) -> None:
        """Note where a word begins; the first mark of a word counts."""
        self.marks.setdefault(mark.word, mark.at_ms)

    def add(self, frame: bytes) -> None:
        """Note a frame that was queued."""
        self.levels.append(level_dbfs(frame))

    def heard(self, unheard_frames: int = 0) -> str:
        """Return the words that were heard when the last frames sent were not."""
        played = max(0, self.sent - unheard_frames)
        if self.complete and played >= self.frames:
            return self.text
        words = self.text.split()
        if not played or not words:
            return ""
        starts, end_ms = self._starts_ms()
        shown = displayed_starts_ms(words, self._spoken, starts, end_ms, self.language)
        return " ".join(words[: words_begun(shown, end_ms, played * FRAME_MS)])

    def repeat_from(self) -> int:
        """Return the frame at which to go on after a break behind the last frame sent.

        That is just before the word that was being said, or in the pause behind it.
        """
        if self.sent == 0 or (self.complete and self.sent >= self.frames):
            return self.sent
        latest = self.levels[max(0, self.sent - PAUSE_FRAMES) : self.sent]
        if max(latest) < quiet_below_dbfs(self.levels):
            return self.sent - 1
        starts = list(self.marks.values()) if self.marks else self._starts_ms()[0]
        word_ms = max((ms for ms in starts if ms < self.sent * FRAME_MS), default=0.0)
        if self.marks:
            return max(0, int(word_ms // FRAME_MS) - 1)
        back_ms = min(word_ms - ESTIMATE_SPREAD_MS, self.sent * FRAME_MS - REPEAT_MS)
        return self._quiet_frame(round(back_ms / FRAME_MS))

    def known(self) -> Sentence:
        """Return what an estimate of its words' times goes by."""
        return Sentence(self._spoken, self.language, self.levels, self.complete, self.tempo)

    @property
    def _spoken(self) -> list[str]:
        return (self.reading or self.text).split()

    def _starts_ms(self) -> tuple[list[float], float]:
        """Return where the words of the reading begin, and where the last of them ends."""
        end_ms = float(self.frames * FRAME_MS)
        words = self._spoken
        if self.marks:
            starts = marked_starts_ms(words, self.language, self.marks, end_ms)
        else:
            starts = word_starts_ms(self.known())
        if self.complete or not words:
            return starts, end_ms
        return starts, max(end_ms, starts[-1] + usual_ms(words[-1], self.language))

    def _quiet_frame(self, about: int) -> int:
        """Return the quietest frame near one, rather an earlier than a later one."""
        around = range(max(0, about - _SEARCH_FRAMES), max(1, about + _SEARCH_FRAMES // 2))
        return min(around, key=lambda frame: self.levels[frame])


@dataclass(slots=True)
class Playout:
    """The sentences of one turn, in order.

    Attributes:
        tempo: Actual over usual durations of words, of the call's voice so far.
    """

    tempo: float = 1.0
    sentences: list[Spoken] = field(default_factory=list)

    def begin(self, text: str, reading: str = "", language: str = "en") -> Spoken:
        """Add a sentence whose audio is about to be queued."""
        spoken = Spoken(text, reading, language, self.tempo)
        self.sentences.append(spoken)
        return spoken

    def end(self, spoken: Spoken) -> None:
        """Note that all audio of a sentence is queued; the next one goes by its tempo."""
        spoken.complete = True
        self.tempo = tempo_after(spoken.known())

    @property
    def saying(self) -> str:
        """The latest sentence of which something was sent."""
        return next((s.text for s in reversed(self.sentences) if s.sent), "")

    def heard(self, lead_frames: int = 0) -> str:
        """Return what the caller heard, `lead_frames` of what was sent not being played yet."""
        parts: list[str] = []
        unheard = lead_frames
        for spoken in reversed(self.sentences):
            parts.append(spoken.heard(unheard))
            unheard = max(0, unheard - spoken.sent)
        return " ".join(part for part in reversed(parts) if part)
