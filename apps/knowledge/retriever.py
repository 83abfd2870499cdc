"""Finds the entries that answer a question, tolerant of words that were misrecognised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from apps.core.passages import ENTRIES_ALONE, Citation, Passage, Within
from apps.knowledge.entries import Entry, load_elsewhere, load_entries
from apps.knowledge.kept import learned
from apps.knowledge.learning import Learned
from apps.knowledge.lexical import LexicalIndex
from apps.knowledge.ranking import EntryRanker
from apps.knowledge.senses import Sense
from apps.knowledge.vectors import Floats


@dataclass(frozen=True, slots=True)
class Corpus:
    """A profile's texts in one language, for a recogniser's language model and bias words.

    Attributes:
        questions: The canonical questions.
        variants: The same in callers' words.
        sentences: The sentences of all answers.
    """

    questions: tuple[str, ...]
    variants: tuple[str, ...]
    sentences: tuple[str, ...]


class Retriever:
    """Search over all profiles and languages of a knowledge base.

    Args:
        entries: What it searches.
        cache_dir: Where the full-text index and what was learned are kept between starts; None
            keeps them in memory.
        not_answered: Questions that none of them answers, by profile and language.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        cache_dir: Path | None = None,
        not_answered: Mapping[tuple[str, str], tuple[str, ...]] = MappingProxyType({}),
    ) -> None:
        self._lexical = LexicalIndex(entries, cache_dir)
        self._not_answered = not_answered
        self._all = tuple(entries)
        self._positions: dict[tuple[str, str], list[int]] = {}
        for position, entry in enumerate(entries):
            self._positions.setdefault((entry.profile, entry.language), []).append(position)
        self._rankers = {}
        for (profile, language), positions in self._positions.items():
            own = [self._all[position] for position in positions]
            known = learned(own, language, cache_dir, self.not_answered(profile, language))
            self._rankers[profile, language] = EntryRanker(own, language, known)

    @classmethod
    def from_folder(cls, folder: Path, cache_dir: Path | None = None) -> Retriever:
        """Read a knowledge folder and index it.

        Raises:
            ConfigError: The folder or a file in it cannot be used.
        """
        return cls(load_entries(folder), cache_dir, load_elsewhere(folder))

    async def search(
        self,
        query: str,
        *,
        language: str,
        profile: str,
        k: int = 5,
        within: Within = ENTRIES_ALONE,  # it has entries alone
        vector: Floats | None = None,
    ) -> tuple[Passage, ...]:
        """Return the k best entries, best first; nothing when nothing is similar.

        It takes a few milliseconds, so it runs in the event loop.

        Args:
            query: The question, as it was understood.
            language: ``de`` or ``en``.
            profile: The profile whose entries are searched.
            k: At most so many passages.
            within: Where documents may be searched; a retriever of entries has none.
            vector: The question's by the model that ``teach`` was called with; None, also where it
                came too late, ranks by the words alone.
        """
        ranker = self._rankers.get((profile, language))
        if ranker is None:
            return ()
        positions = self._positions[(profile, language)]
        by_position = self._lexical.search(query, language=language, profile=profile)
        bm25 = np.array([by_position.get(position, 0.0) for position in positions])
        ranked = ranker.rank(query, bm25, vector)
        return tuple(_passage(self._all[positions[i]], score) for i, score in ranked[:k])

    @property
    def spaces(self) -> tuple[tuple[str, str], ...]:
        """The profiles and languages that have entries."""
        return tuple(self._positions)

    def not_answered(self, profile: str, language: str) -> tuple[str, ...]:
        """Return the questions that a profile's entries are known not to answer."""
        return self._not_answered.get((profile, language), ())

    def learned(self, profile: str, language: str) -> Learned:
        """Return what was learned from the words of a profile's entries in one language."""
        return self._rankers[profile, language].learned

    def teach(self, profile: str, language: str, sense: Sense) -> None:
        """Rank a profile's entries also by what a model of meanings knows of them, from now on."""
        self._rankers[profile, language].sense = sense

    def knows_meanings(self, profile: str, language: str) -> bool:
        """Return whether a question's vector would tell anything of a profile's entries."""
        ranker = self._rankers.get((profile, language))
        return ranker is not None and ranker.sense is not None

    @property
    def all(self) -> tuple[Entry, ...]:
        """Every entry, of all profiles and languages."""
        return self._all

    def entries(self, profile: str, language: str) -> tuple[Entry, ...]:
        """Return a profile's entries in one language."""
        return tuple(self._all[p] for p in self._positions.get((profile, language), ()))

    def entry(self, profile: str, language: str, entry_id: str) -> Entry | None:
        """Return an entry by its id, or None when there is no such entry."""
        return next((e for e in self.entries(profile, language) if e.id == entry_id), None)

    def question(self, profile: str, language: str, entry_id: str) -> str | None:
        """Return an entry's canonical question, or None when there is no such entry."""
        entry = self.entry(profile, language, entry_id)
        return None if entry is None else entry.question

    def corpus(self, profile: str, language: str) -> Corpus:
        """Return a profile's texts in one language."""
        entries = self.entries(profile, language)
        return Corpus(
            questions=tuple(entry.question for entry in entries),
            variants=tuple(variant for entry in entries for variant in entry.variants),
            sentences=tuple(sentence for entry in entries for sentence in entry.sentences),
        )

    def vocabulary(self, profile: str, language: str, limit: int = 50) -> tuple[str, ...]:
        """Return the profile's most telling words, most telling first, as bias words."""
        ranker = self._rankers.get((profile, language))
        return ranker.telling_words[:limit] if ranker is not None else ()

    def close(self) -> None:
        """Close the full-text index."""
        self._lexical.close()


def _passage(entry: Entry, score: float) -> Passage:
    return Passage(
        entry_id=entry.id,
        question=entry.question,
        text=entry.answer,
        score=score,
        language=entry.language,
        source=entry.source,
        citation=Citation(entry.question, entry.source, headings=(entry.topic,), entry_id=entry.id),
    )
