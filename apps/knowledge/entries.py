"""Reads a knowledge folder: Markdown files of questions, their variants and their answers.

The format is described in docs/knowledge.md. Reading is strict: what does not fit is an error
that names the file and the line, because a half-read knowledge base answers wrongly in silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from apps.core.errors import ConfigError
from apps.core.sentences import split_sentences

LANGUAGES = ("de", "en")
ELSEWHERE = "elsewhere.md"
"""The file of a profile and language that lists what its entries do not answer."""
_ALSO_ASKED = ("also asked:", "auch gefragt:")
_NOT_ANSWERED = ("not answered here:", "hier nicht beantwortet:")
_QUESTION = re.compile(r"^## (?P<question>.+?)\s*\{#(?P<id>[a-z0-9]+(?:-[a-z0-9]+)*)\}\s*$")


@dataclass(frozen=True, slots=True)
class Entry:
    """One question that the knowledge base answers.

    Attributes:
        id: Stable and the same in every language, e.g. ``reg-new``.
        question: The canonical question.
        variants: The same question in callers' words.
        sentences: The answer, each sentence to be understood on its own.
        topic: The file's topic, e.g. ``registration``.
        language: ``de`` or ``en``.
        profile: The profile it belongs to.
        source: Where it stands, for citations: ``kfz/en/registration.md#reg-new``.
    """

    id: str
    question: str
    variants: tuple[str, ...]
    sentences: tuple[str, ...]
    topic: str
    language: str
    profile: str
    source: str

    @property
    def answer(self) -> str:
        """The whole answer."""
        return " ".join(self.sentences)


@dataclass(slots=True)
class _Draft:
    """An entry while its lines are read."""

    id: str
    question: str
    line: int
    variants: list[str] = field(default_factory=list)
    answer: list[str] = field(default_factory=list)
    in_variants: bool = False


def load_entries(folder: Path) -> tuple[Entry, ...]:
    """Read every ``<profile>/<language>/*.md`` below a folder, in a stable order.

    Raises:
        ConfigError: The folder holds no entry, a file breaks the format, or an id is used twice
            for one profile and language; the message names file and line.
    """
    entries: dict[tuple[str, str, str], Entry] = {}
    for path in sorted(folder.glob("*/*/*.md")):
        if path.parent.name not in LANGUAGES or path.name == ELSEWHERE:
            continue
        for entry, line in read_file(path, folder):
            key = (entry.profile, entry.language, entry.id)
            if key in entries:
                raise _error(path, line, f"the id {entry.id} is used in {entries[key].source} too")
            entries[key] = entry
    if not entries:
        raise ConfigError(
            f"No knowledge in {folder}.",
            hint="Put Markdown files under <profile>/<language>/; docs/knowledge.md has the form.",
        )
    return tuple(entries.values())


def load_elsewhere(folder: Path) -> dict[tuple[str, str], tuple[str, ...]]:
    """Read what the entries below a folder do not answer, as far as somebody wrote it down.

    Returns:
        Callers' questions by profile and language.

    Raises:
        ConfigError: A file breaks the format; the message names file and line.
    """
    found = {}
    for path in sorted(folder.glob(f"*/*/{ELSEWHERE}")):
        if path.parent.name in LANGUAGES:
            found[path.parent.parent.name, path.parent.name] = tuple(_elsewhere(path))
    return found


def _elsewhere(path: Path) -> Iterator[str]:
    lines = _lines(path)
    _, body_at = _front_matter(path, lines)
    for number, raw in enumerate(lines[body_at:], start=body_at + 1):
        line = raw.strip()
        if line.startswith(("- ", "* ")):
            yield line[2:].strip()
        elif line and not line.startswith("# ") and line.lower() not in _NOT_ANSWERED:
            raise _error(path, number, "here stand questions alone, each behind `- `")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"Cannot read {path}: {error}.", hint="Save it as UTF-8 text.") from error


def read_file(path: Path, root: Path) -> Iterator[tuple[Entry, int]]:
    """Yield the entries of one file, each with the line of its heading.

    Raises:
        ConfigError: The file breaks the format; the message names file and line.
    """
    lines = _lines(path)
    meta, body_at = _front_matter(path, lines)
    source = path.relative_to(root).as_posix()
    for draft in _drafts(path, lines, body_at):
        yield (
            Entry(
                id=draft.id,
                question=draft.question,
                variants=tuple(draft.variants),
                sentences=tuple(split_sentences(" ".join(draft.answer))),
                topic=meta["topic"],
                language=meta["language"],
                profile=meta["profile"],
                source=f"{source}#{draft.id}",
            ),
            draft.line,
        )


def _front_matter(path: Path, lines: list[str]) -> tuple[dict[str, str], int]:
    """Return the front matter and the index of the first line behind it."""
    if not lines or lines[0].strip() != "---":
        raise _error(path, 1, "the file must open with front matter between two lines of ---")
    meta: dict[str, str] = {}
    for index, line in enumerate(lines[1:], start=1):
        if line.strip() == "---":
            _check_meta(path, meta)
            return meta, index + 1
        name, colon, value = line.partition(":")
        if not colon or not value.strip():
            raise _error(path, index + 1, "front matter holds lines such as `topic: fees`")
        meta[name.strip()] = value.strip().strip("\"'")
    raise _error(path, 1, "the front matter is not closed by ---")


def _check_meta(path: Path, meta: dict[str, str]) -> None:
    folders = {"profile": path.parent.parent.name, "language": path.parent.name}
    for name in ("profile", "language", "topic"):
        if name not in meta:
            raise _error(path, 1, f"the front matter lacks `{name}`")
    for name, folder in folders.items():
        if meta[name] != folder:
            raise _error(path, 1, f"`{name}: {meta[name]}` does not match its folder, {folder}")


def _drafts(path: Path, lines: list[str], body_at: int) -> Iterator[_Draft]:
    """Yield one draft for each ``##`` section."""
    draft: _Draft | None = None
    for number, raw in enumerate(lines[body_at:], start=body_at + 1):
        line = raw.strip()
        if line.startswith("## "):
            if draft is not None:
                yield _complete(path, draft)
            match = _QUESTION.match(line)
            if match is None:
                raise _error(path, number, "a question reads `## How do I ...? {#stable-id}`")
            draft = _Draft(match["id"], match["question"], number)
        elif line.startswith("#") or not line:
            continue
        elif draft is None:
            raise _error(path, number, "text stands before the first `## question {#id}`")
        else:
            _add_line(path, draft, number, line)
    if draft is not None:
        yield _complete(path, draft)


def _add_line(path: Path, draft: _Draft, number: int, line: str) -> None:
    """Put one line of a section where it belongs."""
    if line.lower() in _ALSO_ASKED:
        draft.in_variants = True
    elif line.startswith(("- ", "* ")):
        if not draft.in_variants:
            raise _error(path, number, "a list belongs under `Also asked:`; answers are prose")
        draft.variants.append(line[2:].strip())
    else:
        draft.in_variants = False
        draft.answer.append(line)


def _complete(path: Path, draft: _Draft) -> _Draft:
    if not draft.answer:
        raise _error(path, draft.line, f"the entry {draft.id} has no answer")
    return draft


def _error(path: Path, line: int, what: str) -> ConfigError:
    return ConfigError(f"{path}, line {line}: {what}.", hint="docs/knowledge.md has the form.")
