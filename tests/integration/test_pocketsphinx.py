"""PocketSphinx in its worker processes hears espeak-ng, alone and several at once, and survives."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from apps.core.audio import FRAME_BYTES
from apps.core.errors import EngineDied, EngineUnavailable
from apps.voice.stt.base import ListenFor, ListenOptions, Transcript
from apps.voice.stt.domain import DomainText
from apps.voice.stt.sphinx import PocketSphinx
from apps.voice.tts.base import SpeechStyle, pcm_of
from apps.voice.tts.espeak import EspeakTts

pytestmark = pytest.mark.slow

QUESTION = "what are your opening hours on saturday"
OTHER = "how do i register a new car"
TEXT = DomainText(
    asked=("What are your opening hours?", "How do I register a new car?", "Are you open today?"),
    answered=("The office is open from 8 to 12.",),
)
ENGLISH = ListenOptions("en", "kfz")
RATING = ListenOptions("en", "kfz", ListenFor.RATING)


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recogniser")


@pytest.fixture
async def engine(cache_dir: Path) -> AsyncIterator[PocketSphinx]:
    engine = PocketSphinx({"kfz": TEXT}, cache_dir=cache_dir, workers=1, general_words=200)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


async def say(*sentences: str) -> list[bytes]:
    """Return sentences as espeak-ng speaks them, slowly, with silence around each."""
    tts = EspeakTts()
    await tts.start()
    try:
        style = SpeechStyle("en", rate=0.9)
        spoken = [await pcm_of(tts.synthesise(sentence, style)) for sentence in sentences]
    finally:
        await tts.close()
    return [bytes(FRAME_BYTES * 10) + pcm + bytes(FRAME_BYTES * 25) for pcm in spoken]


async def hear(
    engine: PocketSphinx,
    pcm: bytes,
    options: ListenOptions = ENGLISH,
    partials: list[Transcript] | None = None,
) -> Transcript:
    utterance = engine.listen(options, None if partials is None else partials.append)
    for start in range(0, len(pcm), FRAME_BYTES):
        utterance.feed(pcm[start : start + FRAME_BYTES])
        if partials is not None:
            await asyncio.sleep(0.004)
    return await utterance.finish()


async def test_spoken_questions_and_ratings_become_text(engine: PocketSphinx) -> None:
    question, rating = await say(QUESTION, "three stars please")
    partials: list[Transcript] = []
    heard = await hear(engine, question, ENGLISH, partials)
    assert heard.text.startswith("what are your opening hours on")
    assert heard.model == "domain"
    assert 0.0 < heard.confidence <= 1.0
    assert partials
    assert not any(partial.is_final for partial in partials)
    rated = await hear(engine, rating, RATING)
    assert rated.text == "three stars please"
    assert rated.model == "rating"


async def test_callers_who_speak_at_once_do_not_change_what_each_is_heard_to_say(
    engine: PocketSphinx,
) -> None:
    question, other = await say(QUESTION, OTHER)
    alone = [await hear(engine, pcm) for pcm in (question, other)]
    given_up = engine.listen(ENGLISH)
    given_up.feed(question)
    given_up.cancel()
    together = await asyncio.gather(*(hear(engine, pcm) for pcm in (question, other, question)))
    assert together == [*alone, alone[0]]


async def test_no_audio_is_heard_as_nothing(engine: PocketSphinx) -> None:
    assert (await hear(engine, b"")).text == ""
    silence = await hear(engine, bytes(32_000))
    assert silence.is_final


async def test_a_killed_worker_fails_its_utterance_and_comes_back_by_itself(
    cache_dir: Path,
) -> None:
    restarts: list[str] = []
    engine = PocketSphinx(
        {"kfz": TEXT},
        cache_dir=cache_dir,
        workers=1,
        general_words=200,
        on_restart=restarts.append,
    )
    (question,) = await say(QUESTION)
    await engine.start()
    try:
        utterance = engine.listen(ENGLISH)
        utterance.feed(question[: len(question) // 2])
        os.kill(engine.infos[0].pid, signal.SIGKILL)
        with pytest.raises(EngineDied):
            await utterance.finish()
        assert not engine.ready
        async with asyncio.timeout(60):
            await engine.wait_ready()
        assert (await hear(engine, question)).text.startswith("what are your opening hours")
        assert restarts == ["pocketsphinx"]
    finally:
        await engine.close()


async def test_what_it_cannot_serve_is_said(engine: PocketSphinx, tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="de"):
        engine.listen(ListenOptions("de", "kfz"))
    with pytest.raises(EngineUnavailable, match="not started"):
        PocketSphinx({}, cache_dir=tmp_path).listen(ENGLISH)


async def test_broken_models_are_reported_when_it_starts(cache_dir: Path, tmp_path: Path) -> None:
    broken = PocketSphinx({"kfz": TEXT}, cache_dir=tmp_path, workers=1, general_words=200)
    (recipe,) = cache_dir.glob("*.json")
    (tmp_path / recipe.stem).mkdir()  # as if somebody had deleted its files
    with pytest.raises(EngineUnavailable, match="cannot be loaded"):
        await broken.start()
    assert not broken.ready
