"""The ear: caller audio in, voice starts, barge-ins and transcripts out."""

import asyncio

import pytest

from apps.core.errors import EngineDied, EngineOverloaded, EngineUnavailable
from apps.voice.completeness import Expecting
from apps.voice.ear import Ear
from apps.voice.stt.base import ListenFor
from apps.voice.stt.fake import FakeStt
from apps.voice.turn_options import TurnOptions
from apps.voice.vad import EnergyVad
from tests.calls import QUIET, VOICE
from tests.virtual_time import run_virtual


class BrokenStt(FakeStt):
    """Fails where it is told to: `listen`, `feed` or `finish`."""

    def __init__(self, where, error):
        super().__init__()
        self.where, self.error, self.cancelled = where, error, 0

    def listen(self, options, on_partial=None):
        if self.where == "listen":
            raise self.error
        utterance = super().listen(options, on_partial)
        cancel = utterance.cancel

        def count_and_cancel():
            self.cancelled += 1
            cancel()

        def feed(pcm):
            raise self.error

        async def finish():
            raise self.error

        utterance.cancel = count_and_cancel
        if self.where == "feed":
            utterance.feed = feed
        if self.where == "finish":
            utterance.finish = finish
        return utterance


def hear(frames, *, stt=None, interruptible=False, expecting=Expecting.ANYTHING, close=False):
    """Let an ear hear frames, 20 ms each; returns all that it told, and the recogniser."""
    stt = stt or FakeStt(["what does it cost", "thank you"])
    told = []

    async def scenario():
        async with asyncio.TaskGroup() as tasks:
            ear = Ear(
                vad=EnergyVad(),
                stt=stt,
                profile="kfz",
                options=TurnOptions(endpoint_ms=500),
                tell=told.append,
                tasks=tasks,
                bias_words=("emissions sticker",),
            )
            ear.playback(interruptible=interruptible)
            ear.expect(expecting)
            for frame in frames:
                ear.hear(frame)
                await asyncio.sleep(0.02)
            if close:
                ear.close()

    run_virtual(scenario())
    return told, stt


UTTERANCE = [*[QUIET] * 25, *[VOICE] * 50, *[QUIET] * 50]


def kinds(told):
    return [heard.kind for heard in told]


def test_an_utterance_is_started_understood_and_ended_in_this_order():
    told, stt = hear(UTTERANCE)
    assert kinds(told) == ["partial", "started", "ended", "final"]
    assert told[-1].transcript.text == "what does it cost"
    assert {heard.utterance_id for heard in told} == {1}
    assert stt.heard[0].bias_words == ("emissions sticker",)
    assert (stt.heard[0].language, stt.heard[0].profile) == ("en", "kfz")


def test_the_caller_s_last_sound_is_dated_by_the_audio_not_by_when_it_was_noticed():
    told, _ = hear(UTTERANCE)
    ended = told[2]
    assert ended.voice_ms == pytest.approx(75 * 20, abs=64)
    assert ended.at_ms - ended.voice_ms == pytest.approx(500, abs=64)
    assert told[3].voice_ms == ended.voice_ms


def test_two_utterances_have_two_numbers():
    told, _ = hear(UTTERANCE * 2)
    finals = [heard for heard in told if heard.kind == "final"]
    assert [heard.utterance_id for heard in finals] == [1, 2]
    assert [heard.transcript.text for heard in finals] == ["what does it cost", "thank you"]


def test_a_click_is_no_utterance():
    told, stt = hear([*[QUIET] * 10, VOICE, *[QUIET] * 50])
    assert told == []
    assert stt.heard == []


def test_voice_is_a_barge_in_only_while_the_assistant_may_be_interrupted():
    assert "barge_in" not in kinds(hear(UTTERANCE)[0])
    told = kinds(hear(UTTERANCE, interruptible=True)[0])
    assert told == ["partial", "started", "hold", "barge_in", "ended", "final"]


def test_what_was_not_meant_for_the_assistant_is_an_aside():
    told, _ = hear(
        [*[QUIET] * 25, *[VOICE] * 12, *[QUIET] * 50], stt=FakeStt(["mhm"]), interruptible=True
    )
    assert kinds(told) == ["partial", "started", "hold", "ended", "resume", "aside"]
    assert told[-1].transcript.text == "mhm"


def test_a_recogniser_that_fails_over_the_assistant_lets_it_go_on():
    stt = BrokenStt("finish", EngineDied("gone"))
    told, _ = hear([*[QUIET] * 25, *[VOICE] * 12, *[QUIET] * 50], stt=stt, interruptible=True)
    assert kinds(told)[-2:] == ["failed", "resume"]


def test_the_recogniser_is_told_when_a_rating_is_expected():
    _, stt = hear(UTTERANCE, expecting=Expecting.RATING)
    assert stt.heard[0].listen_for is ListenFor.RATING


@pytest.mark.parametrize(
    ("where", "error", "expected"),
    [
        ("listen", EngineUnavailable("none"), ["failed", "started", "ended"]),
        ("feed", EngineOverloaded("behind"), ["failed", "started", "ended"]),
        ("finish", EngineDied("gone"), ["partial", "started", "ended", "failed"]),
    ],
)
def test_a_recogniser_that_fails_is_told_once_wherever_it_fails(where, error, expected):
    told, _ = hear(UTTERANCE, stt=BrokenStt(where, error))
    assert kinds(told) == expected
    failed = next(heard for heard in told if heard.kind == "failed")
    assert failed.error is error
    assert failed.utterance_id == 1


def test_an_ear_that_is_closed_in_an_utterance_gives_it_up():
    stt = BrokenStt("", None)
    told, _ = hear([*[QUIET] * 10, *[VOICE] * 30], stt=stt, close=True)
    assert stt.cancelled == 1
    assert "final" not in kinds(told)


def test_audio_of_any_length_is_taken():
    whole = b"".join(UTTERANCE)
    told, _ = hear([whole[i : i + 1000] for i in range(0, len(whole), 1000)])
    assert kinds(told)[-1] == "final"


def test_a_cancelled_call_gives_up_the_transcript_it_waits_for():
    cancelled = []

    class SlowStt(FakeStt):
        def listen(self, options, on_partial=None):
            utterance = super().listen(options, on_partial)
            utterance.cancel = lambda: cancelled.append(True)
            return utterance

    async def scenario():
        async with asyncio.timeout(4.0):
            async with asyncio.TaskGroup() as tasks:
                ear = Ear(
                    vad=EnergyVad(),
                    stt=SlowStt(latency_s=60.0),
                    profile="kfz",
                    options=TurnOptions(),
                    tell=lambda _: None,
                    tasks=tasks,
                )
                for frame in UTTERANCE:
                    ear.hear(frame)
                    await asyncio.sleep(0.02)

    with pytest.raises(TimeoutError):
        run_virtual(scenario())
    assert cancelled == [True]


class LaterVad(EnergyVad):
    """Answers as a detector does that calls share: when the event loop comes round."""

    def hear(self, frame, tell):
        asyncio.get_running_loop().call_soon(super().hear, frame, tell)


def test_a_turn_that_ends_behind_its_audio_is_heard_to_its_end():
    told = []

    async def scenario():
        async with asyncio.TaskGroup() as tasks:
            ear = Ear(
                vad=LaterVad(),
                stt=FakeStt(["what does it cost"]),
                profile="kfz",
                options=TurnOptions(),
                tell=told.append,
                tasks=tasks,
            )
            ear.by_hand(True)
            ear.hear(VOICE * 40)
            ear.end_turn(discard=False)
            await asyncio.sleep(1)
            ear.close()

    run_virtual(scenario())

    assert [heard.kind for heard in told if heard.kind != "partial"] == [
        "started",
        "ended",
        "final",
    ]
    assert told[-1].transcript.text == "what does it cost"
