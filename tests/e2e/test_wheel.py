"""What an installed wheel brings along: all that the program reads, and no checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]

LOOK = """
import json, sys
from pathlib import Path

import apps
from apps.core.resources import notebook, resource
from apps.dispatcher.profile import load_profiles
from apps.dispatcher.server import PAGE
from apps.knowledge.retriever import Retriever
from apps.llm.style import wording
from apps.rl.variants import load_catalog
from apps.store.database import open_database

database = open_database(Path("new.db"))
with database.reading() as conn:
    tables = conn.exec_driver_sql("SELECT count(*) FROM calls").scalar()
retriever = Retriever.from_folder(resource("knowledge"))
print(json.dumps({
    "apps": str(Path(apps.__file__).parent),
    "variants": len(load_catalog(resource("policies", "prompt_variants.yaml")).variants),
    "schema": json.loads(resource("schemas", "feedback_event.json").read_text())["type"],
    "profiles": list(load_profiles(resource("profiles"))),
    "questions": len(retriever.corpus("kfz", "de").questions),
    "demo": sorted(path.name for path in resource("demo", "slt").glob("*.flac")),
    "page": sorted(path.suffix for path in PAGE.iterdir()),
    "notebook": notebook("rl_offline_train.md").read_text().startswith("---"),
    "tables": tables,
    "languages": [wording(language).language for language in ("de", "en")],
}))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which a wheel built from this checkout is installed."""
    built, target = tmp_path_factory.mktemp("built"), tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    no_deps = ["--no-deps", "--no-index"]
    _run(*pip, "wheel", *no_deps, "--no-build-isolation", "--wheel-dir", built, CHECKOUT)
    (wheel,) = built.glob("*.whl")
    _run(*pip, "install", *no_deps, "--target", target, wheel)
    return target


def _run(*command: object, cwd: Path | None = None, path: Path | None = None) -> str:
    environment = {**os.environ, **({"PYTHONPATH": str(path)} if path else {})}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_all_that_is_read_at_run_time_is_in_the_wheel(installed: Path, tmp_path: Path) -> None:
    found = json.loads(_run(sys.executable, "-c", LOOK, cwd=tmp_path, path=installed))
    assert Path(found["apps"]) == installed / "apps"
    assert found["variants"] == 12
    assert found["schema"] == "object"
    assert found["profiles"] == ["kfz"]
    assert found["questions"] >= 40
    assert len(found["demo"]) == 5
    assert {".html", ".css", ".js"} <= set(found["page"])
    assert found["notebook"]
    assert found["tables"] == 0
    assert found["languages"] == ["de", "en"]


def test_the_command_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    tom = [sys.executable, "-m", "apps.cli"]
    asked = _run(*tom, "prompt", "What does a registration cost?", cwd=tmp_path, path=installed)
    assert "euros" in asked
    assert "v3d" in _run(*tom, "rl", "status", cwd=tmp_path, path=installed)
    assert "0 rewarded calls" in _run(*tom, "rl", "train", cwd=tmp_path, path=installed)


def test_no_data_file_of_the_packages_is_left_behind(installed: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "apps"], cwd=CHECKOUT, capture_output=True, text=True
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    missing = [name for name in listed.stdout.split() if not (installed / name).exists()]
    assert missing == []


def test_the_licences_travel_along(installed: Path) -> None:
    names = {path.name for path in installed.rglob("*") if "licenses" in path.parts}
    assert "LICENSE" in names
    assert any("GPL-3.0" in name for name in names)
