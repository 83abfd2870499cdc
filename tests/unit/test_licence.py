"""GPL engines stay in programs that say so, and nothing else loads them (docs/adr/0001)."""

from __future__ import annotations

import ast
from pathlib import Path

import apps

PACKAGE = Path(apps.__file__).parent
MARK = "# SPDX-License-Identifier: GPL-3.0-or-later"
GPL_ENGINES = {"espeakng_loader", "piper"}


def imports(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def module_name(path: Path) -> str:
    return ".".join(("apps", *path.relative_to(PACKAGE).with_suffix("").parts))


def test_what_loads_a_gpl_engine_is_marked_and_nothing_imports_it() -> None:
    files = {path: imports(path) for path in PACKAGE.rglob("*.py")}
    marked = {path for path in files if path.read_text().startswith(MARK + "\n")}
    loads = {
        path
        for path, names in files.items()
        if {name.partition(".")[0] for name in names} & GPL_ENGINES
    }
    assert loads
    assert loads <= marked
    programs = {module_name(path) for path in marked}
    assert {"apps.voice.workers.espeak_worker", "apps.voice.workers.piper_worker"} <= programs
    for path, names in files.items():
        assert not names & programs, f"{path} imports a GPL program"


def test_both_licences_are_in_the_checkout() -> None:
    root = PACKAGE.parent
    assert "Apache License" in (root / "LICENSE").read_text()
    gpl = (root / "LICENSES" / "GPL-3.0-or-later.txt").read_text()
    assert "GNU GENERAL PUBLIC LICENSE" in gpl
