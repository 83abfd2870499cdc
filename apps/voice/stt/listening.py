"""One utterance from its first frame to its transcript: what is decoded when, and what counts.

Every decode starts from the utterance's first frame, since its features are normalised over all
that was heard; at about a tenth of real time that is cheap. To answer at once when the caller's
end is declared, the whole is decoded ahead as soon as it has been quiet for a moment.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np

from apps.core.audio import Samples
from apps.voice.stt.band import is_narrow, normalised_cepstra, speech_frames
from apps.voice.stt.base import ListenFor, Transcript
from apps.voice.stt.build import RATING
from apps.voice.stt.features import FILTERS, Frames, MelStream
from apps.voice.stt.sphinx_decoder import GENERAL, Hypothesis

FRAME_MS = 10.0

QUIET_FRAMES = 10
"""So many frames of quiet start the decoding ahead, and are decoded at the end."""

SAME_END_FRAMES = 3
"""Quiet that follows moves the level at which speech counts, and with it the end, by so little."""

MAX_FRAMES = 3000
"""What is longer than half a minute is cut: nobody asks for that long in one breath."""

DOUBT = {False: 0.5, True: 0.4}
"""Below this confidence the general model is asked too; for wide-band and telephone speech."""

_HANDICAP = {"rating": 1.05}  # a rating was asked for: others must be clearly likelier
_FIRST_PARTIAL_FRAMES = 70
_PARTIAL_GROWTH = 1.3


class Decoder(Protocol):
    """What a `Listening` needs of `SphinxDecoder`."""

    profiles: list[str]

    def decode(self, cepstra: Frames, search: str) -> Hypothesis:
        """Run one search over a whole utterance."""
        ...

    def glance(self, cepstra: Frames, profile: str) -> str:
        """Return the words of an unfinished utterance, quickly."""
        ...


class Listening:
    """One utterance.

    Args:
        decoder: Shared by all utterances of a process.
        profile: Whose language model is tried first; one without a model gets the general one.
        listen_for: What the call expects.
    """

    def __init__(self, decoder: Decoder, *, profile: str, listen_for: ListenFor) -> None:
        self._decoder = decoder
        self._profile = profile if profile in decoder.profiles else ""
        self._listen_for = listen_for
        self._stream = MelStream()
        self._mel: Frames = np.zeros((0, FILTERS))
        self._ahead: Transcript | None = None
        self._ahead_end = 0
        self._next_partial = _FIRST_PARTIAL_FRAMES

    def push(self, samples: Samples) -> None:
        """Add 16 kHz samples."""
        if len(self._mel) < MAX_FRAMES:
            self._mel = np.concatenate((self._mel, self._stream.push(samples)))

    def look_ahead(self) -> Transcript | None:
        """Decode the whole if the caller seems to have finished; None when there is no need."""
        end = self._end()
        if end is None or self._is_ahead(end):
            return None
        self._ahead, self._ahead_end = self._transcript(end), end
        return replace(self._ahead, is_final=False, until_ms=end * FRAME_MS)

    def partial(self) -> Transcript | None:
        """Return what is understood so far; None while too little has been added."""
        if not self._profile or len(self._mel) < self._next_partial:
            return None
        self._next_partial = int(len(self._mel) * _PARTIAL_GROWTH)
        frames = len(self._mel)
        text = self._decoder.glance(self._features(frames)[0], self._profile)
        return Transcript(text, 0.0, is_final=False, model="domain", until_ms=frames * FRAME_MS)

    def finish(self) -> Transcript:
        """Return the final transcript."""
        end = self._end()
        if self._ahead is not None and end is not None and self._is_ahead(end):
            return self._ahead
        return self._transcript(len(self._mel) if end is None else end)

    def _is_ahead(self, end: int) -> bool:
        """Tell whether the utterance up to `end` is decoded, or so nearly that it says the same."""
        return abs(end - self._ahead_end) <= SAME_END_FRAMES

    def _end(self) -> int | None:
        """Return where the utterance ends when quiet has followed, else None.

        The same speech gives the same end, but for a frame or two, however much quiet there is
        behind it.
        """
        if not len(self._mel):
            return None
        speech = np.flatnonzero(speech_frames(self._mel))
        end = int(speech[-1]) + 1 + QUIET_FRAMES
        return end if end <= len(self._mel) else None

    def _features(self, end: int) -> tuple[Frames, bool]:
        """Return what the decoder sees of the frames so far, and whether they are narrow."""
        mel = self._mel[:end]
        narrow = is_narrow(mel)
        return normalised_cepstra(mel, narrow=narrow), narrow

    def _transcript(self, end: int) -> Transcript:
        if not end:
            return Transcript("", 0.0, is_final=True, model="none")
        cepstra, narrow = self._features(end)
        heard = {"domain": self._decoder.decode(cepstra, self._profile or GENERAL)}
        if self._listen_for is ListenFor.RATING:
            heard["rating"] = self._decoder.decode(cepstra, RATING)
        elif self._profile and heard["domain"].confidence < DOUBT[narrow]:
            heard["general"] = self._decoder.decode(cepstra, GENERAL)
        # All searches saw the same features, so the likelier hypothesis is the better one.
        model = max(heard, key=lambda name: heard[name].score * _HANDICAP.get(name, 1.0))
        best = heard[model]
        if not self._profile and model == "domain":
            model = "general"
        return Transcript(best.text, best.confidence, is_final=True, model=model)
