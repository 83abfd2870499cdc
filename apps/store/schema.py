"""What the tables of TOM are made of, and the one that belongs to all.

The tables stand beside this, a module a subject; ``tables.py`` has them all. A change to one needs
a migration in ``migrations/versions`` (a test checks).

Rows carry their tenant and, where they stem from a person, that person's pseudonymous subject key.
Ids of calls and persons are keyed hashes (``apps.core.ids.keyed_hash``), never the ids themselves.
Times say no more than the hour; ``seq`` tells the order.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)
from sqlalchemy.dialects.postgresql import JSONB

from apps.core.ids import DEFAULT_TENANT

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment in UTC; SQLite alone would give it back naive."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn an aware moment into UTC; a naive one is refused.

        Raises:
            ValueError: The moment does not say its zone.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored moment must be aware")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the moment back aware, in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


JSON_VALUE = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
SEQ = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER counts up by itself in SQLite
REF = String(64)
NAME = String(120)


def seq() -> Column[int]:
    """Return the column that numbers rows in the order in which they came."""
    return Column("seq", SEQ, primary_key=True, autoincrement=True)


def tenant() -> Column[str]:
    """Return the column of whose a row is."""
    return Column("tenant", NAME, nullable=False, server_default=DEFAULT_TENANT)


meta = Table(
    "meta",
    metadata,
    Column("key", NAME, primary_key=True),
    Column("value", Text, nullable=False),
)
