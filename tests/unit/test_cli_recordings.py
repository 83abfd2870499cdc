"""`tom recordings` and `tom link`: what is kept of voices, and links that are given away."""

from __future__ import annotations

import time
import wave
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from typer.testing import CliRunner

from apps.cli import app
from apps.core import secrets
from apps.core.audio import samples_to_pcm
from apps.core.ids import keyed_hash
from apps.dispatcher.recordings import recording_of
from apps.dispatcher.trust import TokenSigner
from apps.settings import load_settings
from apps.store.calls import CallOrigin, CallRow, open_call
from apps.store.database import open_database
from apps.voice.recording import CallRecorder
from apps.voice.sealed import SealingKey

NUMBER = "+49 30 1234567"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A data folder of the test's own, which the commands work on."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOM_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("RL_FEEDBACK_DB_PATH", str(tmp_path / "feedback.db"))
    load_settings.cache_clear()
    yield tmp_path
    load_settings.cache_clear()


def record(home: Path, call_id: str, *, caller: str = "", finish: bool = True) -> str:
    """Keep a call with its recording; returns its reference."""
    hash_key = secrets.load_or_create(home).hash_key
    ref = keyed_hash(call_id, hash_key)
    subject = keyed_hash(caller, hash_key, purpose="caller") if caller else None
    db = open_database(home / "feedback.db")
    with db.transaction() as conn:
        open_call(conn, CallRow(ref, "kfz", "en", "websocket", CallOrigin.TEST, subject=subject))
    db.close()
    key = SealingKey.of(secrets.recording_key(home))
    recorder = CallRecorder(recording_of(home / "recordings", ref), key)
    for second in range(5):
        recorder.caller(samples_to_pcm(np.full(16_000, 7, np.int16)), 1000.0 + second * 1000)
    if finish:
        recorder.close()
    return ref


def tom(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["recordings", *arguments])
    return done.exit_code, done.output


def test_a_recording_is_listed_exported_and_deleted(home: Path) -> None:
    ref = record(home, "call_1")
    code, listed = tom("list")
    assert code == 0
    assert ref[:12] in listed
    assert tom("export", ref[:8], "--out", str(home / "x.wav"))[0] == 0
    with wave.open(str(home / "x.wav")) as wav:
        assert (wav.getnchannels(), wav.getnframes()) == (2, 5 * 16_000)
    assert (home / "x.wav").stat().st_mode & 0o777 == 0o600
    assert tom("delete", "call_1", "--yes")[0] == 0
    assert list((home / "recordings").iterdir()) == []
    assert "No recordings" in tom("list")[1]


def test_a_file_that_exists_is_not_written_over(home: Path) -> None:
    ref = record(home, "call_1")
    (home / "x.wav").write_bytes(b"mine")
    assert tom("export", ref, "--out", str(home / "x.wav"))[0] == 1
    assert (home / "x.wav").read_bytes() == b"mine"


def test_a_recording_without_its_end_is_exported_and_says_so(home: Path) -> None:
    ref = record(home, "call_1", finish=False)
    code, said = tom("export", ref, "--out", str(home / "x.wav"))
    assert (code, "lacks its end" in said) == (0, True)


def test_a_key_that_has_changed_is_told_and_the_old_one_still_opens(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = record(home, "call_1")
    old = secrets.recording_key(home)
    monkeypatch.setenv("TOM_RECORDING_KEY", "n" * 32)
    load_settings.cache_clear()
    assert "(another)" in tom("list")[1]
    code, said = tom("export", ref, "--out", str(home / "x.wav"))
    assert (code, SealingKey.of(old).id.hex() in said) == (1, True)
    assert not (home / "x.wav").exists()
    monkeypatch.setenv("TOM_RECORDING_KEY", old)
    load_settings.cache_clear()
    assert tom("export", ref, "--out", str(home / "x.wav"))[0] == 0


@pytest.mark.parametrize("by", ["caller", "subject"])
def test_all_recordings_of_a_caller_go_when_they_ask_for_it(home: Path, by: str) -> None:
    record(home, "call_1", caller=NUMBER)
    record(home, "call_2", caller=NUMBER)
    kept = record(home, "call_3", caller="+49 30 7654321")
    subject = keyed_hash(NUMBER, secrets.load_or_create(home).hash_key, purpose="caller")
    code, said = tom("delete", f"--{by}", NUMBER if by == "caller" else subject, "--yes")
    assert (code, "2 recording" in said) == (0, True)
    assert [path.stem for path in (home / "recordings").iterdir()] == [kept]


def test_an_older_plain_recording_of_a_forgotten_call_can_be_let_go(home: Path) -> None:
    open_database(home / "feedback.db").close()
    secrets.load_or_create(home)
    (home / "recordings").mkdir()
    (home / "recordings" / "abcdef.wav").write_bytes(b"RIFF")
    assert "not sealed" in tom("list")[1]
    assert tom("delete", "abc", "--yes")[0] == 0
    assert list((home / "recordings").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("delete",), "one of them"),
        (("delete", "call_1", "--caller", NUMBER), "one of them"),
        (("delete", "--caller", "+1"), "No call of this caller"),
        (("delete", "--subject", ""), "No call of this caller"),
        (("delete", "nothing"), "There is no call"),
        (("delete", ""), "There is no call"),
        (("export", "nothing", "--out", "x.wav"), "There is no call"),
    ],
)
def test_what_is_not_there_is_told(home: Path, arguments: tuple[str, ...], said: str) -> None:
    record(home, "call_1")
    code, told = tom(*arguments)
    assert (code, said in told) == (1, True)


def link(*arguments: str) -> tuple[str, str]:
    """Return a link's page and token."""
    done = CliRunner().invoke(app, ["link", *arguments])
    assert done.exit_code == 0, done.output
    address = urlsplit(done.stdout.strip())
    (token,) = parse_qs(address.fragment)["token"]
    return done.stdout.partition("#")[0], token


def test_a_link_carries_a_token_behind_the_hash(home: Path) -> None:
    signer = TokenSigner(secrets.load_or_create(home).operator_token)
    page, token = link("--observe", "--profile", "kfz", "--minutes", "5")
    assert page == "http://localhost:8080/?profile=kfz&observe"
    grant = signer.read(token, time.time())
    assert grant is not None
    assert (grant.observe, grant.profile) == (True, "kfz")
    assert 0 < grant.expires_s - time.time() <= 300
    page, token = link("--url", "https://tom.example/")
    assert page == "https://tom.example/"
    grant = signer.read(token, time.time())
    assert grant is not None
    assert not grant.observe
