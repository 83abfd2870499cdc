"""Engines and servers that a command starts: which are made, what the demonstration checks."""

import asyncio
import importlib
import json
import wave
from pathlib import Path

import pytest
from typer.testing import CliRunner

from apps.cli import app
from apps.cli.own_server import own_server
from apps.core import secrets
from apps.core.errors import ConfigError, EngineUnavailable
from apps.core.events import LogRecord
from apps.core.ids import keyed_hash
from apps.dispatcher.recordings import recording_of
from apps.engines import Present, make_generator, make_stt, make_tts
from apps.settings import Settings
from apps.store.calls import CallOrigin, CallRow, append_events, open_call
from apps.store.database import open_database
from apps.voice.recording import CallRecorder
from apps.voice.sealed import SealingKey

demo = importlib.import_module("apps.cli.demo")  # apps.cli.demo is the command
NOTHING = Present(whisper=None, piper={}, piper_package=False)


def settings(**values):
    return Settings(_env_file=None, **values)


def quiet(*_):
    raise AssertionError("nothing was restarted")


@pytest.mark.parametrize(
    ("name", "values", "present"),
    [
        ("pocketsphinx", {}, NOTHING),
        ("faster-whisper", {}, Present(Path("models/small"), {}, piper_package=False)),
        ("openai", {"TOM_STT_URL": "http://127.0.0.1:9/v1"}, NOTHING),
        ("fake", {}, NOTHING),
    ],
)
def test_every_recogniser_is_made_from_the_settings_and_not_yet_started(name, values, present):
    engine = make_stt(name, settings(**values), present, {}, quiet)
    assert engine.name == name
    assert "en" in engine.languages or name == "faster-whisper"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("espeak", {}),
        ("piper", {}),
        ("openai", {"TOM_TTS_URL": "http://127.0.0.1:9"}),
        ("fake", {}),
    ],
)
def test_every_synthesiser_is_made_from_the_settings_and_not_yet_started(name, values):
    assert make_tts(name, settings(**values), quiet).name == name


def test_a_language_server_has_the_embedded_answers_behind_it():
    assert make_generator("embedded", settings()).name == "embedded"
    server = make_generator(
        "openai", settings(TOM_LLM_URL="http://127.0.0.1:9/v1", TOM_LLM_MODEL="m")
    )
    assert server.name != "embedded"
    asyncio.run(server.close())


def test_a_server_without_its_address_is_told_by_the_setting_s_name():
    with pytest.raises(ConfigError, match="TOM_STT_URL"):
        make_stt("openai", settings(), NOTHING, {}, quiet)


# --- a server of one's own


def stub(folder, script):
    """Put a program in the place of `tom serve`, with the given source."""
    path = folder / "server.py"
    path.write_text("import os, signal, sys, time\nready = sys.argv[-1]\n" + script)
    return path


@pytest.fixture
def in_its_place(monkeypatch):
    def put(program):
        start = asyncio.create_subprocess_exec

        async def instead(python, *arguments, **options):
            at = arguments.index("serve")
            return await start(python, program, *arguments[at:], **options)

        monkeypatch.setattr(asyncio, "create_subprocess_exec", instead)

    return put


UP = "open(ready, 'w').write('http://127.0.0.1:1 ' + os.environ['TOM_ORIGIN'])\n"


async def test_a_server_of_one_s_own_is_started_with_its_settings_and_stopped(
    tmp_path, in_its_place
):
    in_its_place(stub(tmp_path, UP + "print(sys.argv[1:-1], flush=True)\ntime.sleep(60)"))
    log = tmp_path / "log" / "server.log"
    async with own_server({"TOM_ORIGIN": "test"}, log) as address:
        assert address == "http://127.0.0.1:1 test"
    assert "'--host', '127.0.0.1', '--port', '0'" in log.read_text()


async def test_a_server_that_does_not_start_is_told_with_the_end_of_its_log(tmp_path, in_its_place):
    in_its_place(stub(tmp_path, "print('no disk'); sys.exit(3)"))
    with pytest.raises(EngineUnavailable) as error:
        async with own_server({}, tmp_path / "server.log"):
            pass
    assert error.value.hint == "no disk"


async def test_a_server_that_takes_too_long_is_not_waited_for(tmp_path, in_its_place, monkeypatch):
    monkeypatch.setattr("apps.cli.own_server.START_S", 0.2)
    in_its_place(stub(tmp_path, "time.sleep(60)"))
    with pytest.raises(EngineUnavailable, match="did not start within"):
        async with own_server({}, tmp_path / "server.log"):
            pass


async def test_a_server_that_does_not_stop_is_killed(tmp_path, in_its_place, monkeypatch):
    monkeypatch.setattr("apps.cli.own_server.STOP_S", 0.2)
    ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    in_its_place(stub(tmp_path, ignore + UP + "time.sleep(60)"))
    async with own_server({"TOM_ORIGIN": "test"}, tmp_path / "server.log"):
        pass


# --- the demonstration


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TOM_DATA_DIR", str(tmp_path))
    return tmp_path / "demo"


PERFECT = [
    {"type": "call.started", "call_id": "call_1", "probabilities": {"v1a": 0.5}},
    *[{"type": "transcript.final", "role": "caller", "text": "..."}] * 5,
    *[
        {"type": "transcript.final", "role": "assistant", "text": text, "sources": [f"x#{source}"]}
        for text, source in (
            ("Bring your papers.", "reg-used"),
            ("It costs 28 euros 40.", "fee-registration"),
            ("You can come without.", "appt-walk-in"),
        )
    ],
    {"type": "heard", "text": "It costs"},
    *[{"type": "turn.latency", "ms": 800.0, "stages": {}}] * 3,
    {"type": "rating", "stars": 4},
    {"type": "reward", "value": 0.8, "probabilities": {"v1a": 0.6}},
    {"type": "call.ended", "reason": "completed", "duration_s": 60.0},
]


@pytest.fixture
def folder(tmp_path):
    for name in ("call.wav", "events.jsonl"):
        (tmp_path / name).write_text("something")
    return tmp_path


def test_a_demonstration_in_which_everything_happened_has_no_failures(folder):
    assert list(demo._failures(PERFECT, folder)) == []


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("heard", "the barge-in was not noticed"),
        ("turn.latency", "the latency of the answers was not measured"),
        ("rating", "the rating was not understood as 4"),
        ("reward", "there was no reward"),
        ("call.ended", "the call did not end by itself"),
    ],
)
def test_a_demonstration_tells_what_did_not_happen(folder, kind, expected):
    events = [event for event in PERFECT if event["type"] != kind]
    assert list(demo._failures(events, folder)) == [expected]


def test_a_demonstration_tells_which_words_and_files_are_missing(folder):
    events = [event for event in PERFECT if event["type"] != "transcript.final"]
    (folder / "call.wav").unlink()
    failures = list(demo._failures(events, folder))
    assert "only 0 of the caller's 5 utterances were understood" in failures
    assert "no answer came from appt-walk-in" in failures
    assert "call.wav is missing" in failures


def test_probabilities_that_did_not_move_are_a_failure(folder):
    still = [
        {**event, "probabilities": {"v1a": 0.5}} if event["type"] == "reward" else event
        for event in PERFECT
    ]
    assert list(demo._failures(still, folder)) == ["the choice probabilities did not move"]


def test_both_demonstration_voices_say_everything():
    for voice in ("slt", "rms"):
        lines, rating = demo._script(voice)
        assert [line.break_in_ms is None for line in lines] == [True, True, False, True]
        assert all(len(samples) > 8000 for samples in (*(x.samples for x in lines), rating))


def test_the_demonstration_s_bandit_has_the_same_past_every_time(tmp_path):
    states = []
    for name in ("one", "two"):
        demo._make_history(tmp_path / name)
        state = json.loads((tmp_path / name / "bandit_state.json").read_text())
        states.append(state["variants"])
    assert states[0] == states[1]
    pulls = {variant: arm["pulls"] for variant, arm in states[0].items() if arm["pulls"]}
    assert pulls == dict.fromkeys(demo.HISTORY_REWARDS, demo.HISTORY_CALLS)


class PerfectCaller:
    """Calls nobody, and lets happen what should."""

    def __init__(self, url, lines, rating, start, on_event):
        assert (url, start) == ("http://127.0.0.1:1 demo", {"language": "en"})
        self._on_event = on_event

    async def call(self):
        for event in self.events:
            started = {"slots": {}, "why": "", "policy_variant": "v1a", "engines": {}}
            about = {"profile": "kfz", "language": "en", "components": {}, "missing": []}
            self._on_event({**started, **about, "confidence": 1.0, "model": "domain", **event})


@pytest.fixture
def staged(home, in_its_place, monkeypatch, tmp_path):
    """A demonstration whose server is a stub and whose call is a list of events."""
    in_its_place(stub(tmp_path, UP + "time.sleep(60)"))

    def stage(events):
        async def call(self):
            ref = keyed_hash("call_1", secrets.load_or_create(home).hash_key)
            db = open_database(home / "learning" / "feedback.db")
            with db.transaction() as conn:
                open_call(conn, CallRow(ref, "kfz", "en", "websocket", CallOrigin.DEMO))
                append_events(conn, [(ref, LogRecord(0, 0.0, "call.started", None, {"x": 1}))])
            db.close()
            (home / "recordings").mkdir(exist_ok=True)
            key = SealingKey.of(secrets.recording_key(home))
            recorder = CallRecorder(recording_of(home / "recordings", ref), key)
            recorder.assistant(b"\1\0" * 320, 0.0)
            recorder.close()
            await PerfectCaller.call(self)

        caller = type("Staged", (PerfectCaller,), {"events": events, "call": call})
        monkeypatch.setattr(demo, "Caller", caller)

    return stage


def test_the_demonstration_leaves_the_call_s_recording_and_events(staged, home):
    staged(PERFECT)
    done = CliRunner().invoke(app, ["demo"])
    assert done.exit_code == 0, done.output
    kept = home / "call_1"
    with wave.open(str(kept / "call.wav")) as wav:
        assert wav.readframes(320) == b"\0\0\1\0" * 320
    assert not list((home / "recordings").iterdir())
    (event,) = (json.loads(line) for line in (kept / "events.jsonl").read_text().splitlines())
    assert (event["kind"], event["data"]) == ("call.started", {"x": 1})
    assert "Listen:" in done.stdout


def test_a_demonstration_that_fails_says_so_and_exits_with_1(staged):
    staged([event for event in PERFECT if event["type"] != "heard"])
    done = CliRunner().invoke(app, ["demo", "--voice", "rms"])
    assert done.exit_code == 1
    assert "the barge-in was not noticed" in done.stderr


def test_a_demonstration_whose_call_does_not_start_says_so(staged):
    staged([])
    done = CliRunner().invoke(app, ["demo"])
    assert (done.exit_code, "The call did not start" in done.stderr) == (1, True)
