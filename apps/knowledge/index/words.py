"""BM25 over an embedded index's passages, by SQLite's FTS5."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from apps.knowledge.index.analysis import LANGUAGES, question_words
from apps.knowledge.index.base import Hit, Scope
from apps.knowledge.index.bounds import BUDGET, Wanted, bounded
from apps.knowledge.index.rows import scope_word

_VOCABULARY = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS temp.kb_terms USING fts5vocab('main', 'kb_words', 'row')"
)
_FREQUENCIES = "SELECT term, doc FROM temp.kb_terms WHERE term IN ({})"
_PASSAGES = "SELECT coalesce(max(key), 0) FROM kb_chunks"  # near enough, and at once
# The inner limit bounds what is ranked where even the rarest word is a common one.
_SEARCH = (
    "SELECT rowid, score FROM (SELECT rowid, bm25(kb_words, 0.0, 1.0) AS score FROM kb_words"
    " WHERE kb_words MATCH ? LIMIT ?) ORDER BY score, rowid LIMIT ?"
)


def search(conn: Connection, query: str, scope: Scope, k: int) -> tuple[Hit, ...]:
    """Return the best passages, best first; nothing where no word of the question stands."""
    asked = question_words(query, scope.language)
    if not asked or not scope.spaces:
        return ()
    conn.exec_driver_sql(_VOCABULARY)
    passages = int(conn.exec_driver_sql(_PASSAGES).scalar_one())
    held = conn.exec_driver_sql(_FREQUENCIES.format(", ".join("?" * len(asked))), asked)
    wanted = bounded({word: int(count) for word, count in held}, passages)
    return _ranked(conn, wanted, scope, k) if wanted.words else ()


def _ranked(conn: Connection, wanted: Wanted, scope: Scope, k: int) -> tuple[Hit, ...]:
    words = [word for word, _ in wanted.words]
    joiners = (" AND ", " OR ") if wanted.together else (" OR ",)
    for joiner in joiners:
        found = conn.exec_driver_sql(_SEARCH, (_match(words, joiner, scope), BUDGET, k)).all()
        if found:
            return tuple(Hit(key, -score) for key, score in found)
    return ()


def _match(words: Sequence[str], joiner: str, scope: Scope) -> str:
    """Words hold letters and digits alone, so quoting them is safe."""
    languages = (scope.language,) if scope.language else LANGUAGES
    scopes = " OR ".join(
        scope_word(scope.tenant, space, language)
        for space in scope.spaces
        for language in languages
    )
    terms = joiner.join(f'"{word}"' for word in words)
    return f"scope : ({scopes}) AND words : ({terms})"
