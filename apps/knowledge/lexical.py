"""The full-text index: SQLite FTS5 with BM25, one table per language, cached by content."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import structlog

from apps.knowledge.entries import Entry
from apps.knowledge.terms import content_words, lexicon, stem

_log = structlog.get_logger(__name__)

# Raise when what is stored for the same content changes, so that old cache files are not used.
_FORMAT = 2
# How much a hit counts in the question, in its variants and in the answer.
_COLUMN_WEIGHTS = (3.0, 2.0, 1.0)
_TOKENIZERS = {"en": "porter unicode61", "de": "unicode61"}


class LexicalIndex:
    """BM25 over the entries of one knowledge base.

    Args:
        entries: All entries, of every profile and language.
        cache_dir: Where the database is kept between starts; None keeps it in memory.
    """

    def __init__(self, entries: Sequence[Entry], cache_dir: Path | None = None) -> None:
        self._entries = entries
        path = _cache_path(entries, cache_dir) if cache_dir is not None else None
        if path is None:
            self._db = sqlite3.connect(":memory:")
            _fill(self._db, entries)
        else:
            if not _usable(path):
                _build_file(path, entries)
            self._db = _open_readonly(path)

    def search(self, query: str, *, language: str, profile: str) -> dict[int, float]:
        """Return the BM25 score, > 0 and higher for better, of each entry that has a query word.

        Returns:
            Scores by the entry's position in the entries given at the start.
        """
        wanted = content_words(query, language)
        synonyms = lexicon(language).synonyms
        wanted += [other for word in wanted for other in synonyms.get(word, ())]
        if language == "de":
            wanted = [stem(word, language) for word in wanted]
        if not wanted:
            return {}
        # Words hold letters and digits alone, so quoting them is safe.
        match = " OR ".join(f'"{word}"' for word in dict.fromkeys(wanted))
        rows = self._db.execute(
            f"SELECT rowid, bm25(entries_{language}, 0, {_weights()}) FROM entries_{language}"  # noqa: S608
            f" WHERE entries_{language} MATCH ? AND profile = ?",
            (match, profile),
        )
        return {rowid - 1: -score for rowid, score in rows}

    def close(self) -> None:
        """Close the database."""
        self._db.close()


def _weights() -> str:
    return ", ".join(str(weight) for weight in _COLUMN_WEIGHTS)


def content_hash(entries: Sequence[Entry]) -> str:
    """Return a hash that changes whenever an entry or the way it is stored does."""
    digest = hashlib.sha256(str(_FORMAT).encode())
    for entry in entries:
        digest.update(repr(entry).encode())
    for language in _TOKENIZERS:
        digest.update(repr(sorted(lexicon(language).stop_words)).encode())
    return digest.hexdigest()[:16]


def _cache_path(entries: Sequence[Entry], cache_dir: Path) -> Path:
    return cache_dir / f"knowledge-{content_hash(entries)}.db"


def _open_readonly(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True)


def _usable(path: Path) -> bool:
    """Return whether a cached database is there and holds the tables."""
    if not path.exists():
        return False
    try:
        with closing(_open_readonly(path)) as db:
            for language in _TOKENIZERS:
                db.execute(f"SELECT count(*) FROM entries_{language}")  # noqa: S608
    except sqlite3.DatabaseError:
        _log.warning("knowledge index damaged, building it anew", path=str(path))
        return False
    return True


def _build_file(path: Path, entries: Sequence[Entry]) -> None:
    """Write the database beside its place and move it there whole, so that a crash leaves none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}.draft")
    draft.unlink(missing_ok=True)
    with closing(sqlite3.connect(draft)) as db:
        _fill(db, entries)
    draft.replace(path)
    for old in path.parent.glob("knowledge-*.db"):
        if old != path:
            old.unlink(missing_ok=True)
    _log.info("knowledge index built", entries=len(entries))


def _fill(db: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    for language, tokenizer in _TOKENIZERS.items():
        db.execute(
            f"CREATE VIRTUAL TABLE entries_{language} USING fts5("
            f"profile UNINDEXED, question, variants, answer, tokenize = '{tokenizer}')"
        )
    for position, entry in enumerate(entries):
        texts = ((entry.question,), entry.variants, entry.sentences)
        db.execute(
            f"INSERT INTO entries_{entry.language} (rowid, profile, question, variants, answer)"  # noqa: S608
            " VALUES (?, ?, ?, ?, ?)",
            (position + 1, entry.profile, *(_stored(group, entry.language) for group in texts)),
        )
    db.commit()


def _stored(texts: Sequence[str], language: str) -> str:
    """Return texts as they are indexed; German is stemmed here, English by FTS5's Porter.

    One by one, for the parts of a split verb stand in one sentence.
    """
    found = [word for text in texts for word in content_words(text, language)]
    return " ".join(stem(word, language) if language == "de" else word for word in found)
