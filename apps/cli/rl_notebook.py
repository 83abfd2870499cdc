"""Runs the trainer's notebook as Jupyter would, without Jupyter's pages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from apps.core.errors import ConfigError, StoreError
from apps.core.resources import notebook as stored_notebook

_NAME = "rl_offline_train.md"
_TIMEOUT_S = 3600


def run_notebook(path: Path, parameters: Mapping[str, object]) -> None:
    """Run the notebook from top to bottom and keep it with its results.

    Args:
        path: Where to, as ``.ipynb``.
        parameters: Values that take the place of those in its cell with the tag ``parameters``.

    Raises:
        ConfigError: The extra ``learn`` is not installed, or a cell failed.
        StoreError: The result cannot be written.
    """
    try:
        import jupytext
        import nbformat
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError
    except ImportError as error:
        raise ConfigError(
            f"Running the notebook needs {error.name}, which is not installed.",
            hint="pip install 'tom-voice[learn]', or leave --notebook out.",
        ) from error
    book = jupytext.read(stored_notebook(_NAME))
    at = next(i for i, c in enumerate(book.cells) if "parameters" in c.metadata.get("tags", []))
    told = "\n".join(f"{name} = {value!r}" for name, value in parameters.items())
    book.cells.insert(at + 1, nbformat.v4.new_code_cell(told))  # type: ignore[no-untyped-call]
    client = NotebookClient(book, timeout=_TIMEOUT_S, kernel_name="python3")
    try:
        client.execute()
    except CellExecutionError as error:
        raise ConfigError(
            f"A cell of the notebook failed: {error.ename}: {error.evalue}.",
            hint="Open it in Jupyter and run it cell by cell.",
        ) from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(book, path)  # type: ignore[no-untyped-call]
    except OSError as error:
        raise StoreError(f"The notebook {path} cannot be written: {error.strerror}.") from error
