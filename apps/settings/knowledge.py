"""What documents are known, how they are read, and how long looking something up may take."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from apps.settings.base import SettingsGroup, Share


class KnowledgeSettings(SettingsGroup):
    """Which documents are known, and how they are found."""

    kb_dir: Path | None = Field(
        None,
        description="The folder of documents, a folder a knowledge space in it; `documents` in"
        " TOM_PROFILE_DIR when unset, or in TOM_DATA_DIR without that.",
    )
    kb_language: Literal["de", "en"] = Field(
        "de", description="The language of documents whose words do not tell theirs."
    )
    kb_quality_floor: Share = Field(
        0.2, description="Documents of less quality are not indexed: docs/ingestion.md."
    )
    kb_max_file_mb: int = Field(
        64, ge=1, le=2048, description="Documents of more MiB are not read."
    )
    kb_max_passages: int = Field(
        50_000, ge=1, description="Documents that give more passages are not indexed."
    )
    kb_parse_s: float = Field(
        60.0,
        ge=1,
        description="A document that takes longer to parse is given up; large ones have as much "
        "for each 8 MiB, or half of one with TOM_PRIVACY_DETECTOR.",
    )
    kb_parse_memory_mb: int = Field(
        1024,
        ge=256,
        description="MiB of address space of the process that parses documents, beside what a"
        " detector's models hold.",
    )
    kb_quiet_ms: int = Field(
        200,
        ge=20,
        le=60_000,
        description="`tom kb watch` reads a file that was not written for so long.",
    )
    kb_answers: bool = Field(
        True, description="Answer from documents where no entry covers a question."
    )
    kb_deadline_ms: int = Field(
        150,
        ge=10,
        le=5000,
        description="After so long a search in documents gives what it has, and the turn goes on.",
    )
    kb_covered_cosine: float = Field(
        0.0,
        ge=0.0,
        lt=1.0,
        description="With embeddings that know meanings: the cosine from which on a passage covers"
        " a question whatever its words are; 0 leaves it to the words: docs/retrieval.md.",
    )
    embeddings_url: str = Field(
        "",
        description="Base URL of an OpenAI-compatible server of embeddings; without it documents"
        " are found by vectors without weights (docs/index-stores.md), and entries by words alone"
        " (docs/knowledge.md).",
    )
    embeddings_model: str = Field("", description="The model's name at that server.")
    embeddings_api_key: str = Field(
        "", description="That server's key, if it wants one.", json_schema_extra={"secret": True}
    )
    embeddings_dimensions: int = Field(
        768, ge=2, le=4000, description="How many numbers a vector of that model has."
    )
