"""Takes what a domain model needs out of PocketSphinx's general English model.

The general model can only be asked for probabilities, so a bigram that it really holds is told
from one that it makes up by backing off: for one history, all words that it backs off for share
one ratio to their unigram probability.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from apps.voice.stt.ngram import END, START, General

LogProbs = Callable[[Sequence[str], str | None], NDArray[np.float64]]
"""Returns the natural-log probability of n words after a history, or alone; shape (n,)."""

_LIFT = 2.0  # a bigram this many times likelier than by backing off is worth keeping
_LEAST_P = 2e-5
_RATIO_STEP = 1e-3  # the model's own rounding of log probabilities is finer than this


def rank_words(log_probs: LogProbs, words: Iterable[str]) -> list[str]:
    """Return words by their probability in the general model, likeliest first."""
    by_name = sorted(words)
    return [by_name[i] for i in np.argsort(-log_probs(by_name, None), kind="stable")]


def cut_general(
    log_probs: LogProbs, vocabulary: Sequence[str], histories: Sequence[str], floor: float = 1e-7
) -> General:
    """Return the general model over one vocabulary.

    Args:
        log_probs: The general model.
        vocabulary: Every word of the new model, without the sentence marks.
        histories: The words whose followers are worth asking for; cost is
            ``len(vocabulary) * len(histories)`` look-ups of about a microsecond.
        floor: Least unigram probability, given to words that the general model lacks.
    """
    words = [*vocabulary, END]
    raw = np.exp(log_probs(words, None))
    unigrams = np.maximum(raw, floor)
    unigrams /= unigrams.sum()
    log_unigrams = np.log(np.maximum(raw, 1e-30))
    bigrams = {}
    for history in (START, *histories):
        kept = _held_bigrams(log_probs(words, history), log_unigrams, raw >= floor)
        bigrams[history] = {words[i]: p for i, p in kept}
    return General(unigrams=dict(zip(words, unigrams.tolist(), strict=True)), bigrams=bigrams)


def _held_bigrams(
    conditional: NDArray[np.float64], unigrams: NDArray[np.float64], known: NDArray[np.bool_]
) -> list[tuple[int, float]]:
    """Return index and probability of the followers that the model holds, renormalised.

    Args:
        conditional: Log probability of each word after one history, shape (n,).
        unigrams: Log probability of each word, shape (n,).
        known: Which words the general model has, shape (n,).
    """
    ratio = conditional - unigrams
    steps, counts = np.unique(np.round(ratio[known] / _RATIO_STEP), return_counts=True)
    backoff = steps[np.argmax(counts)] * _RATIO_STEP
    inside = float(np.exp(conditional[known]).sum())
    p = np.exp(conditional) / max(inside, 1e-12)
    keep = known & (ratio > backoff + np.log(_LIFT)) & (p > _LEAST_P)
    return [(int(i), float(p[i])) for i in np.flatnonzero(keep)]
