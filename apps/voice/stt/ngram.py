"""Builds a trigram language model from a few thousand sentences and a general model behind them.

Each order is the order above it smoothed into the order below by Witten and Bell's rule ("The
zero-frequency problem", 1991): a history that was followed by many different words trusts its
counts less. The lowest orders lean on the general model's unigrams and bigrams, so words and pairs
that the sentences never show keep the probability that general English gives them. The result is
text in the ARPA format.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

START = "<s>"
END = "</s>"
_LOG10_ZERO = -99.0
_LEAST = 1e-12

Counts = dict[str, float]


@dataclass(frozen=True, slots=True)
class Smoothing:
    """How much each order trusts what lies below it; found on the tuning set's perplexity.

    Attributes:
        unigram: Weight of the general unigrams, in units of distinct words seen.
        bigram: Weight of the order below for bigrams, likewise.
        trigram: Weight of the order below for trigrams, likewise.
        general_bigram: Share of the general model in what bigrams fall back to.
    """

    unigram: float = 1.0
    bigram: float = 3.0
    trigram: float = 3.0
    general_bigram: float = 0.7


@dataclass(frozen=True, slots=True)
class General:
    """The general model, cut to one vocabulary.

    Attributes:
        unigrams: Probability of each word and of the sentence end; sums to one.
        bigrams: For some histories, the words that follow more often than their own frequency
            says, with their probability after that history.
    """

    unigrams: Mapping[str, float]
    bigrams: Mapping[str, Mapping[str, float]]

    def backoff(self, history: str) -> float:
        """Return the factor on the unigrams of words that ``bigrams`` does not name."""
        seen = self.bigrams.get(history, {})
        free = 1.0 - sum(self.unigrams[word] for word in seen)
        return max(_LEAST, 1.0 - sum(seen.values())) / max(_LEAST, free)


class _Followers:
    """The weighted counts of the words behind one history."""

    __slots__ = ("_distinct", "_total", "counts")

    def __init__(self, counts: Mapping[str, float]) -> None:
        self.counts = counts
        self._total = sum(counts.values())
        # A word that is there by a small share of a made-up sentence is not a whole word seen.
        self._distinct = sum(min(1.0, count) for count in counts.values())

    def smoothed(self, word: str, below: float, weight: float) -> float:
        """Return a word's probability, leaning on the order below."""
        if not self.counts:
            return below
        trust_below = weight * self._distinct
        seen = self.counts.get(word, 0.0)
        return (seen + trust_below * below) / (self._total + trust_below)


_NOTHING = _Followers({})


class TrigramModel:
    """Smoothed trigram probabilities over the general model's vocabulary.

    Args:
        sentences: Words and weight of each sentence; words outside the vocabulary are an error.
        general: The model behind them.
        smoothing: Trust in each order.
    """

    def __init__(
        self,
        sentences: Iterable[tuple[Iterable[str], float]],
        general: General,
        smoothing: Smoothing | None = None,
    ) -> None:
        self._general = general
        self._smoothing = smoothing = smoothing or Smoothing()
        ones: Counts = defaultdict(float)
        twos: dict[str, Counts] = defaultdict(lambda: defaultdict(float))
        threes: dict[tuple[str, str], Counts] = defaultdict(lambda: defaultdict(float))
        for words, weight in sentences:
            padded = [START, *words, END]
            for index, word in enumerate(padded[1:], start=1):
                if word not in general.unigrams:
                    raise ValueError(f"{word!r} is not in the vocabulary")
                ones[word] += weight
                twos[padded[index - 1]][word] += weight
                if index > 1:
                    threes[padded[index - 2], padded[index - 1]][word] += weight
        seen = _Followers(ones)
        self._unigrams = {
            word: seen.smoothed(word, p, smoothing.unigram) for word, p in general.unigrams.items()
        }
        self._bigrams = {first: _Followers(counts) for first, counts in twos.items()}
        self._trigrams = {pair: _Followers(counts) for pair, counts in threes.items()}
        self._backoffs = {word: general.backoff(word) for word in (START, *general.unigrams)}

    def unigram(self, word: str) -> float:
        """Return P(word)."""
        return self._unigrams[word]

    def bigram(self, first: str, word: str) -> float:
        """Return P(word | first)."""
        seen = self._general.bigrams.get(first, {})
        general = seen.get(word, self._backoffs[first] * self._general.unigrams[word])
        share = self._smoothing.general_bigram
        below = share * general + (1.0 - share) * self._unigrams[word]
        followers = self._bigrams.get(first, _NOTHING)
        return followers.smoothed(word, below, self._smoothing.bigram)

    def trigram(self, first: str, second: str, word: str) -> float:
        """Return P(word | first second)."""
        followers = self._trigrams.get((first, second), _NOTHING)
        return followers.smoothed(word, self.bigram(second, word), self._smoothing.trigram)

    def perplexity(self, sentences: Iterable[Iterable[str]]) -> float:
        """Return the perplexity per word, sentence ends included."""
        total, words_seen = 0.0, 0
        for words in sentences:
            padded = [START, *words, END]
            for index in range(1, len(padded)):
                *history, word = padded[max(0, index - 2) : index + 1]
                p = (
                    self.trigram(history[0], history[1], word)
                    if len(history) == 2
                    else self.bigram(history[0], word)
                )
                total -= math.log(p)
                words_seen += 1
        return math.exp(total / words_seen)

    def arpa(self) -> Iterator[str]:
        """Yield the model's lines in the ARPA format, all orders sorted."""
        bigrams = {
            first: sorted(
                {*self._bigrams.get(first, _NOTHING).counts, *self._general.bigrams.get(first, {})}
            )
            for first in sorted({*self._bigrams, *self._general.bigrams})
        }
        yield "\\data\\"
        yield f"ngram 1={len(self._unigrams) + 1}"
        yield f"ngram 2={sum(len(words) for words in bigrams.values())}"
        yield f"ngram 3={sum(len(followers.counts) for followers in self._trigrams.values())}"
        yield "\n\\1-grams:"
        for first in sorted([START, *self._unigrams]):
            p = self._unigrams.get(first, 0.0)
            backoff = self._backoff_weight(
                (self.bigram(first, word), self._unigrams[word]) for word in bigrams.get(first, ())
            )
            yield f"{_log10(p)} {first} {_log10(backoff)}"
        yield "\n\\2-grams:"
        for first, words in bigrams.items():
            for second in words:
                pair = (
                    (self.trigram(first, second, word), self.bigram(second, word))
                    for word in self._trigrams.get((first, second), _NOTHING).counts
                )
                p, backoff = self.bigram(first, second), self._backoff_weight(pair)
                yield f"{_log10(p)} {first} {second} {_log10(backoff)}"
        yield "\n\\3-grams:"
        for first, second in sorted(self._trigrams):
            for word in sorted(self._trigrams[first, second].counts):
                p = self.trigram(first, second, word)
                yield f"{_log10(p)} {first} {second} {word}"
        yield "\n\\end\\"

    @staticmethod
    def _backoff_weight(named: Iterable[tuple[float, float]]) -> float:
        """Return what is left for unnamed words, over what the order below gives to them."""
        here, below = 1.0, 1.0
        for p, p_below in named:
            here -= p
            below -= p_below
        return max(_LEAST, here) / max(_LEAST, below)


def _log10(p: float) -> str:
    return f"{math.log10(p) if p > 0 else _LOG10_ZERO:.4f}"
