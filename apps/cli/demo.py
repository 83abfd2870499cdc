"""`tom demo`: one spoken call, start to end, with everything that a newcomer should see."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from apps.cli.caller import Caller, Line
from apps.cli.own_server import own_server
from apps.cli.parts import errors_told
from apps.cli.printing import CallPrinter
from apps.core import secrets
from apps.core.errors import TomError
from apps.core.event_lines import to_line
from apps.core.ids import keyed_hash
from apps.core.resources import resource
from apps.dispatcher.recordings import RECORDINGS, recording_of
from apps.rl.policy_bandit import PolicyBandit
from apps.rl.variants import load_catalog
from apps.settings import read_settings
from apps.store.calls import load_events
from apps.store.database import open_database
from apps.store.decisions import DecisionRow, add_decision
from apps.store.feedback import FeedbackKind, FeedbackRow, append_feedback
from apps.voice.audiofile import read_audio
from apps.voice.recording import export_wav
from apps.voice.sealed import SealingKey

SEED = 20
HISTORY_CALLS = 100
HISTORY_REWARDS = {"v1a": 0.35, "v1c": 0.45, "v2c": 0.4, "v3a": 0.4}
BREAK_IN_MS = 2000.0


def demo(
    voice: Annotated[str, typer.Option(help="The caller's voice: slt or rms.")] = "slt",
) -> None:
    """Make a spoken call in real time and watch the bandit learn from its rating.

    The call is played to a server of its own on a free loopback port, with the embedded engines:
    no network, no weights, no key. It is recorded (demonstrations alone are, by default) and kept
    apart from real learning, in data/demo. Exits with 1 when anything of it did not happen.
    """
    console = Console()
    with errors_told(Console(stderr=True)):
        began = time.monotonic()
        folder, failures = asyncio.run(_demo(console, voice))
        console.print(f"\n[dim]{time.monotonic() - began:.0f} s. Listen: {folder / 'call.wav'}[/]")
        console.print(f"[dim]Every event: {folder / 'events.jsonl'}[/]")
        console.print(f"[dim]As a picture: tom timeline {folder / 'events.jsonl'} --open[/]")
        if failures:
            raise TomError(
                "The demonstration did not go as it should: " + "; ".join(failures) + ".",
                hint=f"The server's log is {folder.parent / 'server.log'}.",
                code="demo",
            )


async def _demo(console: Console, voice: str) -> tuple[Path, list[str]]:
    home = read_settings().data_dir / "demo"
    learning = home / "learning"
    shutil.rmtree(learning, ignore_errors=True)
    _make_history(learning)
    environment = {
        "TOM_DATA_DIR": str(home),
        "TOM_CACHE_DIR": str(read_settings().cache_folder),
        "TOM_ORIGIN": "demo",
        "TOM_RECORD_CALLS": "true",
        "TOM_STT_ENGINE": "pocketsphinx",
        "TOM_TTS_ENGINE": "espeak",
        "TOM_LLM_ENGINE": "embedded",
        "TOM_PROFILE": "kfz",
        "RL_FEEDBACK_DB_PATH": str(learning / "feedback.db"),
        "RL_BANDIT_STATE_PATH": str(learning / "bandit_state.json"),
        "RL_CANDIDATES_PATH": str(learning / "candidates"),
        "RL_ENABLED": "true",
        "RL_SEED": str(SEED),
    }
    events: list[dict[str, Any]] = []
    printer = CallPrinter(console)
    console.print(
        f"[dim]The bandit starts from {HISTORY_CALLS} simulated calls for each of "
        f"{len(HISTORY_REWARDS)} variants (seed {SEED}), in a store of the demonstration's own.[/]"
    )
    with console.status("Starting the server; the first time it builds its language model ..."):
        server = own_server(environment, home / "server.log")
        address = await server.__aenter__()
    try:
        console.print(f"[dim]A server answers at {address}; the caller dials.[/]\n")

        def on_event(event: dict[str, Any]) -> None:
            events.append(event)
            printer.show(event)

        await Caller(address, *_script(voice), {"language": "en"}, on_event).call()
    finally:
        await server.__aexit__(None, None, None)
    folder = _keep(home, learning, events)
    return folder, list(_failures(events, folder))


def _script(voice: str) -> tuple[list[Line], np.ndarray[Any, np.dtype[np.int16]]]:
    audio = {
        name: read_audio(resource("demo", voice, f"{name}.flac"))
        for name in ("question", "follow-up", "barge-in", "goodbye", "rating")
    }
    lines = [
        Line(audio["question"]),
        Line(audio["follow-up"]),
        Line(audio["barge-in"], break_in_ms=BREAK_IN_MS),
        Line(audio["goodbye"]),
    ]
    return lines, audio["rating"]


def _make_history(learning: Path) -> None:
    """Give the bandit a past in which some variants have established themselves.

    Those alone compete freely with the base variant, so that one rating visibly moves the next
    choice; variants that the deploy guard still holds back would hardly gain by one.
    """
    learning.mkdir(parents=True)
    db = open_database(learning / "feedback.db")
    rng = np.random.default_rng(SEED)
    chances = dict.fromkeys(HISTORY_REWARDS, 1.0 / len(HISTORY_REWARDS))
    with db.transaction() as conn:
        for number in range(HISTORY_CALLS):
            for variant, mean in HISTORY_REWARDS.items():
                ref = f"history-{variant}-{number}"
                reward = float(np.clip(rng.normal(mean, 0.3), -1.0, 1.0))
                why = "Simulated, for the demonstration."
                chosen = DecisionRow(ref, variant, chances[variant], chances, {}, why, True, 0)
                add_decision(conn, chosen)
                kind = FeedbackKind.FEEDBACK
                append_feedback(conn, FeedbackRow(ref, kind, variant, reward, call_ref=ref))
    catalog = load_catalog(resource("policies", "prompt_variants.yaml"))
    PolicyBandit(db, catalog=catalog, state_path=learning / "bandit_state.json")
    db.close()


def _keep(home: Path, learning: Path, events: list[dict[str, Any]]) -> Path:
    """Put the call's recording and event log into a folder named after the call."""
    started = next((e for e in events if e["type"] == "call.started"), None)
    if started is None:
        raise TomError("The call did not start.", hint=f"See {home / 'server.log'}.", code="demo")
    call_ref = keyed_hash(started["call_id"], secrets.load_or_create(home).hash_key)
    key = SealingKey.of(secrets.recording_key(home, read_settings().recording_key))
    folder = home / str(started["call_id"])
    folder.mkdir()
    recording = recording_of(home / RECORDINGS, call_ref)
    if recording.exists():
        with (folder / "call.wav").open("wb") as wav:
            export_wav(recording, key, wav)
        recording.unlink()
    db = open_database(learning / "feedback.db")
    with db.reading() as conn:
        records = load_events(conn, call_ref)
    db.close()
    with (folder / "events.jsonl").open("w", encoding="utf-8") as log:
        for record in records:
            log.write(to_line(record) + "\n")
    return folder


def _failures(events: list[dict[str, Any]], folder: Path) -> Iterator[str]:
    """Yield what should have happened and did not."""

    def of(kind: str) -> list[dict[str, Any]]:
        return [event for event in events if event["type"] == kind]

    said = [e for e in of("transcript.final") if e["role"] == "caller"]
    sources = {s for e in of("transcript.final") for s in e.get("sources", [])}
    if len(said) < 5:
        yield f"only {len(said)} of the caller's 5 utterances were understood"
    for entry in ("reg-used", "appt-walk-in"):
        if not any(source.endswith(f"#{entry}") for source in sources):
            yield f"no answer came from {entry}"
    if not any("28 euros 40" in e["text"] for e in of("transcript.final")):
        yield "the follow-up was not understood"
    if not of("heard"):
        yield "the barge-in was not noticed"
    if len(of("turn.latency")) < 3:
        yield "the latency of the answers was not measured"
    if [e["stars"] for e in of("rating")] != [4]:
        yield "the rating was not understood as 4"
    rewards = of("reward")
    if not rewards or rewards[-1]["value"] is None:
        yield "there was no reward"
    elif rewards[-1]["probabilities"] == of("call.started")[0]["probabilities"]:
        yield "the choice probabilities did not move"
    if [e["reason"] for e in of("call.ended")] != ["completed"]:
        yield "the call did not end by itself"
    for name in ("call.wav", "events.jsonl"):
        path = folder / name
        if not path.exists() or not path.stat().st_size:
            yield f"{name} is missing"
