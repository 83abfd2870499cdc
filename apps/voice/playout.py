"""How far an answer has been heard: pure bookkeeping over what was queued and what was sent."""

from __future__ import annotations

from dataclasses import dataclass, field

from apps.core.audio import FRAME_MS


@dataclass(slots=True)
class Spoken:
    """One sentence in the mouth.

    Attributes:
        text: Its words.
        frames: Frames of it that were queued so far.
        sent: Frames of it that were sent.
        complete: Whether all of its audio has been queued.
    """

    text: str
    frames: int = 0
    sent: int = 0
    complete: bool = False

    def heard(self, unheard_frames: int = 0) -> str:
        """Return the words that were heard when the last frames sent were not.

        Without word timestamps the share of the sentence's audio that was played is taken as the
        share of its letters; a word counts when more than half of it was played.
        """
        played = max(0, self.sent - unheard_frames)
        if self.complete and played >= self.frames:
            return self.text
        words = self.text.split()
        letters = sum(map(len, words))
        # While a sentence is still being made its length is a guess: speech rarely
        # exceeds 16 letters a second, so at least that many frames are to come.
        total = (
            self.frames if self.complete else max(self.frames, int(letters / 16 * 1000 / FRAME_MS))
        )
        reached = letters * played / total if total else 0.0
        heard: list[str] = []
        for word in words:
            if reached <= len(word) / 2:
                break
            heard.append(word)
            reached -= len(word)
        return " ".join(heard)


@dataclass(slots=True)
class Playout:
    """The sentences of one turn, in order."""

    sentences: list[Spoken] = field(default_factory=list)

    def begin(self, text: str) -> Spoken:
        """Add a sentence whose audio is about to be queued."""
        spoken = Spoken(text)
        self.sentences.append(spoken)
        return spoken

    def heard(self, lead_frames: int = 0) -> str:
        """Return what the caller heard, `lead_frames` of what was sent not being played yet."""
        parts: list[str] = []
        unheard = lead_frames
        for spoken in reversed(self.sentences):
            parts.append(spoken.heard(unheard))
            unheard = max(0, unheard - spoken.sent)
        return " ".join(part for part in reversed(parts) if part)
