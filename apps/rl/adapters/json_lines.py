"""Reads JSON lines of one kind, strictly: what does not fit is named with its line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from apps.core.errors import ConfigError

Row = TypeVar("Row", bound=BaseModel)


def read_rows(path: Path, kind: type[Row], *, hint: str = "") -> Iterator[Row]:
    """Yield the rows of a JSONL file, one a line; blank lines are passed over.

    Args:
        path: The file.
        kind: What each line must be.
        hint: Where its form is told.

    Raises:
        ConfigError: The file cannot be read, or a line is none of these; it names the line.
    """
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):  # noqa: B007 - the error names it
                if line.strip():
                    yield kind.model_validate_json(line)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the line"
        raise ConfigError(f"{path}, line {number}: {where}: {first['msg']}.", hint=hint) from None
