"""How Whisper, which hears a window at once, is made to stream: what to decode, what to believe.

Pure: audio is only times here, and a hypothesis is what the caller says the model made of a
window. The window grows with the utterance and is decoded again and again; words that two
successive hypotheses begin with alike are committed and never change (LocalAgreement-2, Macháček,
Dabre and Bojar 2023, "Turning Whisper into a Real-Time Transcription System"). A pause settles the
whole hypothesis, and the window moves on; a long window is cut where a committed segment ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from apps.voice.stt.hypothesis import Segment, agreement, aligned

_CONTEXT_WORDS = 24


@dataclass(frozen=True, slots=True)
class Pacing:
    """When to decode and where to cut; all in milliseconds of audio.

    Attributes:
        step_ms: So much new audio is worth another decode while the caller speaks.
        pause_ms: Silence after which what was said is decoded at once: if the utterance turns
            out to be over, the final transcript is already there.
        cut_ms: Silence after which the hypothesis is settled and the window moves on.
        tail_ms: A decode has heard a word's end when it reached so far beyond it.
        lead_in_ms: Silence kept in front of speech.
        trim_ms: A longer window is cut at the end of a committed segment.
        max_window_ms: A window is never longer; the model itself takes 30 s.
        speech: A voice activity of at least this is speech.
    """

    step_ms: float = 600.0
    pause_ms: float = 240.0
    cut_ms: float = 800.0
    tail_ms: float = 120.0
    lead_in_ms: float = 320.0
    trim_ms: float = 12_000.0
    max_window_ms: float = 28_000.0
    speech: float = 0.35


@dataclass(frozen=True, slots=True)
class Decode:
    """A window worth decoding.

    Attributes:
        start_ms: Where it starts, from the utterance's beginning.
        end_ms: Where it ends.
        context: The last words said before it, for the model's prompt.
        may_be_last: The caller has paused or finished: worth a more thorough search.
    """

    start_ms: float
    end_ms: float
    context: str
    may_be_last: bool


@dataclass(frozen=True, slots=True)
class StreamState:
    """One utterance on its way to a transcript.

    Attributes:
        heard_ms: So much audio has come.
        judged_ms: So much of it the voice activity detector has judged.
        window_ms: Where the window starts; audio before it is not needed any more.
        speech_end_ms: Where speech was last heard in the window, None before any.
        decoded_ms: How far the last decode listened.
        committed: The words that do not change any more, from the utterance's beginning.
        window_from: Index of the first committed word that the window still holds.
        tail: The last hypothesis' words beyond the committed ones.
        segments: The last hypothesis' plausible segments.
        settled_words: How many words have left the window.
        settled_sum: The sum of their confidences.
    """

    heard_ms: float = 0.0
    judged_ms: float = 0.0
    window_ms: float = 0.0
    speech_end_ms: float | None = None
    decoded_ms: float = 0.0
    committed: tuple[str, ...] = ()
    window_from: int = 0
    tail: tuple[str, ...] = ()
    segments: tuple[Segment, ...] = ()
    settled_words: int = 0
    settled_sum: float = 0.0

    @property
    def stable_text(self) -> str:
        """The committed words."""
        return " ".join(self.committed)

    @property
    def text(self) -> str:
        """The committed words and the last hypothesis' guess at the rest."""
        return " ".join(self.committed + self.tail)

    @property
    def confidence(self) -> float:
        """The mean of the words' confidences, in [0, 1]; 0.0 when there are none."""
        counts = [len(s.words) for s in self.segments]
        words = self.settled_words + sum(counts)
        total = self.settled_sum + sum(
            n * s.confidence for n, s in zip(counts, self.segments, strict=True)
        )
        return total / words if words else 0.0


def unhurried(pacing: Pacing, decode_ms: float) -> Pacing:
    """Return a pacing with which decodes while the caller speaks take a third of the time at most.

    The decode after a pause, which the caller waits for, then seldom has to wait for another.

    Args:
        pacing: The pacing of a machine that is fast enough.
        decode_ms: How long a decode takes here.
    """
    return replace(pacing, step_ms=max(pacing.step_ms, 3.0 * decode_ms))


def heard(
    state: StreamState,
    audio_ms: float,
    activities: Sequence[float],
    activity_ms: float,
    pacing: Pacing,
) -> StreamState:
    """Take in more audio.

    Args:
        state: The utterance so far.
        audio_ms: How much audio came.
        activities: The voice activities, in [0, 1], of the windows that it completed.
        activity_ms: How long each of those windows is.
        pacing: When to decode and where to cut.
    """
    judged_ms, speech_end_ms = state.judged_ms, state.speech_end_ms
    for activity in activities:
        judged_ms += activity_ms
        if activity >= pacing.speech:
            speech_end_ms = judged_ms
    state = replace(
        state,
        heard_ms=state.heard_ms + audio_ms,
        judged_ms=judged_ms,
        speech_end_ms=speech_end_ms,
    )
    if state.speech_end_ms is None:
        start_ms = max(state.window_ms, state.heard_ms - pacing.lead_in_ms)
        return replace(state, window_ms=start_ms)
    if not _undecoded(state, pacing) and state.heard_ms - state.speech_end_ms >= pacing.cut_ms:
        return _settled(state, max(state.window_ms, state.heard_ms - pacing.lead_in_ms))
    return state


def next_decode(state: StreamState, pacing: Pacing, *, finished: bool = False) -> Decode | None:
    """Return the window that is worth decoding now, or None.

    Args:
        state: The utterance so far.
        pacing: When to decode and where to cut.
        finished: No more audio will come: whatever was not decoded yet is now.
    """
    if state.speech_end_ms is None or not _undecoded(state, pacing):
        return None
    paused = state.heard_ms - state.speech_end_ms >= pacing.pause_ms
    fresh_ms = state.heard_ms - max(state.decoded_ms, state.window_ms)
    if not (finished or paused or fresh_ms >= pacing.step_ms):
        return None
    before = state.committed[: state.window_from][-_CONTEXT_WORDS:]
    end_ms = min(state.heard_ms, state.window_ms + pacing.max_window_ms)
    return Decode(state.window_ms, end_ms, " ".join(before), may_be_last=finished or paused)


def decoded(
    state: StreamState, request: Decode, segments: Sequence[Segment], pacing: Pacing
) -> StreamState:
    """Take in what the model made of a window that `next_decode` asked for.

    Args:
        state: The utterance, which may have gone on meanwhile.
        request: The window that was decoded.
        segments: The hypothesis, in order; implausible segments are left out.
        pacing: When to decode and where to cut.
    """
    kept = tuple(segment for segment in segments if segment.plausible)
    words = tuple(word for segment in kept for word in segment.words)
    known = aligned(state.committed[state.window_from :], words)
    rest = words[known:]
    agreed = agreement(state.tail, rest)
    state = replace(
        state,
        decoded_ms=request.end_ms,
        committed=state.committed + rest[:agreed],
        tail=rest[agreed:],
        segments=kept,
    )
    if request.end_ms - state.window_ms > pacing.trim_ms:
        state = _trimmed(state, known + agreed)
    # The sum as `next_decode` writes it: a difference may round below the bound, and never end.
    if request.end_ms >= state.window_ms + pacing.max_window_ms:
        state = _settled(state, request.end_ms)
    return state


def _undecoded(state: StreamState, pacing: Pacing) -> bool:
    """Whether there is speech in the window that no decode has heard to its end."""
    if state.speech_end_ms is None:
        return False
    return state.decoded_ms < min(state.speech_end_ms + pacing.tail_ms, state.heard_ms)


def _settled(state: StreamState, window_ms: float) -> StreamState:
    """Believe the last hypothesis as it is and begin a new window."""
    words, total = _leaving(state, len(state.segments))
    committed = state.committed + state.tail
    speech_end_ms = state.speech_end_ms
    if speech_end_ms is not None and speech_end_ms <= window_ms:
        speech_end_ms = None
    return replace(
        state,
        window_ms=window_ms,
        speech_end_ms=speech_end_ms,
        committed=committed,
        window_from=len(committed),
        tail=(),
        segments=(),
        settled_words=words,
        settled_sum=total,
    )


def _trimmed(state: StreamState, committed: int) -> StreamState:
    """Cut the window behind the last segment whose words are all committed.

    The hypothesis' last segment stays: its end moves as long as the caller speaks on.

    Args:
        state: The utterance.
        committed: How many of the hypothesis' words, from its first, are committed.
    """
    count = words = 0
    for number, segment in enumerate(state.segments[:-1], start=1):
        words += len(segment.words)
        if words > committed:
            break
        if state.window_ms < segment.end_ms <= state.decoded_ms:
            count = number
    if not count:
        return state
    gone = sum(len(segment.words) for segment in state.segments[:count])
    settled_words, settled_sum = _leaving(state, count)
    return replace(
        state,
        window_ms=state.segments[count - 1].end_ms,
        window_from=max(state.window_from, len(state.committed) - (committed - gone)),
        segments=state.segments[count:],
        settled_words=settled_words,
        settled_sum=settled_sum,
    )


def _leaving(state: StreamState, count: int) -> tuple[int, float]:
    """Return the settled words and their confidences' sum once so many segments have left."""
    words, total = state.settled_words, state.settled_sum
    for segment in state.segments[:count]:
        words += len(segment.words)
        total += len(segment.words) * segment.confidence
    return words, total
