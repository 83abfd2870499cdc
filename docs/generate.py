"""Writes the parts of the docs that the code knows best, between their markers.

Run `make docs` after a change to the call's state machine, to what imports what, or to the sample
knowledge, whose thresholds are written beside its lexicon; tests compare what is committed with
what this would write.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from apps.dispatcher.fsm_diagram import guards_markdown, mermaid, table_markdown
from apps.knowledge.entries import load_elsewhere, load_entries
from apps.knowledge.kept import SAMPLE_CHANCES, sample_chances
from apps.rl.adapters.rollout.diagram import effects_list, rollout_mermaid, rollout_table

DOCS = Path(__file__).parent
APPS = DOCS.parent / "apps"

Imports = dict[str, set[str]]


def pages() -> dict[str, dict[str, str]]:
    """Return the generated blocks of every page that has some."""
    imports = room_imports(APPS)
    return {
        "call-fsm.md": {
            "diagram": _mermaid(mermaid()),
            "guards": guards_markdown(),
            "table": table_markdown(),
        },
        "adapters.md": {
            "diagram": _mermaid(rollout_mermaid()),
            "table": rollout_table(),
            "effects": effects_list(),
        },
        "architecture.md": {
            "rooms": _mermaid(rooms_diagram(imports)),
            "imports": imports_table(imports),
        },
    }


def renewed(text: str, blocks: Mapping[str, str]) -> str:
    """Return a page with its generated blocks written anew.

    Raises:
        ValueError: The page has no place for a block.
    """
    for name, block in blocks.items():
        begin, end = f"<!-- generated: {name} -->", "<!-- end -->"
        place = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        new = f"{begin}\n{block}\n{end}"
        text, count = place.subn(lambda _, new=new: new, text)
        if count != 1:
            raise ValueError(f"{begin} must stand in the page once")
    return text


def room_imports(folder: Path) -> Imports:
    """Return which rooms each room imports, read off the source."""
    imports: Imports = {}
    for path in sorted(folder.rglob("*.py")):
        room = path.relative_to(folder).parts[0].removesuffix(".py")
        if room != "__init__":
            imported = set(_imported_rooms(ast.parse(path.read_text(encoding="utf-8"))))
            imports.setdefault(room, set()).update(imported - {room})
    return imports


def _imported_rooms(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "apps":
            names = [f"apps.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        for name in names:
            package, _, rest = name.partition(".")
            if package == "apps" and rest:
                yield rest.split(".")[0]


def rooms_diagram(imports: Imports) -> str:
    """Return the rooms and their arrows; an arrow that follows from others is left out."""
    lines = ["flowchart TD"]
    for room in sorted(imports, key=lambda r: (-len(_reached(imports, r)), r)):
        farther = {far for near in imports[room] for far in _reached(imports, near)}
        lines += [f"    {room} --> {near}" for near in sorted(imports[room] - farther)]
    return "\n".join(lines)


def imports_table(imports: Imports) -> str:
    """Return every room with all rooms that it imports itself."""
    lines = ["| room | imports |", "|---|---|"]
    for room in sorted(imports, key=lambda r: (-len(_reached(imports, r)), r)):
        named = ", ".join(f"`{near}`" for near in sorted(imports[room])) or "nothing of TOM's"
        lines.append(f"| `{room}` | {named} |")
    return "\n".join(lines)


def _reached(imports: Imports, room: str) -> set[str]:
    """Return all rooms that a room uses, directly or by way of others."""
    reached: set[str] = set()
    ahead = set(imports.get(room, ()))
    while ahead:
        near = ahead.pop()
        if near not in reached:
            reached.add(near)
            ahead |= imports.get(near, set())
    return reached


def _mermaid(diagram: str) -> str:
    return f"```mermaid\n{diagram}\n```"


if __name__ == "__main__":
    for name, blocks in pages().items():
        page = DOCS / name
        page.write_text(renewed(page.read_text(encoding="utf-8"), blocks), encoding="utf-8")
    known = SAMPLE_CHANCES.read_text(encoding="utf-8")
    knowledge = DOCS / "knowledge"
    chances = sample_chances(load_entries(knowledge), load_elsewhere(knowledge), known)
    SAMPLE_CHANCES.write_text(chances, encoding="utf-8")
