"""Synthesisers: what is heard follows the text and the style, whichever engine speaks."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.audio import Samples, duration_ms, level_dbfs, pcm_to_samples
from apps.core.errors import EngineDied, EngineError, EngineUnavailable
from apps.voice.tts import piper as piper_module
from apps.voice.tts.base import Speech, SpeechStyle, TextToSpeech, WordMark, pcm_of
from apps.voice.tts.espeak import EspeakTts
from apps.voice.tts.fake import FakeTts
from apps.voice.tts.piper import PiperTts
from apps.voice.tts.worker import MAX_TEXT_CHARS, speakable
from apps.voice.workers.shaping import TARGET_DBFS, SpeechShaper, limited, loudness_gain

PROGRAMS = Path(__file__).parent.parent / "worker_programs"
Engine = TypeVar("Engine", bound=TextToSpeech)
ENGLISH = "To register a car you need your identity card, the papers and the insurance number."
GERMAN = "Für die Zulassung brauchen Sie Ihren Ausweis, die Papiere und die Versicherung."


@asynccontextmanager
async def started(engine: Engine) -> AsyncIterator[Engine]:
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


async def said(engine: TextToSpeech, text: str, style: SpeechStyle) -> bytes:
    return await pcm_of(engine.synthesise(text, style))


async def first_pcm(speech: Speech) -> bytes:
    while isinstance(piece := await anext(speech), WordMark):
        pass
    return piece


async def marks_of(text: str, style: SpeechStyle) -> tuple[list[WordMark], list[float], bytes]:
    """espeak-ng's marks, how much audio there was at each (ms), and the audio."""
    marks: list[WordMark] = []
    came_ms: list[float] = []
    pcm = b""
    async with started(EspeakTts()) as engine, aclosing(engine.synthesise(text, style)) as pieces:
        async for piece in pieces:
            if isinstance(piece, WordMark):
                marks.append(piece)
                came_ms.append(duration_ms(pcm))
            else:
                pcm += piece
    return marks, came_ms, pcm


def pitch_hz(pcm: bytes) -> float:
    """The median fundamental of voiced pieces, by autocorrelation."""
    samples = pcm_to_samples(pcm).astype(float)
    found = []
    for start in range(0, len(samples) - 1024, 512):
        piece = samples[start : start + 1024] - samples[start : start + 1024].mean()
        likeness = np.correlate(piece, piece, "full")[1023:]
        lag = 40 + int(np.argmax(likeness[40:260]))  # 61 to 400 Hz
        if piece.std() > 800 and likeness[lag] > 0.5 * likeness[0]:
            found.append(16_000 / lag)
    return float(np.median(found))


# --- espeak-ng


@pytest.mark.parametrize(("language", "text"), [("en", ENGLISH), ("de", GERMAN)])
async def test_espeak_speaks_at_once_evenly_loud_and_without_clipping(
    language: str, text: str
) -> None:
    async with started(EspeakTts()) as engine:
        pcm = await said(engine, text, SpeechStyle(language))
    samples = pcm_to_samples(pcm).astype(int)
    assert 4000 < duration_ms(pcm) < 8000
    assert abs(level_dbfs(pcm) - TARGET_DBFS) < 2.0
    assert np.abs(samples).max() < 32_000
    onset = int(np.argmax(np.abs(samples) > 300))
    assert onset < 16 * 20  # 20 ms
    pause = samples[-16 * 150 :]
    assert np.abs(pause).max() < 300  # the pause that belongs to the full stop


async def test_espeak_gives_its_first_audio_before_the_sentence_is_made() -> None:
    async with started(EspeakTts()) as engine:
        async with aclosing(engine.synthesise(ENGLISH, SpeechStyle("en"))) as chunks:
            first = await first_pcm(chunks)
        assert 0 < duration_ms(first) < 100
        whole = await said(engine, ENGLISH, SpeechStyle("en"))
        assert whole.startswith(first)


async def test_espeak_marks_each_word_before_its_audio() -> None:
    text = "Für Größe XL – brauchen Sie,  äh, zwei Kfz-Scheine."
    marks, came_ms, pcm = await marks_of(text, SpeechStyle("de"))
    first_of_each = {mark.word: mark.at_ms for mark in reversed(marks)}
    assert set(first_of_each) == set(range(len(text.split()))) - {3}  # a dash is no word
    moments = [mark.at_ms for mark in marks]
    assert moments == sorted(moments)
    assert moments[0] == 0.0
    assert moments[-1] < duration_ms(pcm)
    assert all(came <= mark.at_ms for came, mark in zip(came_ms, marks, strict=True))


@pytest.mark.parametrize("rate", [0.8, 1.0, 1.5])
async def test_a_mark_is_where_the_word_begins_in_the_audio_that_is_heard(rate: float) -> None:
    text = "One, nine, eleven, money."  # words that begin with voice
    marks, _, pcm = await marks_of(text, SpeechStyle("en", rate=rate))
    assert [mark.word for mark in marks] == [0, 1, 2, 3]
    for mark in marks[1:]:  # each follows a pause
        at = round(mark.at_ms * 32) // 2 * 2
        assert level_dbfs(pcm[at - 32 * 60 : at - 32 * 20]) < -45
        assert level_dbfs(pcm[at : at + 32 * 100]) > -35


async def test_espeak_says_the_same_thing_the_same_way_whoever_spoke_before() -> None:
    async with started(EspeakTts()) as engine:
        before = await said(engine, "Good morning.", SpeechStyle("en"))
        await said(engine, GERMAN, SpeechStyle("de", rate=1.8, pitch=1.5))
        after = await said(engine, "Good morning.", SpeechStyle("en"))
    assert abs(duration_ms(after) - duration_ms(before)) < 10
    assert abs(pitch_hz(after) - pitch_hz(before)) < 5


async def test_espeak_follows_rate_and_pitch() -> None:
    async with started(EspeakTts()) as engine:
        normal = await said(engine, ENGLISH, SpeechStyle("en"))
        fast = await said(engine, ENGLISH, SpeechStyle("en", rate=1.5))
        high = await said(engine, ENGLISH, SpeechStyle("en", pitch=1.3))
        extreme = await said(engine, ENGLISH, SpeechStyle("en", rate=0.5, pitch=0.5))
    assert 0.55 < duration_ms(fast) / duration_ms(normal) < 0.8
    assert 1.15 < pitch_hz(high) / pitch_hz(normal) < 1.45
    assert duration_ms(extreme) > 1.5 * duration_ms(normal)


async def test_espeak_knows_other_voices_and_says_which_it_does_not_know() -> None:
    async with started(EspeakTts()) as engine:
        other = await said(engine, ENGLISH, SpeechStyle("en", voice="en-us+f3"))
        assert pitch_hz(other) > 150
        for voice in ("nobody", "../../secret", "en+../x"):
            with pytest.raises(EngineUnavailable, match="no voice"):
                await said(engine, "Hello.", SpeechStyle("en", voice=voice))
        with pytest.raises(EngineUnavailable, match="'fr'"):
            await said(engine, "Bonjour.", SpeechStyle("fr"))
        assert await said(engine, "Hello.", SpeechStyle("en"))


@pytest.mark.parametrize("text", ["", "   ", "...", "\0\1\n", "[[", "\ud800"])
async def test_a_text_without_words_is_no_failure(text: str) -> None:
    async with started(EspeakTts()) as engine:
        assert duration_ms(await said(engine, text, SpeechStyle("en"))) < 500


async def test_a_text_that_is_no_sentence_is_refused() -> None:
    async with started(EspeakTts()) as engine:
        with pytest.raises(EngineError, match="too long"):
            await said(engine, "a" * (MAX_TEXT_CHARS + 1), SpeechStyle("en"))


async def test_sentences_of_several_calls_do_not_mix() -> None:
    async with started(EspeakTts()) as engine:
        alone = [await said(engine, text, SpeechStyle("en")) for text in ("One.", ENGLISH)]
        together = await asyncio.gather(
            *(said(engine, text, SpeechStyle("en")) for text in ("One.", ENGLISH))
        )
    for before, now in zip(alone, together, strict=True):
        assert abs(duration_ms(before) - duration_ms(now)) < 10


async def test_a_sentence_that_is_given_up_frees_the_worker() -> None:
    async with started(EspeakTts()) as engine:
        long = "and then some more words " * 75
        async with aclosing(engine.synthesise(long, SpeechStyle("en", rate=0.5))) as chunks:
            await anext(chunks)
        async with asyncio.timeout(5):
            assert await said(engine, "Hello.", SpeechStyle("en"))


async def test_killing_espeak_mid_sentence_is_told_and_the_next_sentence_is_spoken() -> None:
    restarts: list[str] = []
    async with started(EspeakTts(on_restart=restarts.append)) as engine:
        pid = engine.infos[0].pid
        async with aclosing(engine.synthesise(ENGLISH * 20, SpeechStyle("en"))) as chunks:
            await anext(chunks)
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(EngineDied):
                async for _ in chunks:
                    pass
        assert not engine.ready
        assert await said(engine, "I am back.", SpeechStyle("en"))
        assert engine.ready
        assert restarts == ["espeak"]
        assert engine.infos[0].pid != pid


async def test_a_worker_that_does_not_come_back_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("apps.voice.tts.worker.RESTART_WAIT_S", 0.05)
    with pytest.raises(EngineDied, match="come back"):
        await said(EspeakTts(), "Hello.", SpeechStyle("en"))


# --- Piper, its own half


def piper_voices(models_dir: Path, *names: str) -> None:
    (models_dir / "piper").mkdir(parents=True)
    for name in names:
        (models_dir / "piper" / f"{name}.onnx").touch()
        (models_dir / "piper" / f"{name}.onnx.json").touch()


def fake_piper(
    monkeypatch: pytest.MonkeyPatch, models_dir: Path, voices: dict[str, str]
) -> PiperTts:
    monkeypatch.setenv("PYTHONPATH", str(PROGRAMS))
    return PiperTts(models_dir, voices, module="fake_piper_worker")


async def test_piper_speaks_the_languages_whose_voice_is_present(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    piper_voices(tmp_path, "de_DE-one", "de_DE-two")
    engine = fake_piper(monkeypatch, tmp_path, {"de": "de_DE-one", "en": "en_US-none"})
    assert engine.languages == {"de"}
    async with started(engine):
        default = tmp_path / "piper" / "de_DE-one.onnx"
        assert engine.infos[0].loaded == {"voices": [str(default)]}
        asked = json.loads(await said(engine, "Guten\nTag [[x]]", SpeechStyle("de", rate=1.2)))
        assert asked == {"text": "Guten Tag x", "voice": str(default), "rate": 1.2, "pitch": 1.0}
        asked = json.loads(await said(engine, "Hallo", SpeechStyle("de", voice="de_DE-two")))
        assert asked["voice"].endswith("de_DE-two.onnx")
        with pytest.raises(EngineUnavailable, match="no voice for 'en'"):
            await said(engine, "Hello.", SpeechStyle("en"))
        with pytest.raises(EngineUnavailable) as caught:
            await said(engine, "Hallo", SpeechStyle("de", voice="../de_DE-two"))
        assert "tom models pull" in caught.value.hint


async def test_the_piper_worker_follows_rate_and_voice_and_is_as_loud_as_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(PROGRAMS / "fake_piper"))
    monkeypatch.setattr(piper_module, "piper_installed", lambda: True)
    piper_voices(tmp_path, "plain", "slow", "broken")
    text = "One sentence. And another one"
    async with started(PiperTts(tmp_path, {"en": "plain"})) as engine:
        assert engine.infos[0].loaded == {"voices": ["plain"]}
        plain = await said(engine, text, SpeechStyle("en"))
        fast = await said(engine, text, SpeechStyle("en", rate=2.0))
        slow = await said(engine, text, SpeechStyle("en", voice="slow"))
        with pytest.raises(EngineUnavailable, match="broken"):
            await said(engine, text, SpeechStyle("en", voice="broken"))
        async with aclosing(engine.synthesise(text, SpeechStyle("en"))) as chunks:
            await anext(chunks)  # and no more of it
        assert await said(engine, text, SpeechStyle("en")) == plain
    assert abs(duration_ms(fast) / duration_ms(plain) - 0.5) < 0.02
    assert abs(duration_ms(slow) / duration_ms(plain) - 2.0) < 0.02
    assert abs(level_dbfs(plain) - TARGET_DBFS) < 0.5


async def test_the_piper_worker_itself_says_when_the_package_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "piper_tts-0.0.1.dist-info"
    broken.mkdir()
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: piper-tts\nVersion: 0.0.1\n")
    (tmp_path / "piper.py").write_text("raise ImportError('half installed')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(piper_module, "piper_installed", lambda: True)
    piper_voices(tmp_path / "models", "plain")
    with pytest.raises(EngineUnavailable, match="not installed"):
        await PiperTts(tmp_path / "models", {"en": "plain"}).start()


async def test_piper_without_voices_says_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="No Piper voice") as caught:
        await PiperTts(tmp_path, {"de": "de_DE-one"}).start()
    assert caught.value.hint == "tom models pull fetches de_DE-one."


async def test_piper_that_is_not_installed_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    piper_voices(tmp_path, "de_DE-one")
    monkeypatch.setattr(piper_module, "piper_installed", lambda: False)
    with pytest.raises(EngineUnavailable, match="not installed") as caught:
        await PiperTts(tmp_path, {"de": "de_DE-one"}).start()
    assert "tom-voice[piper]" in caught.value.hint


async def test_a_voice_needs_both_of_its_files(tmp_path: Path) -> None:
    piper_voices(tmp_path, "whole")
    (tmp_path / "piper" / "half.onnx").touch()
    path = str(tmp_path / "piper" / "whole.onnx")
    assert PiperTts(tmp_path, {"de": "whole", "en": "half"}).languages == {"de"}
    assert PiperTts(tmp_path / "elsewhere", {"de": path}).languages == {"de"}


# --- the fake


async def test_the_fake_hums_as_long_as_the_text_is() -> None:
    async with started(FakeTts()) as engine:
        pcm = await said(engine, "x" * 10, SpeechStyle("de"))
        fast = await said(engine, "x" * 10, SpeechStyle("de", rate=2.0))
        high = await said(engine, "x" * 10, SpeechStyle("de", pitch=1.5))
        assert engine.spoken == ["x" * 10] * 3
        assert pcm == await said(engine, "x" * 10, SpeechStyle("en"))
    assert duration_ms(pcm) == 600.0
    assert duration_ms(fast) == 300.0
    assert 1.4 < pitch_hz(high) / pitch_hz(pcm) < 1.6


# --- what all engines share


def speech(seconds: float, amplitude: float, silence_s: float = 0.0) -> Samples:
    moments = np.arange(round(seconds * 22_050)) / 22_050
    sound = amplitude * np.sin(2 * np.pi * 150 * moments)
    return np.concatenate([np.zeros(round(silence_s * 22_050)), sound]).astype(np.int16)


@pytest.mark.parametrize("amplitude", [600.0, 5000.0, 30_000.0])
def test_speech_becomes_equally_loud_whatever_the_engine_made(amplitude: float) -> None:
    samples = speech(1.0, amplitude, silence_s=0.5)
    shaper = SpeechShaper(22_050, loudness_gain(samples))
    pcm = shaper.push(samples) + shaper.flush()
    assert abs(level_dbfs(pcm) - TARGET_DBFS) < 0.5
    assert abs(duration_ms(pcm) - 1005) < 5


def test_silence_stays_silence() -> None:
    assert loudness_gain(np.zeros(100, np.int16)) == 1.0
    shaper = SpeechShaper(22_050, 1.0)
    assert shaper.push(np.zeros(22_050, np.int16)) + shaper.flush() == b""


@given(st.lists(st.floats(-4e5, 4e5), max_size=30))
def test_the_limiter_never_clips_and_keeps_order_and_quiet_samples(values: list[float]) -> None:
    samples = np.sort(np.array(values))
    out = limited(samples).astype(float)
    assert np.all(np.diff(out) >= 0)
    assert np.all(np.abs(out) <= 32_767)
    quiet = np.abs(samples) < 26_000
    assert np.all(np.abs(out[quiet] - samples[quiet]) < 1.0)


@given(st.text(st.characters() | st.sampled_from("[]\0\n"), max_size=50))
def test_what_is_spoken_can_always_be_sent_and_holds_no_commands(text: str) -> None:
    plain = speakable(text)
    assert plain.encode().decode() == plain
    assert plain == " ".join(plain.split())
    assert "\0" not in plain
    assert "[[" not in plain
