"""Documents, their passages and the graph of knowledge; what was looked up in a call.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SEQ = sa.BigInteger().with_variant(sa.Integer, "sqlite")
NAME = sa.String(length=120)
REF = sa.String(length=64)
LANGUAGE = sa.String(length=8)
MOMENT = sa.DateTime(timezone=True)
JSON_VALUE = sa.JSON(none_as_null=True).with_variant(
    postgresql.JSONB(none_as_null=True), "postgresql"
)
WORDS = sa.Text().with_variant(postgresql.TSVECTOR(), "postgresql")

FTS5 = (
    "CREATE VIRTUAL TABLE kb_words USING fts5(scope, words, content='kb_chunks',"
    " content_rowid='key', tokenize='unicode61 remove_diacritics 0')",
    "CREATE TRIGGER kb_words_added AFTER INSERT ON kb_chunks BEGIN"
    " INSERT INTO kb_words (rowid, scope, words) VALUES (new.key, new.scope, new.words); END",
    "CREATE TRIGGER kb_words_removed AFTER DELETE ON kb_chunks BEGIN"
    " INSERT INTO kb_words (kb_words, rowid, scope, words)"
    " VALUES ('delete', old.key, old.scope, old.words); END",
)


def upgrade() -> None:
    _create_documents()
    _create_graph()
    _create_log()
    if op.get_bind().dialect.name == "sqlite":
        for statement in FTS5:
            op.execute(statement)
        for table in ("kb_chunks", "knowledge_graph_nodes"):
            op.add_column(table, sa.Column("embedding", sa.LargeBinary(), nullable=True))
    else:
        op.execute("CREATE INDEX gin_kb_chunks_words ON kb_chunks USING gin (words)")
        _add_pgvector()


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER kb_words_removed")
        op.execute("DROP TRIGGER kb_words_added")
        op.execute("DROP TABLE kb_words")
    for table in (
        "rag_retrieval_log",
        "knowledge_graph_edges",
        "knowledge_graph_nodes",
        "kb_removed",
        "kb_chunks",
        "kb_documents",
    ):
        op.drop_table(table)


def _add_pgvector() -> None:
    """Where the server has no pgvector, calls go on without documents.

    The index of documents adds the columns itself (apps.store.pgvector) once it has.
    """
    bind = op.get_bind()
    available = "SELECT 1 FROM pg_available_extensions WHERE name = 'vector'"
    if bind.exec_driver_sql(available).first() is None:
        return
    try:
        with bind.begin_nested():
            bind.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS vector")
    except sa.exc.SQLAlchemyError:  # this user may not
        return
    for table in ("kb_chunks", "knowledge_graph_nodes"):
        op.execute(f"ALTER TABLE {table} ADD COLUMN embedding vector")


def _create_documents() -> None:
    op.create_table(
        "kb_documents",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("tenant", NAME, server_default="default", nullable=False),
        sa.Column("document_id", sa.Text(), nullable=False),
        sa.Column("space", NAME, nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("media_type", NAME, nullable=False),
        sa.Column("language", LANGUAGE, nullable=False),
        sa.Column("sha256", REF, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("quality", sa.Float(), nullable=False),
        sa.Column("recipe", NAME, server_default="", nullable=False),
        sa.Column("chunks", sa.Integer(), nullable=False),
        sa.Column("at_hour", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_kb_documents")),
        sa.UniqueConstraint(
            "tenant", "document_id", name=op.f("uq_kb_documents_tenant_document_id")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_kb_documents_tenant_space"), "kb_documents", ["tenant", "space"])
    op.create_table(
        "kb_chunks",
        sa.Column("key", SEQ, autoincrement=True, nullable=False),
        sa.Column("document_seq", SEQ, nullable=False),
        sa.Column("tenant", NAME, server_default="default", nullable=False),
        sa.Column("space", NAME, nullable=False),
        sa.Column("language", LANGUAGE, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("headings", JSON_VALUE, nullable=False),
        sa.Column("page", sa.Integer(), nullable=True),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("words", WORDS, nullable=False),
        sa.Column("model", NAME, nullable=True),
        sa.ForeignKeyConstraint(
            ["document_seq"],
            ["kb_documents.seq"],
            name=op.f("fk_kb_chunks_document_seq_kb_documents"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_kb_chunks")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_kb_chunks_document_seq"), "kb_chunks", ["document_seq"])
    op.create_table(
        "kb_removed",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("first_key", sa.BigInteger(), nullable=False),
        sa.Column("last_key", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_kb_removed")),
        sqlite_autoincrement=True,
    )


def _create_graph() -> None:
    op.create_table(
        "knowledge_graph_nodes",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("tenant", NAME, server_default="default", nullable=False),
        sa.Column("node_id", REF, nullable=False),
        sa.Column("node_type", NAME, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("language", LANGUAGE, nullable=True),
        sa.Column("space", NAME, nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("data", JSON_VALUE, server_default="{}", nullable=False),
        sa.Column("model", NAME, nullable=True),
        sa.Column("at_hour", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_knowledge_graph_nodes")),
        sa.UniqueConstraint("tenant", "node_id", name=op.f("uq_knowledge_graph_nodes_tenant_node_id")),
        sqlite_autoincrement=True,
    )
    for column in ("node_type", "source"):
        op.create_index(
            op.f(f"ix_knowledge_graph_nodes_tenant_{column}"),
            "knowledge_graph_nodes",
            ["tenant", column],
        )
    op.create_table(
        "knowledge_graph_edges",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("tenant", NAME, server_default="default", nullable=False),
        sa.Column("edge_type", NAME, nullable=False),
        sa.Column("from_seq", SEQ, nullable=False),
        sa.Column("to_seq", SEQ, nullable=False),
        sa.Column("weight", sa.Float(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("at_hour", MOMENT, nullable=False),
        *(
            sa.ForeignKeyConstraint(
                [column],
                ["knowledge_graph_nodes.seq"],
                name=op.f(f"fk_knowledge_graph_edges_{column}_knowledge_graph_nodes"),
                ondelete="CASCADE",
            )
            for column in ("from_seq", "to_seq")
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_knowledge_graph_edges")),
        sa.UniqueConstraint(
            "from_seq",
            "edge_type",
            "to_seq",
            name=op.f("uq_knowledge_graph_edges_from_seq_edge_type_to_seq"),
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_knowledge_graph_edges_tenant_source"),
        "knowledge_graph_edges",
        ["tenant", "source"],
    )
    op.create_index(op.f("ix_knowledge_graph_edges_to_seq"), "knowledge_graph_edges", ["to_seq"])


def _create_log() -> None:
    op.create_table(
        "rag_retrieval_log",
        sa.Column("seq", SEQ, autoincrement=True, nullable=False),
        sa.Column("tenant", NAME, server_default="default", nullable=False),
        sa.Column("call_ref", REF, nullable=True),
        sa.Column("turn_id", sa.Integer(), nullable=True),
        sa.Column("profile", NAME, nullable=False),
        sa.Column("language", LANGUAGE, nullable=False),
        sa.Column("spaces", JSON_VALUE, nullable=False),
        sa.Column("query_hash", REF, nullable=False),
        sa.Column("candidates", JSON_VALUE, nullable=False),
        sa.Column("stages_ms", JSON_VALUE, nullable=False),
        sa.Column("found", sa.Integer(), nullable=False),
        sa.Column("deadline_hit", sa.Boolean(), nullable=False),
        sa.Column("at_hour", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_rag_retrieval_log")),
        sqlite_autoincrement=True,
    )
    for column in ("call_ref", "at_hour"):
        op.create_index(op.f(f"ix_rag_retrieval_log_{column}"), "rag_retrieval_log", [column])
