"""The trainer's notebook runs from top to bottom, with much to learn from and with nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
import yaml
from typer.testing import CliRunner

from apps.cli.rl import rl_app
from apps.core.resources import notebook
from apps.rl.variants import load_variants
from tests.rl.seeded_store import seed_store, simulated_calls

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def folder(settings_in: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    path = settings_in(COLUMNS="140", OMP_NUM_THREADS="1")
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR"):
        monkeypatch.setenv(name, str(path / name.lower()))
    return path


def run(*args: str) -> str:
    result = CliRunner().invoke(rl_app, ["train", *args])
    assert result.exit_code == 0, result.output
    return result.output


def said(path: Path) -> str:
    """Return all that an executed notebook's cells printed and showed."""
    book = nbformat.read(path, as_version=4)
    outputs = [o for c in book.cells if c.cell_type == "code" for o in c.outputs]
    assert not [o for o in outputs if o.output_type == "error"]
    shown = [o.get("text") or o.get("data", {}).get("text/html", "") for o in outputs]
    return "\n".join(shown)


def exported(folder: Path) -> dict[str, object]:
    (file,) = folder.glob("*.yaml")
    assert load_variants(file)
    return yaml.safe_load(file.read_text(encoding="utf-8"))["variants"]


def test_on_a_seeded_store_it_learns_shows_and_exports_what_the_command_does(
    folder: Path,
) -> None:
    seed_store(folder / "seeded.db", simulated_calls(1000)).close()
    store, book = ("--db", str(folder / "seeded.db")), folder / "book.ipynb"
    page = folder / "report.html"
    run(*store, "--out", str(folder / "a"), "--notebook", str(book), "--report", str(page))
    text = said(book)
    assert "On what it has not seen" in text
    assert text.count("<svg") == 6
    assert page.read_text(encoding="utf-8").count("<svg") == 6
    assert "Candidates: " in run(*store, "--out", str(folder / "b"))
    assert exported(folder / "a") == exported(folder / "b")


def test_on_an_empty_store_it_says_so_and_exports_nothing(folder: Path) -> None:
    run("--out", str(folder / "candidates"), "--notebook", str(folder / "book.ipynb"))
    assert "There are 0 rewarded calls; it takes 200." in said(folder / "book.ipynb")
    assert not (folder / "candidates").exists()


def test_the_notebook_is_one_that_jupytext_reads_and_has_no_results_in_it() -> None:
    text = notebook("rl_offline_train.md").read_text(encoding="utf-8")
    assert text.startswith("---\njupyter:\n")
    assert "format_name: markdown" in text
