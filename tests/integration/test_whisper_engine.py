"""faster-whisper in its worker process, on a tiny model: real loading, real decoding."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from apps.core.audio import FRAME_BYTES
from apps.core.errors import EngineDied, EngineUnavailable
from apps.voice.stt.base import ListenOptions, Transcript, Utterance
from apps.voice.stt.whisper import WhisperStt
from tests.spoken import spoken
from tests.tiny_whisper import DE, EN, make_tiny_whisper

ENGLISH = ListenOptions("en", "kfz")
SPEECH = spoken("I would like to register a car that I have bought from a friend.", "en")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_whisper(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
async def stt(folder: Path) -> AsyncIterator[WhisperStt]:
    engine = WhisperStt(folder, device="cpu", threads=1)
    await engine.start()
    yield engine
    await engine.close()


def feed(utterance: Utterance, pcm: bytes) -> None:
    for i in range(0, len(pcm), FRAME_BYTES):
        utterance.feed(pcm[i : i + FRAME_BYTES])


async def heard(stt: WhisperStt, pcm: bytes, options: ListenOptions = ENGLISH) -> Transcript:
    utterance = stt.listen(options)
    feed(utterance, pcm)
    return await utterance.finish()


def counted(text: str, words: tuple[str, ...]) -> int:
    """Return how far a text counts, after checking that it does."""
    said = text.split()
    assert tuple(said) == words[: len(said)]
    return len(said)


async def test_speech_in_either_language_becomes_a_confident_final_transcript(
    stt: WhisperStt,
) -> None:
    english = await heard(stt, SPEECH)
    german = await heard(stt, SPEECH, ListenOptions("de", "kfz"))

    assert stt.ready
    assert {"de", "en"} <= stt.languages
    assert counted(english.text, EN) >= 3
    assert counted(german.text, DE) >= 3
    assert english.is_final
    assert english.confidence > 0.9
    assert english.model == "whisper"


async def test_silence_is_not_decoded_into_words(stt: WhisperStt) -> None:
    assert await heard(stt, bytes(96_000)) == Transcript("", 0.0, is_final=True, model="whisper")
    assert (await heard(stt, b"")).text == ""


async def test_bias_words_reach_the_model_however_many_there_are(stt: WhisperStt) -> None:
    few = ListenOptions("en", "kfz", bias_words=("Kennzeichen", "Zulassung"))
    many = ListenOptions("en", "kfz", bias_words=("Kennzeichen",) * 500)

    assert (await heard(stt, SPEECH, few)).text.startswith("asked one two")
    assert (await heard(stt, SPEECH, many)).text.startswith("asked one two")


async def test_partial_transcripts_grow_while_the_caller_speaks(stt: WhisperStt) -> None:
    partials: list[Transcript] = []
    utterance = stt.listen(ENGLISH, partials.append)
    for i in range(0, len(SPEECH), 16 * FRAME_BYTES):
        feed(utterance, SPEECH[i : i + 16 * FRAME_BYTES])
        await asyncio.sleep(0.05)
    final = await utterance.finish()

    assert len(partials) >= 2
    texts = [*(p.text for p in partials), final.text]
    assert all(after.startswith(before) for before, after in itertools.pairwise(texts))
    assert not any(p.is_final for p in partials)
    assert counted(final.text, EN) >= 3


async def test_utterances_of_several_calls_do_not_mix(stt: WhisperStt) -> None:
    options = [ENGLISH, ListenOptions("de", "kfz"), ENGLISH]
    utterances = [stt.listen(each) for each in options]
    for i in range(0, len(SPEECH), FRAME_BYTES):
        for utterance in utterances:
            utterance.feed(SPEECH[i : i + FRAME_BYTES])
    finals = await asyncio.gather(*(utterance.finish() for utterance in utterances))

    assert [counted(f.text, w) for f, w in zip(finals, (EN, DE, EN), strict=True)] == (
        [counted(finals[0].text, EN)] * 3
    )


async def test_a_cancelled_utterance_leaves_the_engine_to_the_others(stt: WhisperStt) -> None:
    given_up = stt.listen(ENGLISH)
    feed(given_up, SPEECH)
    given_up.cancel()
    given_up.feed(SPEECH)

    assert (await given_up.finish()).text == ""
    assert counted((await heard(stt, SPEECH)).text, EN) >= 3


async def test_an_utterance_whose_worker_is_killed_says_so_and_the_next_one_works(
    stt: WhisperStt,
) -> None:
    utterance = stt.listen(ENGLISH)
    feed(utterance, SPEECH[:32_000])
    os.kill(stt._pool.infos[0].pid, signal.SIGKILL)
    with pytest.raises(EngineDied):
        await utterance.finish()
    assert not stt.ready

    async with asyncio.timeout(20):
        await stt.wait_ready()
        assert counted((await heard(stt, SPEECH)).text, EN) >= 3


async def test_a_folder_without_weights_cannot_serve(tmp_path: Path) -> None:
    engine = WhisperStt(tmp_path / "nothing")
    with pytest.raises(EngineUnavailable, match=r"config\.json"):
        await engine.start()
    await engine.close()


def torn(folder: Path, into: Path) -> Path:
    for file in folder.iterdir():
        (into / file.name).write_bytes(file.read_bytes()[:1000])
    return into


async def test_broken_weights_cannot_serve(folder: Path, tmp_path: Path) -> None:
    engine = WhisperStt(torn(folder, tmp_path))
    with pytest.raises(EngineUnavailable, match="cannot be loaded"):
        await engine.start()
    await engine.close()


async def test_a_language_that_the_weights_do_not_know_is_refused(stt: WhisperStt) -> None:
    with pytest.raises(EngineUnavailable, match="tlh"):
        stt.listen(ListenOptions("tlh", "kfz"))
