"""What a space's ``space.yaml`` says of its documents."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from apps.core.errors import ConfigError
from apps.core.redaction import VERSION as REDACTION_VERSION

FILE_NAME = "space.yaml"
_MOST_BYTES = 1_048_576
READERS_VERSION = 1
"""Raised when documents are read or cut otherwise than before, so that all are read again."""

Language = Literal["de", "en"]
LANGUAGES: tuple[Language, ...] = ("de", "en")


class SpaceRules(BaseModel):
    """How a space's documents are read.

    Attributes:
        public: What is not redacted, as ``PublicFacts.of`` takes it.
        language: Of all its documents; found out when it is not given.
        domain: Words that its documents should speak of, for their quality.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    public: tuple[str, ...] = ()
    language: Language | None = None
    domain: tuple[str, ...] = Field(default=(), max_length=1000)

    def recipe(self, detector: str = "") -> str:
        """Return a fingerprint of all that changes what is made of a file.

        Args:
            detector: The fingerprint of the detector of personal data; empty without one.
        """
        parts = [READERS_VERSION, REDACTION_VERSION, self.model_dump()]
        said = json.dumps([*parts, detector] if detector else parts, sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    def language_of(self, source: str) -> Language | None:
        """Return a document's language where a folder above it (``de/``) or the space says it."""
        folders = reversed(PurePosixPath(source).parts[:-1])
        told = (language for part in folders for language in LANGUAGES if part == language)
        return next(told, self.language)


def load_rules(folder: Path) -> SpaceRules:
    """Read a space's rules; the defaults where it has none.

    Raises:
        ConfigError: The file cannot be used; nothing of the space is read before it can.
    """
    path = folder / FILE_NAME
    try:
        if not path.exists():
            return SpaceRules()
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it is no file of at most {_MOST_BYTES // 1024} KiB")
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
        return SpaceRules() if told is None else SpaceRules.model_validate(told)
    except FileNotFoundError:
        return SpaceRules()
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise ConfigError(
            f"{path} cannot be used: {_why(error)}.",
            hint="It may hold `public`, `language` and `domain`: docs/ingestion.md.",
        ) from None


def _why(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        return f"{where}: {first['msg']}" if where else first["msg"]
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return str(error).splitlines()[0].rstrip(".")
