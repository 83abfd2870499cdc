"""Full text search over a PostgreSQL index's passages, ranked nearly as BM25 does.

PostgreSQL's own rank knows no rarity of words, so each word's rank (which rises ever less with how
often it stands in the passage) is weighed by its idf. How common words are is what the server's
own statistics say, which are read once a minute.

A passage's words have to be fetched to rank it, so fewer are ranked than SQLite ranks: those that
hold the rarest words of the question, by all of its words. Who lacks every rare word would seldom
be among the best (the essential lists of MaxScore: Turtle and Flood, Query evaluation, 1995).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, Executable, text

from apps.knowledge.index.analysis import question_words
from apps.knowledge.index.base import Hit, Scope
from apps.knowledge.index.bounds import Wanted, bounded

_BUDGET = 1_000
"""Passages that one search ranks at most: about 10 ms."""
_GOOD_FOR_S = 60.0
_RARE = 10
"""In how many passages a word stands of which the server's statistics say nothing."""

_STATISTICS = text(
    "SELECT most_common_elems::text::text[], most_common_elem_freqs FROM pg_stats"
    " WHERE schemaname = current_schema() AND tablename = 'kb_chunks' AND attname = 'words'"
)
_PASSAGES = text(
    "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = to_regclass('kb_chunks')"
)
_SEARCH = """
SELECT key, {score} AS score FROM (
    SELECT key, words FROM kb_chunks
    WHERE words @@ CAST(:query AS tsquery) AND tenant = :tenant AND space = ANY(:spaces)
    AND (CAST(:language AS text) IS NULL OR language = :language) LIMIT :budget
) AS found ORDER BY score DESC, key LIMIT :k
"""
# 1: divided by 1 + ln of the passage's length.
_TERM = "CAST(:idf{n} AS float8) * ts_rank(words, CAST(:word{n} AS tsquery), 1)"


@dataclass(slots=True)
class PgWords:
    """Searches by words; safe to share between threads."""

    _shares: Mapping[str, float] = field(default_factory=dict)
    _passages: int = 0
    _read_s: float = float("-inf")
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def search(self, conn: Connection, query: str, scope: Scope, k: int) -> tuple[Hit, ...]:
        """Return the best passages, best first; nothing where no word of the question stands."""
        asked = question_words(query, scope.language)
        if not asked or not scope.spaces:
            return ()
        self._learn(conn)
        common = {word: int(self._shares.get(word, 0) * self._passages) for word in asked}
        frequencies = {word: max(count, _RARE) for word, count in common.items()}
        return _ranked(conn, bounded(frequencies, max(self._passages, 100), _BUDGET), scope, k)

    def _learn(self, conn: Connection) -> None:
        with self._turn:
            if time.monotonic() - self._read_s < _GOOD_FOR_S:
                return
            self._passages = int(conn.execute(_PASSAGES).scalar() or 0)
            found = conn.execute(_STATISTICS).first()
            if found is not None and found[0] is not None:
                self._shares = dict(zip(found[0], found[1], strict=False))
            self._read_s = time.monotonic()


def _ranked(conn: Connection, wanted: Wanted, scope: Scope, k: int) -> tuple[Hit, ...]:
    joiners = (" & ", " | ") if wanted.together else (" | ",)
    for joiner in joiners:
        found = conn.execute(*_statement(wanted, joiner, scope, k)).all()
        if found:
            return tuple(Hit(key, score) for key, score in found)
    return ()


def _statement(
    wanted: Wanted, joiner: str, scope: Scope, k: int
) -> tuple[Executable, dict[str, object]]:
    """Words hold letters and digits alone, so quoting them is safe."""
    values: dict[str, object] = {
        "query": joiner.join(f"'{word}'" for word, _ in wanted.words),
        "tenant": scope.tenant,
        "spaces": list(scope.spaces),
        "language": scope.language,
        "budget": _BUDGET,
        "k": k,
    }
    ranked_by = (*wanted.words, *wanted.besides)
    for n, (word, idf) in enumerate(ranked_by):
        values |= {f"word{n}": f"'{word}'", f"idf{n}": idf}
    score = " + ".join(_TERM.format(n=n) for n in range(len(ranked_by)))
    return text(_SEARCH.format(score=score)), values
