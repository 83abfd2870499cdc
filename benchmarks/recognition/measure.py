"""Word error rate, and figures over many utterances. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from apps.voice.stt.spoken import spoken


def word_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Return the least number of substituted, deleted and inserted words (Levenshtein)."""
    row = list(range(len(hypothesis) + 1))
    for i, expected in enumerate(reference, start=1):
        diagonal, row[0] = row[0], i
        for j, heard in enumerate(hypothesis, start=1):
            diagonal, row[j] = (
                row[j],
                min(row[j] + 1, row[j - 1] + 1, diagonal + (expected != heard)),
            )
    return row[-1]


@dataclass(frozen=True, slots=True)
class Result:
    """One utterance, recognised.

    Attributes:
        reference: What was said.
        heard: What was recognised.
        voice: Who said it.
        band: ``16 kHz`` or ``8 kHz``.
        audio_s: How long it lasted.
        decode_s: From handing over all audio at once to the transcript.
        paced_latency_ms: From the last frame of audio that came in real time to the transcript;
            None when it did not.
        right_entry: Whether retrieval put a right entry first; None without retrieval.
        model: Which model's hypothesis won.
    """

    reference: str
    heard: str
    voice: str
    band: str
    audio_s: float
    decode_s: float
    model: str = ""
    paced_latency_ms: float | None = None
    right_entry: bool | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures over some results; shares are in [0, 1]."""

    utterances: int
    word_error_rate: float
    right_sentences: float
    real_time_factor: float
    right_entries: float | None
    median_latency_ms: float | None
    worst_latency_ms: float | None


def figures(results: Sequence[Result]) -> Figures:
    """Return the figures over results; both sides' text is normalised in the same way."""
    pairs = [(spoken(r.reference).split(), spoken(r.heard).split()) for r in results]
    latencies = sorted(r.paced_latency_ms for r in results if r.paced_latency_ms is not None)
    entries = [r.right_entry for r in results if r.right_entry is not None]
    return Figures(
        utterances=len(results),
        word_error_rate=sum(word_errors(*pair) for pair in pairs)
        / sum(len(reference) for reference, _ in pairs),
        right_sentences=sum(reference == heard for reference, heard in pairs) / len(results),
        real_time_factor=sum(r.decode_s for r in results) / sum(r.audio_s for r in results),
        right_entries=sum(entries) / len(entries) if entries else None,
        median_latency_ms=latencies[len(latencies) // 2] if latencies else None,
        worst_latency_ms=latencies[-1] if latencies else None,
    )


def collisions(sentences: Iterable[str], text: Iterable[str]) -> list[str]:
    """Return the sentences that stand in a text word for word, as they are spoken."""
    known = {spoken(line) for line in text}
    return sorted(sentence for sentence in set(map(spoken, sentences)) if sentence in known)
