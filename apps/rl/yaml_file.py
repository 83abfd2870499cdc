"""A YAML file as data, with the line of every key, so that mistakes can be named by their line.

Candidates' files may come from elsewhere. So what a few lines can make endless, or deeper than
Python's stack, is refused before anything is built of it; any other error is a ``ConfigError``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from apps.core.errors import ConfigError

Lines = Mapping[tuple[str, ...], int]
"""The line, from 1, of every key, by the keys around it and its own."""

MAX_BYTES = 1_000_000
MAX_DEPTH = 20
"""Collections inside each other; a policy file has four."""

_HINT = "docs/policies/prompt_variants.yaml in the sources shows what is expected."


def read_yaml(path: Path, *, what: str = "file", hint: str = "") -> tuple[Any, Lines]:
    """Return what a file says, and the lines of its keys.

    Args:
        path: The file.
        what: What it is called where it cannot be read.
        hint: What to do then.

    Raises:
        ConfigError: It cannot be read, is no YAML, says a key twice, or is larger or more tangled
            than such a file can be.
    """
    text = _text(path, what, hint)
    try:
        _refuse_tangles(path, text)
        return yaml.safe_load(text), _lines(path, text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it is not YAML"
        raise ConfigError(f"{path.name}{line}: {problem}.", hint="Is the indent right?") from None
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        # PyYAML's own constructors, at a date, a number or a tagged word that cannot be.
        raise ConfigError(f"{path.name}: a value cannot be ({error}).", hint=_HINT) from None


def mistake(
    path: Path, lines: Lines, where: tuple[Any, ...], message: str, hint: str = ""
) -> ConfigError:
    """Say which line is wrong: that of the key, or of the nearest one around it."""
    keys = tuple(str(part) for part in where if part != "[key]")
    known = next((keys[:n] for n in range(len(keys), 0, -1) if keys[:n] in lines), ())
    line = f":{lines[known]}" if known else ""
    return ConfigError(
        f"{path.name}{line}: {'.'.join(keys) or 'the file'}: {message}", hint=hint or _HINT
    )


def _text(path: Path, what: str, hint: str) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The {what} {path} cannot be read: {error}.", hint=hint) from error
    if len(data) > MAX_BYTES:
        raise ConfigError(f"The {what} {path} has more than {MAX_BYTES} bytes.", hint=hint)
    return text


def _refuse_tangles(path: Path, text: str) -> None:
    """Look at the text token by token: nothing is built of it, so nothing can grow."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            problem = "aliases (*name) are not read; say it again where it holds"
        else:
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth <= MAX_DEPTH:
                continue
            problem = "it is nested too deeply"
        line = f":{event.start_mark.line + 1}" if event.start_mark else ""
        raise ConfigError(f"{path.name}{line}: {problem}.", hint=_HINT)


def _lines(path: Path, text: str) -> Lines:
    lines: dict[tuple[str, ...], int] = {}

    def walk(node: yaml.Node | None, keys: tuple[str, ...]) -> None:
        if not isinstance(node, yaml.MappingNode):
            return
        for key, value in node.value:
            here = (*keys, str(key.value))
            if here in lines:
                raise mistake(path, {here: key.start_mark.line + 1}, here, "It is said twice.")
            lines[here] = key.start_mark.line + 1
            walk(value, here)

    walk(yaml.compose(text, Loader=yaml.SafeLoader), ())
    return lines
