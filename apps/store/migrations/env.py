"""Alembic's entry: runs the migrations on the connection that ``migrate`` hands over."""

from alembic import context

from apps.store.knowledge_tables import beside_alembic
from apps.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    include_name=beside_alembic,
    render_as_batch=True,  # SQLite changes a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
