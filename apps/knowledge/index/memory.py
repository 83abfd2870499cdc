"""An index's vectors in memory, kept level with its database."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, text

from apps.knowledge.index.base import Hit, Scope, Vectors
from apps.knowledge.index.shard import Shard
from apps.store.vector_types import vectors_of_bytes, vectors_of_pgvector

_AT_ONCE = 2_000
_State = tuple[int, int]
"""The newest passage's key and the newest removal: both only rise."""

_NEWEST = text(
    "SELECT coalesce((SELECT max(key) FROM kb_chunks), 0),"
    " coalesce((SELECT max(seq) FROM kb_removed), 0)"
)
_ADDED = (
    "SELECT key, tenant, space, language, {embedding} FROM kb_chunks"
    " WHERE key > :key AND model = :model ORDER BY key"
)
_REMOVED = text("SELECT first_key, last_key, seq FROM kb_removed WHERE seq > :seq ORDER BY seq")


class VectorMemory:
    """One shard a tenant, space and language; safe to share between threads.

    Args:
        model: The embedder whose vectors are read.
        dimensions: Of each.
    """

    def __init__(self, model: str, dimensions: int) -> None:
        self._model, self._dimensions = model, dimensions
        self._shards: dict[tuple[str, str, str], Shard] = {}
        self._seen: _State = (0, 0)
        self._turn = threading.Lock()

    def __len__(self) -> int:
        return sum(len(shard) for shard in self._shards.values())

    def search(self, conn: Connection, vector: Vectors, scope: Scope, k: int) -> tuple[Hit, ...]:
        """Return the nearest passages as the database has them now, best first."""
        self.refresh(conn)
        with self._turn:
            found = [
                shard.search(vector, k)
                for (tenant, space, language), shard in self._shards.items()
                if tenant == scope.tenant
                and space in scope.spaces
                and scope.language in (None, language)
            ]
        if not found:
            return ()
        keys = np.concatenate([part[0] for part in found])
        scores = np.concatenate([part[1] for part in found])
        order = np.lexsort((keys, -scores))[:k]
        return tuple(Hit(int(keys[i]), float(scores[i])) for i in order)

    def refresh(self, conn: Connection) -> int:
        """Read what has changed since the last time; returns how many vectors there are."""
        newest = _state(conn)
        if newest == self._seen:
            return len(self)
        with self._turn:
            if newest != self._seen:
                self._read(conn, newest)
        return len(self)

    def _read(self, conn: Connection, newest: _State) -> None:
        last_key, last_removed = self._seen
        gone = conn.execute(_REMOVED, {"seq": last_removed}).all()
        missed = bool(gone) and gone[0].seq > last_removed + 1 and last_key > 0
        if missed or newest < self._seen:
            self._shards, last_key, gone = {}, 0, []
        for first, last, _ in gone:
            for shard in self._shards.values():
                shard.remove(first, last)
        binary = conn.dialect.name == "sqlite"
        added = text(_ADDED.format(embedding="embedding" if binary else "vector_send(embedding)"))
        options = {"stream_results": True, "max_row_buffer": _AT_ONCE}
        values = {"key": last_key, "model": self._model}
        for part in conn.execute(added, values, execution_options=options).partitions(_AT_ONCE):
            self._add(part, vectors_of_bytes if binary else vectors_of_pgvector)
        self._seen = newest

    def _add(self, part: Iterable[Any], decoded: Callable[[Sequence[Any]], Vectors]) -> None:
        groups: dict[tuple[str, str, str], list[tuple[int, Any]]] = {}
        for key, tenant, space, language, embedding in part:
            groups.setdefault((tenant, space, language), []).append((key, embedding))
        for group, rows in groups.items():
            if group not in self._shards:
                self._shards[group] = Shard(self._dimensions)
            keys = np.array([row[0] for row in rows], dtype=np.int64)
            vectors = decoded([row[1] for row in rows])
            self._shards[group].add(keys, vectors.reshape(len(rows), self._dimensions))


def _state(conn: Connection) -> _State:
    key, seq = conn.execute(_NEWEST).one()
    return int(key), int(seq)
