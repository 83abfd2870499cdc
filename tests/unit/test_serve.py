"""`tom serve`: its address, its signals, and the parts it is built of."""

import asyncio
import importlib
import os
import signal
import socket

import httpx
import pytest
import structlog
from fastapi import FastAPI
from typer.testing import CliRunner

from apps.cli import app
from apps.core.errors import ConfigError
from apps.main import run_tom
from apps.settings import Settings
from tests.calls import knowledge
from tests.waiting import until

serve = importlib.import_module("apps.cli.serve")  # apps.cli.serve is the command


class Board:
    """A switchboard with one call, which ends when it is told to, or never."""

    live_calls = 1

    def __init__(self, patience_s):
        self.patience_s, self.steps = patience_s, []

    def drain(self):
        self.steps.append("drain")

    def say_goodbye(self):
        self.steps.append("say_goodbye")

    def hurry(self):
        self.steps.append("hurry")

    def cut(self):
        self.steps.append("cut")

    async def idle(self):
        await asyncio.sleep(self.patience_s)


class Served:
    def __init__(self, patience_s=0.0):
        self.app, self.switchboard = FastAPI(), Board(patience_s)


async def run_and_signal(tom, *signals, drain_s=30.0):
    """Run the server's shell and send this process signals, one after the other."""
    listener = serve._listen("127.0.0.1", 0)
    server = serve._Server(tom, drain_s)
    running = asyncio.create_task(server.run(listener))
    await until(lambda: server.started)
    for number in signals:
        os.kill(os.getpid(), number)
        await asyncio.sleep(0.2)
    async with asyncio.timeout(10):
        await running
    listener.close()
    return server


async def test_a_signal_takes_no_more_calls_and_lets_those_on_the_line_finish():
    tom = Served(patience_s=0.1)
    server = await run_and_signal(tom, signal.SIGTERM)
    assert tom.switchboard.steps == ["drain"]
    assert not server.force_exit


async def test_calls_that_go_on_are_closed_near_the_deadline(monkeypatch):
    monkeypatch.setattr(serve, "CLOSING_S", 1.0)
    monkeypatch.setattr(serve, "THANKS_S", 0.1)
    tom = Served(patience_s=0.3)
    await run_and_signal(tom, signal.SIGTERM, drain_s=1.1)
    assert tom.switchboard.steps == ["drain", "say_goodbye"]


async def test_calls_that_do_not_end_are_cut_off_at_the_deadline(monkeypatch):
    monkeypatch.setattr(serve, "SETTLE_S", 0.05)
    tom = Served(patience_s=1e6)
    server = await run_and_signal(tom, signal.SIGINT, drain_s=0.1)
    assert tom.switchboard.steps == ["drain", "say_goodbye", "hurry", "cut"]
    assert not server.force_exit


async def test_a_second_signal_does_not_wait_for_them():
    tom = Served(patience_s=1e6)
    server = await run_and_signal(tom, signal.SIGTERM, signal.SIGINT)
    assert server.force_exit
    assert tom.switchboard.steps == ["drain", "cut"]


def test_a_port_that_is_taken_is_told_before_anything_is_loaded():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = CliRunner().invoke(app, ["serve", "--host", "127.0.0.1", "--port", str(port)])
    assert done.exit_code == 1
    assert f"Port {port} of 127.0.0.1 cannot be used" in done.stderr


def test_a_port_that_cannot_be_is_told():
    done = CliRunner().invoke(app, ["serve", "--port", "99999"])
    assert done.exit_code == 1
    assert "cannot be used" in done.stderr


@pytest.mark.parametrize(
    ("host", "address"), [("127.0.0.1", "http://127.0.0.1:1"), ("::1", "http://[::1]:1")]
)
def test_the_address_is_one_that_can_be_called(host, address):
    assert serve._address(host, 1) == address


# --- the whole, with engines that need no process


class Lent:
    """The knowledge base that all tests share, which nobody closes."""

    def __init__(self, shared):
        self._shared = shared

    def __getattr__(self, name):
        return getattr(self._shared, name)

    def close(self):
        pass


@pytest.fixture
def folder(tmp_path, monkeypatch):
    lent = Lent(knowledge())
    monkeypatch.setattr("apps.running_knowledge.Retriever.from_folder", lambda *_: lent)
    return tmp_path


def settings(folder, **changes):
    values = {
        "TOM_DATA_DIR": folder,
        "RL_FEEDBACK_DB_PATH": folder / "feedback.db",
        "RL_BANDIT_STATE_PATH": folder / "bandit_state.json",
        "RL_CANDIDATES_PATH": folder / "candidates",
        "TOM_MODELS_DIR": folder / "models",
        "TOM_STT_ENGINE": "fake",
        "TOM_TTS_ENGINE": "fake",
        "TOM_LLM_ENGINE": "embedded",
    }
    return Settings(_env_file=None, **{**values, **changes})


async def test_tom_serve_writes_its_address_once_it_takes_calls(folder):
    ready = folder / "address"
    config = settings(folder, TOM_HTTP_PORT=0, PROMETHEUS_PORT=0)
    with structlog.testing.capture_logs() as logs:
        serving = asyncio.create_task(serve._serve(config, ready))
        await until(lambda: serving.done() or (ready.exists() and ready.stat().st_size > 0))
        async with httpx.AsyncClient() as client:
            answer = await client.get(ready.read_text() + "/readyz", timeout=10)
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(10):
            await serving
    engines = answer.json()["engines"]
    assert {role: engine["engine"] for role, engine in engines.items()} == {
        "stt.en": "fake",
        "stt.de": "fake",
        "tts.en": "fake",
        "tts.de": "fake",
        "llm": "embedded",
    }
    events = [line["event"] for line in logs]
    assert events.count("engine") == 5
    assert events.index("serving") < events.index("draining")


async def test_the_whole_stops_what_it_started(folder):
    before = asyncio.all_tasks()
    async with run_tom(settings(folder, TOM_RECORD_CALLS="true")) as tom:
        assert tom.switchboard.ready
        assert tom.switchboard.services.recordings == folder / "recordings"
        assert tom.switchboard.services.recording_key is not None
        assert len(asyncio.all_tasks()) > len(before)
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"TOM_STT_ENGINE": "openai"}, ConfigError, "TOM_STT_URL"),
        ({"TOM_TTS_ENGINE": "openai"}, ConfigError, "TOM_TTS_URL"),
        ({"TOM_LLM_ENGINE": "openai"}, ConfigError, "TOM_LLM_URL"),
        ({"TOM_PROFILE_DIR": "/nowhere"}, ConfigError, "nowhere"),
    ],
)
async def test_what_cannot_be_started_is_told_and_nothing_is_left_running(
    folder, changes, error, said
):
    before = asyncio.all_tasks()
    with pytest.raises(error, match=said):
        async with run_tom(settings(folder, **changes)):
            pass
    assert asyncio.all_tasks() == before


async def test_no_engine_for_a_role_is_told_and_is_no_error(folder):
    async with run_tom(settings(folder, TOM_STT_ENGINE="faster-whisper")) as tom:
        assert tom.choices["stt.en"].engine is None
        assert "tom models pull" in tom.choices["stt.en"].why
        assert "en" not in tom.switchboard.services.stt
