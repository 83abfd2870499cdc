"""The mouth: pacing, falling silent and going on, and what the caller has heard."""

import asyncio

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from apps.core.audio import FRAME_BYTES, FRAME_MS, pcm_to_samples, samples_to_pcm
from apps.core.clock import loop_ms
from apps.voice.mouth import LEAD_MS, MAX_CATCH_UP_MS, MAX_REPEATED_FRAMES, Mouth
from apps.voice.tts.base import WordMark
from tests.virtual_time import run_virtual

WORDS = [f"word{number}" for number in range(10)]
WORD_FRAMES = 10


async def audio(frames, pause_s=0.0):
    for _ in range(frames):
        if pause_s:
            await asyncio.sleep(pause_s)
        yield b"\1\0" * (FRAME_BYTES // 2)


def frame_of(number):
    """A frame at one level that tells its number."""
    return samples_to_pcm(np.full(FRAME_BYTES // 2, 1000 + number, np.int16))


async def numbered(frames, *, marks=True, quiet=()):
    """Frames of 200 ms words; every sample of a frame is 1000 and its number."""
    for number in range(frames):
        if marks and number % WORD_FRAMES == 0:
            yield WordMark(number // WORD_FRAMES, float(number * FRAME_MS))
        yield bytes(FRAME_BYTES) if number in quiet else frame_of(number)


class Listener:
    """Receives frames and notes when.

    Attributes:
        stall_s: How long it does not take the next frame.
        blocks_s: How long it stops the whole event loop at the next frame.
    """

    def __init__(self, stall_s=0.0):
        self.at_ms = []
        self.frames = []
        self.stall_s = stall_s
        self.blocks_s = 0.0

    async def __call__(self, frame):
        self.at_ms.append(round(loop_ms()))
        self.frames.append(frame)
        if self.blocks_s:
            asyncio.get_running_loop()._virtual.now += self.blocks_s
            self.blocks_s = 0.0
        if self.stall_s:
            stall, self.stall_s = self.stall_s, 0.0
            await asyncio.sleep(stall)

    @property
    def numbers(self):
        """The numbers of the frames that came at full level; None for a faded one."""
        known = [pcm_to_samples(frame) for frame in self.frames]
        return [int(f[0]) - 1000 if f[0] == f[-1] else None for f in known]


async def speaking(listener, scenario):
    mouth = Mouth(listener)
    task = asyncio.create_task(mouth.run())
    try:
        return await scenario(mouth)
    finally:
        task.cancel()


def test_frames_leave_every_20_ms_with_a_small_lead():
    async def scenario(mouth):
        await mouth.say("Hello.", audio(50))
        await mouth.drained()
        return loop_ms()

    listener = Listener()
    end_ms = run_virtual(speaking(listener, scenario))
    assert end_ms == 1000
    assert listener.at_ms[:4] == [0, 0, 0, 0]
    assert listener.at_ms[10] == 200 - LEAD_MS
    assert listener.at_ms[-1] == 980 - LEAD_MS


def test_after_a_stall_it_catches_up_with_its_schedule():
    async def scenario(mouth):
        await mouth.say("Hello.", audio(50))
        await mouth.drained()
        return loop_ms()

    listener = Listener(stall_s=0.5)
    assert run_virtual(speaking(listener, scenario)) == 1000
    assert listener.at_ms[-1] == 980 - LEAD_MS


def test_a_schedule_that_ran_dry_starts_anew():
    async def scenario(mouth):
        await mouth.say("Slow.", audio(5, pause_s=0.1))
        await mouth.drained()

    listener = Listener()
    run_virtual(speaking(listener, scenario))
    assert [round(t) for t in listener.at_ms] == [100, 200, 300, 400, 500]


def test_a_flush_stops_at_once_and_tells_the_words_that_were_heard():
    async def scenario(mouth):
        await mouth.say("One two three four", audio(50))
        await asyncio.sleep(0.5)
        heard = mouth.flush()
        sent = len(listener.at_ms)
        await asyncio.sleep(1)
        assert len(listener.at_ms) == sent
        return heard

    listener = Listener()
    assert run_virtual(speaking(listener, scenario)) == "One two"


def test_a_whole_sentence_counts_as_heard_when_its_last_frame_was():
    async def scenario(mouth):
        await mouth.say("First sentence.", audio(20))
        await mouth.say("Second sentence.", audio(20))
        await asyncio.sleep(0.45)
        return mouth.heard()

    assert run_virtual(speaking(Listener(), scenario)) == "First sentence."


def test_speaking_faster_than_the_caller_listens_has_to_wait():
    async def scenario(mouth):
        await mouth.say("Long.", audio(500))
        return loop_ms()

    queued_ms = run_virtual(speaking(Listener(), scenario))
    assert 6500 <= queued_ms <= 7500


def blocked(blocks_s):
    """Speak a second, during which the loop stands still once; return listener and end."""

    async def scenario(mouth):
        saying = asyncio.create_task(mouth.say("Hello.", numbered(50)))
        await asyncio.sleep(0.21)
        listener.blocks_s = blocks_s  # from 220 ms on
        await saying
        await mouth.drained()
        return loop_ms()

    listener = Listener()
    return listener, run_virtual(speaking(listener, scenario))


def test_after_the_loop_stood_still_frames_catch_up_at_once_and_the_schedule_has_not_slipped():
    listener, end_ms = blocked(0.5)
    assert end_ms == 1000
    late = [at for at in listener.at_ms if at == 720]
    assert len(late) == 500 // FRAME_MS
    assert listener.at_ms[-1] == 980 - LEAD_MS
    assert listener.numbers == list(range(50))


@given(st.integers(int(MAX_CATCH_UP_MS) + 100, 5000))
def test_after_a_long_stall_no_more_than_the_lead_is_sent_at_once(stall_ms):
    listener, end_ms = blocked(stall_ms / 1000)
    back = next(at for at in listener.at_ms if at > 220)
    assert listener.at_ms.count(back) == 1 + LEAD_MS // FRAME_MS
    assert listener.numbers == list(range(50))  # late, but nothing is left out
    assert end_ms > 1000 + stall_ms - MAX_CATCH_UP_MS


def test_a_client_that_says_it_is_behind_has_heard_less():
    behind_ms = 0.0

    async def scenario():
        nonlocal behind_ms
        mouth = Mouth(Listener(), unplayed_ms=lambda: behind_ms)
        running = asyncio.create_task(mouth.run())
        saying = asyncio.create_task(mouth.say(" ".join(WORDS), numbered(100)))
        await asyncio.sleep(0.95)
        on_time = mouth.heard()
        behind_ms = 450.0
        late = mouth.flush()
        running.cancel()
        saying.cancel()
        return on_time, late

    on_time, late = run_virtual(scenario())
    assert on_time == "word0 word1 word2 word3 word4"
    assert late == "word0 word1 word2"


# --- held at the first sign of the caller


def held_after(wait_s, *, marks=True, quiet=(), silent_s=0.5, frames=100):
    """Speak ten words, hold in between, resume; return what was sent and heard."""

    async def scenario(mouth):
        saying = asyncio.create_task(
            mouth.say(" ".join(WORDS), numbered(frames, marks=marks, quiet=quiet))
        )
        await asyncio.sleep(wait_s)
        mouth.hold()
        mouth.hold()
        assert mouth.held
        await asyncio.sleep(silent_s)
        sent_at_hold, heard_at_hold = len(listener.frames), mouth.heard()
        assert mouth.speaking
        mouth.resume()
        assert not mouth.held
        heard_after = mouth.heard()
        await saying
        await mouth.drained()
        return sent_at_hold, heard_at_hold, heard_after, mouth.heard()

    listener = Listener()
    return listener, *run_virtual(speaking(listener, scenario))


def test_a_held_mouth_fades_out_within_the_lead_and_then_sends_nothing():
    listener, sent, *_ = held_after(0.505)
    assert listener.at_ms[sent - 1] <= 505 + FRAME_MS
    last = pcm_to_samples(listener.frames[sent - 1]).astype(int)
    assert last[0] > 1000
    assert abs(last[-1]) < 5
    assert np.abs(np.diff(last)).max() < 20  # no click
    assert listener.numbers[: sent - 1] == list(range(sent - 1))
    assert listener.at_ms[sent] >= 1000


def test_it_goes_on_from_the_beginning_of_the_word_at_which_it_fell_silent():
    listener, sent, *_ = held_after(0.505)
    fell_silent = sent - 1
    assert fell_silent // WORD_FRAMES == 2
    assert listener.numbers[sent:] == [None, *range(20, 100)]
    first = pcm_to_samples(listener.frames[sent]).astype(int)
    assert first[0] == 0
    assert first[-1] > 1000  # the frame before the word is where it fades in


@given(st.integers(0, 1900), st.integers(0, 800))
def test_every_word_is_heard_at_full_level_and_once_in_what_was_heard(wait_ms, silent_ms):
    listener, _, at_hold, after, at_end = held_after(wait_ms / 1000, silent_s=silent_ms / 1000)
    full = [number for number in listener.numbers if number is not None]
    starts = range(0, 100, WORD_FRAMES)
    for start in starts:
        word = list(range(start, start + WORD_FRAMES))
        assert any(full[at : at + WORD_FRAMES] == word for at in range(len(full)))
    assert at_end == " ".join(WORDS)
    assert at_hold.startswith(after)
    assert len(at_hold.split()) - len(after.split()) <= 1


def test_without_marks_it_goes_on_from_a_quiet_spot_before_the_word():
    listener, sent, *_ = held_after(0.705, marks=False, quiet=(17, 18))
    fell_silent = sent - 1
    assert 240 <= (fell_silent - 17) * FRAME_MS <= 700
    assert listener.numbers[sent:] == [-1000, -1000, *range(19, 100)]


def test_in_a_pause_nothing_is_said_again():
    listener, sent, *_ = held_after(0.505, quiet=range(20, 40))
    assert listener.numbers[:sent].count(-1000) == sent - 20
    assert listener.numbers[-60:] == list(range(40, 100))
    assert 100 <= len(listener.frames) <= 103


def test_a_hold_before_the_first_word_only_waits():
    async def scenario(mouth):
        mouth.hold()
        saying = asyncio.create_task(mouth.say(" ".join(WORDS), numbered(100)))
        await asyncio.sleep(1)
        assert listener.frames == []
        mouth.resume()
        await saying
        await mouth.drained()
        return loop_ms()

    listener = Listener()
    assert run_virtual(speaking(listener, scenario)) == 3000
    assert listener.numbers == list(range(100))


def test_a_hold_taken_back_before_its_fade_changes_nothing():
    async def scenario(mouth):
        saying = asyncio.create_task(mouth.say(" ".join(WORDS), numbered(100)))
        await asyncio.sleep(0.505)
        mouth.hold()
        mouth.resume()
        await saying
        await mouth.drained()
        return loop_ms()

    listener = Listener()
    assert run_virtual(speaking(listener, scenario)) == 2000
    assert listener.numbers == list(range(100))


def test_a_flush_while_held_drops_the_rest_and_tells_the_words_up_to_the_hold():
    async def scenario(mouth):
        saying = asyncio.create_task(mouth.say(" ".join(WORDS), numbered(100)))
        await asyncio.sleep(0.605)
        mouth.hold()
        await asyncio.sleep(0.4)
        heard, sent = mouth.flush(), len(listener.frames)
        assert not mouth.held
        assert not mouth.speaking
        await asyncio.sleep(1)
        await saying
        assert len(listener.frames) == sent
        mouth.begin_turn()
        await mouth.say("Next.", numbered(10))
        await mouth.drained()
        assert listener.numbers[sent:] == list(range(10))
        return heard

    listener = Listener()
    assert run_virtual(speaking(listener, scenario)) == "word0 word1 word2"


def test_being_drained_waits_for_a_hold_to_end():
    async def scenario(mouth):
        saying = asyncio.create_task(mouth.say(" ".join(WORDS), numbered(100)))
        await asyncio.sleep(0.5)
        mouth.hold()
        await saying
        drained = asyncio.create_task(mouth.drained())
        await asyncio.sleep(60)
        assert not drained.done()
        mouth.resume()
        await drained
        return mouth.heard()

    assert run_virtual(speaking(Listener(), scenario)) == " ".join(WORDS)


def test_of_a_very_long_word_no_more_is_said_again_than_is_remembered():
    async def one_word():
        yield WordMark(0, 0.0)
        async for piece in numbered(140, marks=False):
            yield piece

    async def scenario(mouth):
        saying = asyncio.create_task(mouth.say("Oberkreisdirektorenkonferenz", one_word()))
        await asyncio.sleep(2.3)
        mouth.hold()
        await asyncio.sleep(0.5)
        sent = len(listener.frames)
        mouth.resume()
        await saying
        await mouth.drained()
        return sent

    listener = Listener()
    sent = run_virtual(speaking(listener, scenario))
    assert len(listener.frames) - sent == 140 - (sent - 1) + MAX_REPEATED_FRAMES


def test_the_next_sentence_is_not_begun_only_to_be_faded():
    async def scenario(mouth):
        await mouth.say("First.", numbered(20))
        saying = asyncio.create_task(mouth.say("Second.", numbered(20)))
        await asyncio.sleep((20 * FRAME_MS - LEAD_MS - 10) / 1000)
        mouth.hold()
        await asyncio.sleep(0.5)
        assert listener.numbers == list(range(20))
        mouth.resume()
        await saying
        await mouth.drained()

    listener = Listener()
    run_virtual(speaking(listener, scenario))
    assert listener.numbers == [*range(20), *range(20)]
