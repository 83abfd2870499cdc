"""Documents and passages as rows: what both databases write and read alike."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from apps.core.clock import utc_hour, utc_now
from apps.core.errors import StoreError
from apps.knowledge.index.analysis import passage_words
from apps.knowledge.index.base import Chunk, Document, StoredChunk, Vectors
from apps.store.knowledge_tables import kb_chunks, kb_documents, kb_removed

_AT_ONCE = 500
"""Rows of one statement: both databases bound how many parameters it may have."""
_KEPT_REMOVALS = 10_000
"""A process that is further behind reads every vector anew."""

_document_columns = (
    kb_documents.c.document_id,
    kb_documents.c.space,
    kb_documents.c.title,
    kb_documents.c.source,
    kb_documents.c.media_type,
    kb_documents.c.language,
    kb_documents.c.sha256,
    kb_documents.c.size,
    kb_documents.c.mtime_ns,
    kb_documents.c.quality,
    kb_documents.c.tenant,
    kb_documents.c.recipe,
)


def scope_word(tenant: str, space: str, language: str) -> str:
    """Return the word by which FTS5 knows a tenant's passages of a space in a language.

    One word for the three, since each further list of passages costs a search milliseconds.
    """
    told = f"{tenant}\0{space}\0{language}".encode()
    return "s" + hashlib.blake2b(told, digest_size=10).hexdigest()


def check_vectors(chunks: Sequence[Chunk], vectors: Vectors, dimensions: int) -> None:
    """Refuse vectors that are not one a chunk, of the index's dimensions.

    Raises:
        StoreError: They are not.
    """
    if vectors.shape != (len(chunks), dimensions):
        raise StoreError(
            f"The index takes {len(chunks)} vectors of {dimensions} dimensions, not"
            f" {' x '.join(map(str, vectors.shape))}.",
            hint="Embed the passages with the embedder that the index was opened with.",
        )


def prepare(document: Document, chunks: Sequence[Chunk], vectors: Vectors, model: str) -> list[Any]:
    """Return the rows of a document's passages, without the document's own number."""
    return [
        {
            "tenant": document.tenant,
            "space": document.space,
            "language": chunk.language,
            "position": chunk.position,
            "text": chunk.text,
            "headings": list(chunk.headings),
            "page": chunk.page,
            "scope": scope_word(document.tenant, document.space, chunk.language),
            "words": passage_words(document, chunk),
            "model": model,
            "embedding": vector,
        }
        for chunk, vector in zip(chunks, vectors, strict=True)
    ]


def replace(conn: Connection, document: Document, rows: Sequence[dict[str, Any]]) -> None:
    """Put a document in the place of what it was before."""
    remove(conn, [document.id], document.tenant)
    seq = conn.execute(
        insert(kb_documents).returning(kb_documents.c.seq),
        {**_document_row(document), "chunks": len(rows)},
    ).scalar_one()
    if rows:
        added = insert(kb_chunks).inline()
        conn.execute(added, [{**row, "document_seq": seq} for row in rows])


def touch(conn: Connection, document: Document) -> None:
    """Note new facts of a document whose passages stay."""
    mine = (kb_documents.c.tenant == document.tenant, kb_documents.c.document_id == document.id)
    conn.execute(update(kb_documents).where(*mine).values(_document_row(document)))


def remove(conn: Connection, ids: Sequence[str], tenant: str) -> int:
    """Take documents out; returns how many there were."""
    gone = 0
    for start in range(0, len(ids), _AT_ONCE):
        found = conn.execute(_FIND, {"tenant": tenant, "ids": list(ids[start : start + _AT_ONCE])})
        seqs = list(found.scalars())
        if not seqs:
            continue
        gone += len(seqs)
        _note_removed(conn, seqs)
        conn.execute(delete(kb_chunks).where(kb_chunks.c.document_seq.in_(seqs)))
        conn.execute(delete(kb_documents).where(kb_documents.c.seq.in_(seqs)))
    return gone


def documents(conn: Connection, tenant: str, space: str | None) -> tuple[Document, ...]:
    """Return what is indexed, by id."""
    query = select(*_document_columns).where(kb_documents.c.tenant == tenant)
    if space is not None:
        query = query.where(kb_documents.c.space == space)
    rows = conn.execute(query.order_by(kb_documents.c.document_id))
    return tuple(Document(*row) for row in rows)


def chunks(conn: Connection, keys: Sequence[int]) -> tuple[StoredChunk, ...]:
    """Return passages by their keys, in that order; those that are gone are left out."""
    found: dict[int, StoredChunk] = {}
    wanted = list(dict.fromkeys(keys))
    for start in range(0, len(wanted), _AT_ONCE):
        rows = conn.execute(_CHUNKS, {"keys": wanted[start : start + _AT_ONCE]})
        found.update((row[0], _stored(tuple(row))) for row in rows)
    return tuple(found[key] for key in keys if key in found)


def outdated(conn: Connection, model: str, tenant: str) -> tuple[str, ...]:
    """Return the ids of the documents whose vectors another embedder made, or none."""
    rows = conn.execute(
        select(kb_documents.c.document_id)
        .join(kb_chunks)
        .where(kb_documents.c.tenant == tenant, kb_chunks.c.model.is_distinct_from(model))
        .distinct()
        .order_by(kb_documents.c.document_id)
    )
    return tuple(rows.scalars())


_FIND = select(kb_documents.c.seq).where(
    kb_documents.c.tenant == bindparam("tenant"),
    kb_documents.c.document_id.in_(bindparam("ids", expanding=True)),
)
_CHUNKS = (
    select(
        kb_chunks.c.key,
        kb_chunks.c.position,
        kb_chunks.c.text,
        kb_chunks.c.headings,
        kb_chunks.c.page,
        kb_chunks.c.language,
        *_document_columns,
    )
    .join(kb_documents)
    .where(kb_chunks.c.key.in_(bindparam("keys", expanding=True)))
)


def _document_row(document: Document) -> dict[str, Any]:
    row = asdict(document)
    row["document_id"] = row.pop("id")
    return {**row, "at_hour": utc_hour(utc_now())}


def _stored(row: Sequence[Any]) -> StoredChunk:
    key, position, text, headings, page, language, *document = row
    chunk = Chunk(position, text, tuple(headings), page, language)
    return StoredChunk(key, chunk, Document(*document))


def _note_removed(conn: Connection, seqs: Sequence[int]) -> None:
    """Say which passages go; a document's have neighbouring keys, for writers take turns."""
    ranges = conn.execute(
        select(func.min(kb_chunks.c.key), func.max(kb_chunks.c.key))
        .where(kb_chunks.c.document_seq.in_(seqs))
        .group_by(kb_chunks.c.document_seq)
    )
    rows = [{"first_key": first, "last_key": last} for first, last in ranges]
    if rows:
        conn.execute(insert(kb_removed).inline(), rows)
        newest = select(func.max(kb_removed.c.seq)).scalar_subquery()
        conn.execute(delete(kb_removed).where(kb_removed.c.seq < newest - _KEPT_REMOVALS))
