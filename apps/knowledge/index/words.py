"""BM25 over an embedded index's passages, by SQLite's FTS5."""

from __future__ import annotations

from sqlalchemy import Connection

from apps.knowledge.index.analysis import question_words
from apps.knowledge.index.base import Hit, Scope
from apps.knowledge.index.rows import language_word, scope_word

_SEARCH = (
    "SELECT rowid, bm25(kb_words, 0.0, 1.0) AS score FROM kb_words WHERE kb_words MATCH ?"
    " ORDER BY score LIMIT ?"
)


def search(conn: Connection, query: str, scope: Scope, k: int) -> tuple[Hit, ...]:
    """Return the best passages, best first; nothing where no word of the question stands."""
    wanted = question_words(query, scope.language)
    if not wanted or not scope.spaces:
        return ()
    rows = conn.exec_driver_sql(_SEARCH, (_match(wanted, scope), k))
    return tuple(Hit(key, -score) for key, score in rows)


def _match(wanted: tuple[str, ...], scope: Scope) -> str:
    """Words hold letters and digits alone, so quoting them is safe."""
    spaces = " OR ".join(scope_word(scope.tenant, space) for space in scope.spaces)
    terms = " OR ".join(f'"{word}"' for word in wanted)
    language = f" AND scope : {language_word(scope.language)}" if scope.language else ""
    return f"scope : ({spaces}){language} AND words : ({terms})"
