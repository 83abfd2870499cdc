"""A tiny model and a real vLLM server for the tests beside this file: make test-vllm.

They are not among the tests of `make test`: VLLM_PYTHON names the Python that has vLLM, and without
it nothing here is collected.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from apps.core.resources import resource
from apps.knowledge.entries import load_entries
from apps.knowledge.retriever import Retriever
from apps.llm.lora import LoraClient
from apps.rl.adapters.examples import write_examples
from apps.rl.adapters.hashing import adapter_files, weights_hash
from apps.rl.adapters.record import served_name
from tests.vllm import serving
from tests.vllm.adapters import EPOCHS, LEARNING_RATE, Trained, train
from tests.vllm.serving import Vllm
from tests.vllm.turns import Turns, make_turns

PYTHON = os.environ.get("VLLM_PYTHON", "")
HERE = Path(__file__).parent
PRETRAINING_STEPS = 300
ADAPTER_ID = "kfz/lora-r8-v1"
TEST_S = 900
collect_ignore_glob = [] if PYTHON else ["test_*.py"]

_figures: dict[str, str] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A server takes minutes to start, more than a test may take; what kills it comes last."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(TEST_S))
    items.sort(key=lambda item: item.path == HERE / "test_calls.py")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was measured; docs/vllm.md has the figures of one machine."""
    if _figures:
        terminalreporter.section("figures")
        for name, value in _figures.items():
            terminalreporter.line(f"{name}: {value}")


@pytest.fixture(scope="session")
def figures() -> dict[str, str]:
    """What the tests measure, by its name; printed at the end."""
    return _figures


@pytest.fixture(scope="session")
def python() -> Path:
    """The Python that has vLLM and torch."""
    found = Path(PYTHON).absolute()
    assert found.exists(), f"{found} is missing; `make test-vllm` makes it"
    return found


@pytest.fixture(scope="session")
def turns() -> Turns:
    """What the base model, the adapters and neither have seen."""
    return asyncio.run(make_turns())


@dataclass(frozen=True)
class TinyModel:
    """The base model.

    Attributes:
        folder: Its files.
        made: What its making said: parameters, steps, loss.
    """

    folder: Path
    made: dict[str, float]


def recipe(turns: Turns) -> str:
    """Return a name for all that the base model is made of."""
    entries = repr(load_entries(resource("knowledge")))
    instructions = turns.pretraining[0].messages[0].content
    made_by = [(HERE / name).read_text() for name in ("turns.py", "tiny_llama.py")]
    return hashlib.sha256("\n".join((entries, instructions, *made_by)).encode()).hexdigest()[:12]


@pytest.fixture(scope="session")
def tiny(python: Path, turns: Turns, figures: dict[str, str]) -> TinyModel:
    """The base model, kept beside vLLM until the knowledge base or its making changes."""
    kept = python.parent.parent / "tiny-models"
    kept.mkdir(exist_ok=True)
    folder = kept / f"{recipe(turns)}-{PRETRAINING_STEPS}"
    if not (folder / "made.json").exists():
        chats = kept / "chats.jsonl"
        write_examples(chats, turns.pretraining)
        command = [python, HERE / "tiny_llama.py", chats, folder, "--steps", str(PRETRAINING_STEPS)]
        subprocess.run(command, check=True, env={**os.environ, **serving.ENVIRONMENT})
    made = json.loads((folder / "made.json").read_text())
    figures["base model"] = (
        f"{made['parameters']:,} weights, {made['steps']} steps in {made['seconds']} s on"
        f" {made['chats']} chats, training loss {made['loss']}"
    )
    return TinyModel(folder, made)


class Servers:
    """The one server of a session; a test that has killed it leaves the next one another."""

    def __init__(self, python: Path, model: TinyModel, logs: Path, figures: dict[str, str]) -> None:
        self._python, self._model, self._logs, self._figures = python, model, logs, figures
        self._server: Vllm | None = None
        self._started = 0

    def one(self) -> Vllm:
        """Return a server that runs."""
        if self._server is None or not self._server.alive:
            self.stop()
            self._started += 1
            log = self._logs / f"vllm-{self._started}.log"
            self._server = serving.start(self._python, self._model.folder, log)
            self._figures[f"start of server {self._started}"] = f"{self._server.start_s:.0f} s"
        return self._server

    def stop(self) -> None:
        """Leave none behind."""
        if self._server is not None:
            self._server.stop()
            self._server = None


@pytest.fixture(scope="session")
def servers(
    python: Path,
    tiny: TinyModel,
    figures: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Servers]:
    """The session's servers, one at a time."""
    found = Servers(python, tiny, tmp_path_factory.mktemp("vllm"), figures)
    try:
        yield found
    finally:
        found.stop()


@pytest.fixture
def vllm(servers: Servers) -> Vllm:
    """A vLLM server that serves the tiny model."""
    return servers.one()


@pytest.fixture
async def lora(vllm: Vllm) -> AsyncIterator[LoraClient]:
    """TOM's way to the server's adapters; what a test has loaded is gone afterwards."""
    client = LoraClient(vllm.url)
    try:
        yield client
        if vllm.alive:
            for name in await client.served():
                await client.unload(name)
    finally:
        await client.close()


@pytest.fixture(scope="session")
def retriever() -> Retriever:
    """The English half of the sample knowledge base."""
    return Retriever([e for e in load_entries(resource("knowledge")) if e.language == "en"])


@pytest.fixture(scope="session")
def trained(
    python: Path,
    tiny: TinyModel,
    turns: Turns,
    figures: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Trained:
    """An adapter from 200 rated turns."""
    found = asyncio.run(train(python, tiny.folder, turns, tmp_path_factory.mktemp("training")))
    figures["adapter"] = (
        f"{len(turns.rated)} rated turns, learning rate {LEARNING_RATE}, {EPOCHS} epochs,"
        f" {found.steps} steps in {found.seconds:.0f} s"
    )
    figures[f"loss on {len(turns.held_out)} turns that neither base nor adapter saw"] = (
        f"{found.before:.3f} with the base, {found.after:.3f} with the adapter ({-found.fall:+.1%})"
    )
    return found


@pytest.fixture(scope="session")
def name(trained: Trained) -> str:
    """The name that it is served by, for ever."""
    return served_name(ADAPTER_ID, weights_hash(adapter_files(trained.folder)))
