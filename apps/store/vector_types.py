"""Columns for vectors and for words, which SQLite and PostgreSQL keep each in a way of its own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Dialect, LargeBinary, Text, TypeDecorator
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.types import TypeEngine, UserDefinedType

Floats = NDArray[np.float32]

_SENT_BEFORE = 4  # bytes


class PgVector(UserDefinedType[Any]):
    """pgvector's ``vector``, of any number of dimensions."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Return the type's name."""
        return "vector"


ischema_names["vector"] = PgVector  # so that alembic knows the column when it meets it


class Embedding(TypeDecorator[Floats]):
    """A vector: 16-bit floats in SQLite, pgvector's own type in PostgreSQL."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the column's type."""
        return PgVector() if dialect.name == "postgresql" else LargeBinary()

    def process_bind_param(self, value: Floats | None, dialect: Dialect) -> Any:
        """Turn a vector into what the database keeps."""
        if value is None:
            return None
        return as_pgvector(value) if dialect.name == "postgresql" else as_bytes(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Floats | None:
        """Turn what the database keeps into a vector."""
        if value is None:
            return None
        if dialect.name == "postgresql":
            return np.array(value.strip("[]").split(","), dtype=np.float32)
        return np.frombuffer(value, dtype=np.float16).astype(np.float32)


class Terms(TypeDecorator[str]):
    """Words divided by spaces, in lower case, of letters and digits alone, to be searched by.

    Text in SQLite, where FTS5 reads it; a ``tsvector`` with each word's places in PostgreSQL.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the column's type."""
        return TSVECTOR() if dialect.name == "postgresql" else Text()

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Turn words into what the database keeps."""
        if value is None or dialect.name != "postgresql":
            return value
        places: defaultdict[str, list[str]] = defaultdict(list)
        for place, word in enumerate(value.split()[:16_000], 1):  # tsvector's places end at 16,383
            places[word].append(str(place))
        return " ".join(f"'{word}':{','.join(found[:255])}" for word, found in places.items())


def as_bytes(vector: Floats) -> bytes:
    """Return a vector as SQLite keeps it."""
    return vector.astype(np.float16).tobytes()


def as_pgvector(vector: Floats) -> str:
    """Return a vector as pgvector reads it."""
    return "[" + ",".join(f"{value:.6g}" for value in vector.tolist()) + "]"


def vectors_of_bytes(stored: Sequence[bytes]) -> Floats:
    """Return the numbers of vectors as SQLite keeps them, one after another."""
    return np.frombuffer(b"".join(stored), dtype=np.float16).astype(np.float32)


def vectors_of_pgvector(sent: Sequence[bytes]) -> Floats:
    """Return the numbers of vectors as pgvector's ``vector_send`` gives them, one after another.

    Each is two 16-bit numbers (its dimensions, and 0) and its 32-bit floats, in network order.
    """
    numbers = b"".join(vector[_SENT_BEFORE:] for vector in sent)
    return np.frombuffer(numbers, dtype=">f4").astype(np.float32)
