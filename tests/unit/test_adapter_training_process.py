"""A training followed from outside: what it says, how it ends, and how it is stopped."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from apps.core.errors import EngineUnavailable, TrainingFailed
from apps.rl.adapters.training import process
from apps.rl.adapters.training.process import follow, train_command

LOADING = json.dumps({"event": "loading", "model": "tiny", "attempt": 1})
STOPPED = json.dumps({"event": "stopped", "step": 3})
FAILED = json.dumps({"event": "failed", "code": "diverged", "message": "No.", "hint": "Less."})


@pytest.fixture
def interpreter(tmp_path):
    """Return what makes a stand-in for the interpreter that has torch."""

    def made(body: str) -> str:
        path = tmp_path / "python"
        path.write_text(f"#!{sys.executable} -S\nimport sys\n{textwrap.dedent(body)}")
        path.chmod(0o755)
        return str(path)

    return made


async def said_by(python: str, *arguments: str) -> list[str]:
    async with follow(arguments, python=python) as events:
        return [event.event async for event in events]


async def test_what_a_training_says_is_given_on_and_noise_is_not(interpreter):
    python = interpreter(f"print({LOADING!r}); print('noise'); print({STOPPED!r}); sys.exit(3)")
    assert await said_by(python) == ["loading", "stopped"]


async def test_it_is_told_what_to_do(interpreter, tmp_path):
    python = interpreter(
        f"open({str(tmp_path / 'told')!r}, 'w').write(' '.join(sys.argv[1:])); print({LOADING!r})"
    )
    command = train_command("lora", Path("run"), ["training.epochs=1"], fresh=True)
    assert await said_by(python, *command) == ["loading"]
    assert (tmp_path / "told").read_text() == (
        "-m apps.rl.adapters.training run --config lora --out run --set training.epochs=1 --fresh"
    )


async def test_a_failure_is_raised_as_it_was_said(interpreter):
    python = interpreter(f"print({FAILED!r}); sys.exit(1)")
    with pytest.raises(TrainingFailed, match=r"No\.") as error:
        await said_by(python)
    assert (error.value.code, error.value.hint) == ("diverged", "Less.")


async def test_a_training_that_dies_is_no_success(interpreter):
    python = interpreter("import os; os.kill(os.getpid(), 9)")
    with pytest.raises(TrainingFailed, match="status -9") as error:
        await said_by(python)
    assert error.value.code == "training_died"
    assert "goes on" in error.value.hint


async def test_leaving_early_asks_it_to_stop_and_waits(interpreter, tmp_path):
    python = interpreter(
        f"""
        import signal, time
        def stop(*_):
            open({str(tmp_path / "stopped")!r}, "w").close()
            print("x" * 1_000_000)
            sys.exit(3)
        signal.signal(signal.SIGTERM, stop)
        print({LOADING!r}, flush=True)
        time.sleep(60)
        """
    )
    async with follow([], python=python) as events:
        assert (await anext(aiter(events))).event == "loading"
    assert (tmp_path / "stopped").exists()


async def test_one_that_does_not_stop_is_killed(interpreter):
    python = interpreter(
        f"""
        import signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print({LOADING!r}, flush=True)
        time.sleep(60)
        """
    )
    async with asyncio.timeout(20):
        async with follow([], python=python, grace_s=0.1) as events:
            await anext(aiter(events))


async def test_without_the_train_extra_the_way_to_it_is_said(monkeypatch):
    monkeypatch.setattr(process.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EngineUnavailable, match="torch, transformers, peft") as error:
        async with follow([]):
            pass
    assert "tom-voice[train]" in error.value.hint


def test_the_deciding_half_imports_no_torch():
    code = """
        import pkgutil, importlib, sys
        import apps.rl.adapters.training as training
        for module in pkgutil.iter_modules(training.__path__):
            if module.name not in ("__main__", "worker"):
                importlib.import_module(f"apps.rl.adapters.training.{module.name}")
        heavy = {"torch", "transformers", "peft", "trl", "datasets"} & set(sys.modules)
        sys.exit(f"imported {heavy}" if heavy else 0)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False)
    assert done.returncode == 0
