"""The fake recogniser hears its script, the same way every time."""

from __future__ import annotations

import pytest

from apps.core.errors import EngineUnavailable
from apps.voice.stt.base import ListenFor, ListenOptions, Transcript
from apps.voice.stt.fake import UNSCRIPTED, FakeStt

ENGLISH = ListenOptions("en", "kfz")


async def hear(engine: FakeStt, pcm: bytes = b"\0\0", options: ListenOptions = ENGLISH) -> str:
    utterance = engine.listen(options)
    utterance.feed(pcm)
    return (await utterance.finish()).text


async def test_utterances_are_heard_as_scripted_and_then_as_a_greeting() -> None:
    engine = FakeStt(["how much is that", "four"])
    await engine.start()
    assert [await hear(engine) for _ in range(3)] == ["how much is that", "four", UNSCRIPTED]
    await engine.close()


async def test_silence_uses_no_line_up() -> None:
    engine = FakeStt(["four"])
    assert await hear(engine, b"") == ""
    assert await hear(engine) == "four"


async def test_a_partial_comes_with_the_first_audio_and_the_final_one_at_the_end() -> None:
    partials: list[Transcript] = []
    utterance = FakeStt(["human agent please"], confidence=0.5).listen(ENGLISH, partials.append)
    utterance.feed(b"\0\0")
    utterance.feed(b"\0\0")
    assert [(p.text, p.is_final) for p in partials] == [("human", False)]
    final = await utterance.finish()
    assert (final.text, final.confidence, final.is_final) == ("human agent please", 0.5, True)
    utterance.feed(b"\0\0")
    assert len(partials) == 1


async def test_it_remembers_what_it_was_asked_to_listen_for() -> None:
    engine = FakeStt()
    rating = ListenOptions("de", "kfz", ListenFor.RATING)
    engine.listen(rating).cancel()
    assert engine.heard == [rating]


async def test_a_language_that_nobody_taught_it_is_refused() -> None:
    with pytest.raises(EngineUnavailable):
        FakeStt().listen(ListenOptions("fr", "kfz"))
