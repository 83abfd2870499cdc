"""Spoken calls to a real server with the embedded engines, whose processes get killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import wave
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apps.cli.caller import Caller, Line
from apps.core.audio import Samples
from apps.core.ids import keyed_hash
from apps.core.resources import resource
from apps.core.secrets import load_or_create
from apps.store.calls import load_call, load_events
from apps.store.decisions import load_decision
from apps.store.feedback import feedback_of_call
from apps.voice.audiofile import read_audio
from tests.e2e.phone import Phone, dial, from_mulaw, mulaw
from tests.e2e.servers import Running, running, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),  # two calls in real time, and a language model at the first run
]


def utterance(name: str, voice: str = "slt") -> Samples:
    """One of the demonstration's utterances, 16 kHz."""
    return read_audio(resource("demo", voice, f"{name}.flac"))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, model_cache: Path) -> Iterator[Running]:
    """A server with the embedded engines, which records its calls."""
    folder = tmp_path_factory.mktemp("real")
    policies = folder / "policies.yaml"
    usual = resource("policies", "prompt_variants.yaml").read_text(encoding="utf-8")
    policies.write_text(usual.replace("length: medium", "length: short"), encoding="utf-8")
    settings = {
        "TOM_STT_ENGINE": "pocketsphinx",
        "TOM_TTS_ENGINE": "espeak",
        "RL_SEED": "20",
        "RL_POLICIES_PATH": str(policies),
    }
    with running(folder, model_cache, TOM_RECORD_CALLS="true", **settings) as server:
        yield server
        wait_until(lambda: server.ready()["live_calls"] == 0)
        assert server.complaints() == []


@dataclass
class Held:
    """A call that was held, and what its caller was told."""

    server: Running
    events: list[dict[str, Any]] = field(default_factory=list)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    def said(self, role: str) -> list[str]:
        return [e["text"] for e in self.of("transcript.final") if e["role"] == role]

    @property
    def call_ref(self) -> str:
        call_id = self.of("call.started")[0]["call_id"]
        return keyed_hash(call_id, load_or_create(self.server.folder).hash_key)

    def tom(self, *arguments: str) -> str:
        """Run a command beside the server."""
        command = [sys.executable, "-m", "apps.cli", *arguments]
        done = subprocess.run(
            command, env=self.server.environment, capture_output=True, text=True, check=True
        )
        return done.stdout


async def spoken(server: Running) -> Held:
    """The demonstration's call: a question, a follow-up, a barge-in, a goodbye, a rating."""
    held = Held(server)
    lines = [
        Line(utterance("question")),
        Line(utterance("follow-up")),
        Line(utterance("barge-in"), break_in_ms=1500.0),
        Line(utterance("goodbye")),
    ]
    start = {"language": "en"}
    await Caller(server.url, lines, utterance("rating"), start, held.events.append).call()
    await asyncio.to_thread(wait_until, lambda: is_settled(held))
    return held


def is_settled(held: Held) -> bool:
    """Whether everything is on the disk: event logs are written a moment behind."""
    with held.server.database().reading() as conn:
        row, records = load_call(conn, held.call_ref), load_events(conn, held.call_ref)
    assert row is not None
    return row.reason is not None and records[-1].kind == "call.ended"


async def telephoned(server: Running) -> Phone:
    """A call at telephone quality, 8 kHz µ-law, by the independent client."""
    audio = {"encoding": "mulaw", "rate": 8000, "channels": 1}
    async with dial(server.calls, language="en", audio=audio) as phone:
        await phone.until(lambda p: p.state == "listening")
        await phone.say(mulaw(telephone_band(utterance("question", "rms"))))
        await phone.until(lambda p: p.sources)
        heard = len(phone.audio)
        await phone.until(lambda p: len(p.audio) > heard + 8000)
        await phone.send(type="hangup")
        await phone.ends()
    return phone


def telephone_band(samples: Samples) -> Samples:
    """Halve the sample rate, band-limited, without TOM's own resampler."""
    spectrum = np.fft.rfft(samples.astype(np.float64))
    half = np.fft.irfft(spectrum[: len(samples) // 4 + 1], len(samples) // 2) / 2
    return np.clip(half, -32768, 32767).astype(np.int16)


@pytest.fixture(scope="module")
def both(real: Running) -> tuple[Held, Phone]:
    """Two calls at once, each in real time."""

    async def hold() -> tuple[Held, Phone]:
        return await asyncio.gather(spoken(real), telephoned(real))

    return asyncio.run(hold())


@pytest.fixture(scope="module")
def held(both: tuple[Held, Phone]) -> Held:
    return both[0]


def test_every_utterance_is_understood_and_answered_from_its_entry(held: Held) -> None:
    told = held.of("transcript.final")
    sources = {s.rpartition("#")[2] for e in told for s in e.get("sources", [])}
    assert len(held.said("caller")) == 5
    assert {"reg-used", "appt-walk-in"} <= sources
    assert "28 euros" in " ".join(held.said("assistant"))


def test_a_barge_in_is_noticed_and_what_was_heard_is_told(held: Held) -> None:
    assert len(held.of("heard")) == 1
    assert held.of("heard")[0]["text"]
    assert len(held.of("audio.clear")) >= 2  # when it falls silent, and when it gives way


def test_every_answer_s_latency_is_measured_from_the_caller_s_last_sound(held: Held) -> None:
    measured = held.of("turn.latency")
    assert len(measured) >= 3
    for latency in measured:
        assert latency["ms"] > latency["stages"]["endpoint"] > 0


def test_the_spoken_rating_becomes_a_reward_in_the_store_and_moves_the_bandit(held: Held) -> None:
    assert [e["stars"] for e in held.of("rating")] == [4]
    told = held.of("reward")[0]
    with held.server.database().reading() as conn:
        stored = feedback_of_call(conn, held.call_ref)
        decision = load_decision(conn, held.call_ref)
    assert [event.reward for event in stored] == [told["value"]]
    assert stored[0].components == told["components"]
    started = held.of("call.started")[0]
    assert decision is not None
    assert (decision.variant, decision.propensity) == (
        started["policy_variant"],
        started["propensity"],
    )
    snapshot = json.loads((held.server.folder / "bandit_state.json").read_text())
    arm = snapshot["variants"][started["policy_variant"]]
    assert (arm["pulls"] >= 1, arm["alpha"] > 1.0) == (True, True)


def test_the_event_log_holds_the_whole_call_and_gives_the_same_decisions(held: Held) -> None:
    from apps.core.events import CallEvent
    from apps.dispatcher.call_fsm import step
    from apps.dispatcher.call_state import Call, CallState, Event

    with held.server.database().reading() as conn:
        records = load_events(conn, held.call_ref)
        row = load_call(conn, held.call_ref)
    assert [r.seq for r in records] == list(range(len(records)))
    assert [r.at_ms for r in records] == sorted(r.at_ms for r in records)
    told = [r.data["text"] for r in records if r.kind == "assistant"]
    assert told == held.said("assistant")
    call, states = Call(), []
    for record in records:
        if record.kind.startswith("fsm."):
            kind = CallEvent(record.kind.removeprefix("fsm."))
            call, _ = step(call, Event(kind, record.at_ms, record.turn_id, **record.data))
            if not states or states[-1] != call.state:
                states.append(call.state)
    assert states == [CallState.RINGING, *(e["state"] for e in held.of("state"))]
    assert call.state is CallState.ENDED
    assert row is not None
    assert (row.reason, row.language) == ("completed", "en")


def test_the_recording_has_both_voices_each_in_its_place(held: Held, tmp_path: Path) -> None:
    assert "recorded" in " ".join(held.said("assistant")[:4])
    held.tom("recordings", "export", held.call_ref, "--out", str(tmp_path / "call.wav"))
    with wave.open(str(tmp_path / "call.wav")) as wav:
        assert (wav.getnchannels(), wav.getframerate(), wav.getsampwidth()) == (2, 16000, 2)
        both = np.frombuffer(wav.readframes(wav.getnframes()), "<i2").reshape(-1, 2)
    seconds = len(both) / 16000
    assert seconds == pytest.approx(held.of("call.ended")[0]["duration_s"], abs=2.0)
    frames = both[: len(both) // 320 * 320].reshape(-1, 320, 2)
    loud = np.abs(frames.astype(np.int32)).max(axis=1) > 500
    caller, assistant = loud[:, 0], loud[:, 1]
    assert assistant[:250].any()  # the greeting comes first,
    assert not caller[:150].any()  # and the caller waits for its end
    question = utterance("question").astype(np.float64)
    channel = both[:, 0].astype(np.float64)
    size = len(channel) + len(question)
    match = np.fft.irfft(np.fft.rfft(channel, size) * np.conj(np.fft.rfft(question, size)), size)
    at = int(match[: len(channel)].argmax())
    found = channel[at : at + len(question)]
    assert np.corrcoef(found, question)[0, 1] > 0.95
    # The caller breaks in once; otherwise the two do not talk at the same time.
    assert (caller & assistant).sum() < 100


def test_the_operator_s_commands_see_the_call_and_let_it_go(held: Held) -> None:
    listed = [json.loads(line) for line in held.tom("calls", "list", "--json").splitlines()]
    assert held.call_ref in {call["call"] for call in listed}
    shown = held.tom("calls", "show", held.call_ref[:16])
    assert "reward" in shown
    assert held.said("caller")[0] in shown


def test_a_telephone_call_by_a_client_written_from_the_protocol_alone(both) -> None:
    phone = both[1]
    assert "register a used car" in phone.said("caller")[0]
    assert phone.sources[0].endswith("#reg-used")
    assert phone.reason == "caller_hung_up"
    heard = from_mulaw(bytes(phone.audio)).astype(np.float64)
    assert np.sqrt(np.mean(heard**2)) > 200  # somebody speaks
    assert len(heard) > 3 * 8000


def test_a_call_that_is_deleted_takes_its_transcript_and_recording_along(held: Held) -> None:
    recording = held.server.folder / "recordings" / f"{held.call_ref}.tomrec"
    assert recording.exists()
    held.tom("calls", "delete", held.call_ref, "--yes")
    assert not recording.exists()
    with held.server.database().reading() as conn:
        assert load_call(conn, held.call_ref) is None
        assert load_events(conn, held.call_ref) == []


def test_engines_that_are_killed_come_back_and_the_call_goes_on(both, real: Running) -> None:
    restarts = lambda engine: real.metric("tom_engine_restarts_total", engine=engine)  # noqa: E731

    def kill(program: str) -> None:
        workers = real.children(program)
        assert workers
        for pid in workers:
            os.kill(pid, signal.SIGKILL)

    async def hold() -> Phone:
        question = utterance("question").tobytes()
        async with dial(real.calls, language="en") as phone:
            await phone.until(lambda p: p.state == "listening")
            speaking = asyncio.create_task(phone.say(question))
            await phone.until(lambda p: p.state == "hearing")
            kill("pocketsphinx_worker")
            await asyncio.to_thread(wait_until, lambda: real.ready()["code"] == 503)
            await speaking
            await phone.until(lambda p: "technical problem" in " ".join(p.said("assistant")))
            await asyncio.to_thread(wait_until, lambda: real.ready()["code"] == 200)
            kill("espeak_worker")
            await phone.until(lambda p: p.state == "listening")
            await phone.say(question)
            await phone.until(lambda p: p.sources)
            await phone.until(lambda p: p.state == "speaking")
            await phone.send(type="hangup")
            await phone.ends()
        return phone

    phone = asyncio.run(hold())
    assert phone.reason == "caller_hung_up"
    assert phone.sources[0].endswith("#reg-used")
    assert restarts("pocketsphinx") >= 2
    assert restarts("espeak") == 1
    wait_until(lambda: real.ready()["code"] == 200)
