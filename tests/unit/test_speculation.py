"""Answers begun before the caller has surely finished: used or thrown away, and nobody notices."""

import asyncio
from dataclasses import replace

import pytest

from apps.core.clock import loop_ms
from apps.core.errors import EngineError
from apps.core.policy import PolicySlots
from apps.dispatcher.call_log import CallLog
from apps.dispatcher.conversation import Conversation
from apps.dispatcher.draft import HELD_BYTES
from apps.dispatcher.services import Limits
from apps.dispatcher.speculation import TRIES, Speculator, Waste
from apps.dispatcher.turn import Answers, Stages
from apps.llm.answer import GroundedAnswerer
from apps.monitor.metric_info import SPECULATION_OUTCOMES
from apps.monitor.metrics import Metrics
from apps.voice.stt.base import Transcript
from apps.voice.stt.fake import FakeStt
from apps.voice.tts.base import SpeechStyle
from apps.voice.tts.fake import FakeTts
from tests.calls import (
    CallerHungUp,
    ListSink,
    ScriptedDoor,
    hold_call,
    knowledge,
)
from tests.virtual_time import run_virtual

QUESTION = "what documents do i need to register a used car"
LISTEN, HEARING, SPEAK = "listening", "hearing", "speaking"
FINAL_S = 0.5
"""The recogniser's final transcript comes so long after the end; the guess has that time."""


class GrowingStt(FakeStt):
    """Tells what it knows of an utterance every 40 ms.

    Args:
        lines: Its utterances: a text that is known at once, or a list of (from this millisecond
            of the audio, text). The last text is the final transcript.
        finals: Another final transcript in its place, by that text.
    """

    def __init__(self, *lines, finals=None):
        known = [[(0, line)] if isinstance(line, str) else line for line in lines]
        super().__init__([line[-1][1] for line in known], latency_s=FINAL_S)
        self.known, self.finals = known, finals or {}

    def listen(self, options, on_partial=None):
        utterance = super().listen(options)
        known = self.known.pop(0) if self.known else [(0, "")]
        feed, finish, fed = utterance.feed, utterance.finish, [0.0]

        def feed_and_tell(pcm):
            feed(pcm)
            fed[0] += 20.0
            if on_partial is not None and fed[0] % 40 == 0:
                text = [words for from_ms, words in known if from_ms <= fed[0]][-1]
                on_partial(Transcript(text, 0.0, is_final=False, until_ms=fed[0]))

        async def finish_otherwise():
            final = await finish()
            return replace(final, text=self.finals.get(final.text, final.text))

        utterance.feed, utterance.finish = feed_and_tell, finish_otherwise
        return utterance


class SlowGenerator(GroundedAnswerer):
    """Takes its time before the first word; counts the streams that are open."""

    def __init__(self, delay_s=0.3, failures=0):
        self.delay_s, self.failures = delay_s, failures
        self.begun = self.open = 0

    async def stream(self, prompt):
        self.begun += 1
        self.open += 1
        try:
            await asyncio.sleep(self.delay_s)
            if self.begun <= self.failures:
                raise EngineError("No.", code="llm_refused")
            async for piece in super().stream(prompt):
                yield piece
        finally:
            self.open -= 1


class SlowTts(FakeTts):
    """Takes its time before each sentence, if it is not the greeting's; counts what is open."""

    def __init__(self, delay_s=0.2, greeting=3):
        super().__init__()
        self.delay_s, self.greeting, self.open = delay_s, greeting, 0
        self.chunks = []

    async def synthesise(self, text, style):
        self.open += 1
        try:
            if len(self.spoken) >= self.greeting:
                await asyncio.sleep(self.delay_s)
            async for chunk in super().synthesise(text, style):
                self.chunks.append(chunk)
                yield chunk
        finally:
            self.open -= 1


class Call:
    """A call that was held, and what there is to know about it."""

    def __init__(self, door, *lines, finals=None, generator=None, tts=None, **limits):
        self.door = door
        self.generator, self.tts = generator or SlowGenerator(), tts or SlowTts()
        outcome = run_virtual(
            hold_call(
                door,
                stt=GrowingStt(*lines, finals=finals),
                generator=self.generator,
                tts=self.tts,
                limits=Limits(**limits),
            )
        )
        self.call, self.left_over = outcome.call, outcome.left_over
        self.records = outcome.sink.records
        self.exposed = outcome.services.metrics.exposition()[0].decode()

    def of(self, *kinds):
        return [r for r in self.records if r.kind in kinds]

    def outcomes(self):
        return [
            r.data.get("why", "used") for r in self.of("speculation.used", "speculation.wasted")
        ]

    def counted(self, series):
        line = next(line for line in self.exposed.splitlines() if line.startswith(series + " "))
        return float(line.split()[-1])

    def answers(self):
        return self.call.conversation.answers

    def is_clean(self):
        return (self.left_over, self.generator.open, self.tts.open) == ([], 0, 0)


def after(state, wait_ms):
    """A cue: the call has been in the state for so long, and the caller silent."""
    since = []

    def cue(door):
        if door.state != state or door._voice_left > 0:
            since.clear()
            return False
        since.append(loop_ms())
        return since[-1] - since[0] >= wait_ms

    return cue


def one_question(**options):
    door = ScriptedDoor((LISTEN, 1500), (LISTEN, CallerHungUp()))
    return Call(door, QUESTION, **options)


# --- used


def test_an_answer_that_was_begun_early_is_there_sooner_and_is_the_same():
    early, late = one_question(), one_question(speculate=False)
    assert early.door.said("assistant") == late.door.said("assistant")
    waited = [c.door.of("turn.latency")[0]["ms"] for c in (early, late)]
    assert waited[0] < waited[1]
    won_ms = early.of("speculation.used")[0].data["won_ms"]
    assert won_ms == pytest.approx(waited[1] - waited[0], abs=25)
    assert late.of("speculation.started") == []


def test_what_was_done_early_was_not_waited_for():
    latency = one_question().door.of("turn.latency")[0]
    stages = latency["stages"]
    assert stages["retrieve"] == stages["generate"] == stages["speak"] == 0
    assert min(stages.values()) >= 0
    assert sum(stages.values()) == pytest.approx(latency["ms"], abs=0.5)


def test_an_answer_that_is_not_ready_when_it_is_wanted_goes_on_from_where_it_is():
    early = one_question(generator=SlowGenerator(1.0))
    assert early.generator.begun == 1
    assert early.outcomes() == ["used"]
    stages = early.door.of("turn.latency")[0]["stages"]
    assert 0 < stages["generate"] < 1000


def test_it_is_counted_once():
    call = one_question()
    assert call.counted('tom_speculations_total{outcome="used"}') == 1
    assert call.counted('tom_questions_total{covered="yes"}') == 1
    assert call.counted("tom_speculation_won_seconds_count") == 1
    assert len(call.of("fsm.answer_ready")) == 1
    assert len(call.answers()) == 1
    assert call.tts.spoken == [*call.tts.spoken[:3], *call.door.said("assistant")[3:]]


def test_won_is_the_head_start_but_never_more_than_the_work():
    def won(**options):
        return one_question(**options).of("speculation.used")[0].data["won_ms"]

    quick = won(generator=SlowGenerator(0.05), tts=SlowTts(0.05))
    slow = won(generator=SlowGenerator(2.0), filler_after_ms=0)
    assert quick == pytest.approx(100, abs=5)
    assert 500 < slow < 1200


def test_a_barge_in_into_a_used_answer_leaves_what_was_heard_in_the_history():
    door = ScriptedDoor((LISTEN, 1500), (after(SPEAK, 2500), 1500), (LISTEN, CallerHungUp()))
    call = Call(door, QUESTION, "can i come without an appointment")
    heard = door.of("heard")[0]["text"]
    first, second = call.answers()
    assert heard
    assert first.exchange.answer == heard
    assert first.said.startswith(heard[:10])
    assert len(heard) < len(first.said)
    assert second.exchange.entry_id == "appt-walk-in"
    assert call.is_clean()


# --- thrown away


def went_on():
    """The caller pauses after what could be all, and goes on."""
    door = ScriptedDoor((LISTEN, 1000), (after(HEARING, 120), 1000), (LISTEN, CallerHungUp()))
    return Call(door, [(0, "when are you open"), (1500, "when are you open on saturday")])


def test_a_guess_is_thrown_away_when_the_caller_goes_on():
    call = went_on()
    assert call.outcomes() == ["went_on", "used"]
    assert [a.exchange.entry_id for a in call.answers()] == ["hours-saturday"]
    assert call.counted('tom_speculations_total{outcome="went_on"}') == 1
    assert call.is_clean()


def test_a_guess_is_thrown_away_when_the_final_words_ask_something_else():
    door = ScriptedDoor((LISTEN, 1000), (LISTEN, CallerHungUp()))
    finals = {"when are you open": "when are you open on saturday"}
    call = Call(door, "when are you open", finals=finals)
    assert call.outcomes() == ["other_words"]
    assert [a.exchange.entry_id for a in call.answers()] == ["hours-saturday"]
    assert call.is_clean()


def test_other_letters_are_no_other_words():
    door = ScriptedDoor((LISTEN, 1000), (LISTEN, CallerHungUp()))
    call = Call(door, "when are you open", finals={"when are you open": "When are you open?"})
    assert call.outcomes() == ["used"]
    assert call.answers()[0].asked == "When are you open?"


def test_of_a_guess_that_was_wrong_nothing_is_said_told_stored_or_counted():
    door = ScriptedDoor((LISTEN, 1000), (LISTEN, CallerHungUp()))
    finals = {"when are you open": "what does a parking permit for residents cost"}
    guessed = Call(door, "when are you open", finals=finals)
    door = ScriptedDoor((LISTEN, 1000), (LISTEN, CallerHungUp()))
    plain = Call(door, "when are you open", finals=finals, speculate=False)
    assert guessed.door.said("assistant") == plain.door.said("assistant")
    assert [m["type"] for m in guessed.door.told] == [m["type"] for m in plain.door.told]
    kinds = [r.kind for r in guessed.records if not r.kind.startswith("speculation.")]
    assert kinds == [r.kind for r in plain.records]
    assert guessed.answers() == plain.answers()
    assert len(guessed.door.frames) == len(plain.door.frames)
    for series in ('tom_questions_total{covered="yes"}', 'tom_questions_total{covered="no"}'):
        assert guessed.counted(series) == plain.counted(series)


def test_nothing_of_a_guess_is_known_before_it_is_taken():
    door = ScriptedDoor((LISTEN, 1500), (LISTEN, CallerHungUp()))
    call = Call(door, QUESTION)
    kinds = [r.kind for r in call.records]
    guessed, taken = kinds.index("speculation.started"), kinds.index("speculation.used")
    assert kinds.index("fsm.transcript") < taken
    assert "assistant" not in kinds[guessed:taken]
    assert "fsm.answer_ready" not in kinds[guessed:taken]


@pytest.mark.parametrize("said", ["thank you goodbye", "let me talk to a human agent please"])
def test_what_has_an_effect_is_not_begun_early(said):
    door = ScriptedDoor((LISTEN, 1000))
    assert Call(door, said).of("speculation.started") == []


def test_a_guess_whose_words_turn_out_to_be_a_goodbye_is_thrown_away():
    door = ScriptedDoor((LISTEN, 1000))
    call = Call(door, "when are you open", finals={"when are you open": "goodbye"})
    assert call.outcomes() == ["other_words"]
    assert call.answers() == []


def test_an_answer_that_is_interrupted_before_it_sounds_is_no_gain():
    def thinking(door):
        return door.state == "thinking" and any(m["role"] == "caller" for m in finals(door))

    def finals(door):
        return door.of("transcript.final")

    door = ScriptedDoor((LISTEN, 1000), (thinking, 600), (LISTEN, CallerHungUp()))
    call = Call(door, "when are you open", "on saturday", generator=SlowGenerator(1.2))
    assert call.outcomes()[0] == "interrupted"
    assert [a.asked for a in call.answers()] == ["when are you open on saturday"]
    assert call.is_clean()


# --- trouble


def test_an_engine_that_fails_while_it_guesses_is_not_noticed():
    call = one_question(generator=SlowGenerator(0.1, failures=1))
    assert call.outcomes() == ["failed"]
    assert call.generator.begun == 2
    assert call.answers()[0].exchange.entry_id == "reg-used"
    assert call.of("fsm.failure") == []
    assert call.is_clean()


def test_a_guess_that_fails_after_it_was_taken_is_made_anew():
    call = one_question(generator=SlowGenerator(1.0, failures=1), filler_after_ms=0)
    assert call.outcomes() == ["failed"]
    assert call.answers()[0].exchange.entry_id == "reg-used"
    assert call.of("fsm.failure") == []


def test_an_engine_that_fails_twice_is_apologised_for():
    call = one_question(generator=SlowGenerator(0.1, failures=2))
    assert [r.data["reason"] for r in call.of("fsm.failure")] == ["llm_refused"]
    assert any("technical problem" in said for said in call.door.said("assistant"))
    assert call.is_clean()


@pytest.mark.parametrize("wait_ms", [80, 200, 400, 620])
def test_a_call_may_end_while_it_guesses(wait_ms):
    """With nothing begun but retrieval, in the middle of an answer, and with its speech held."""
    hangs_up = CallerHungUp()
    door = ScriptedDoor((LISTEN, 1500), (lambda d: quiet(d, wait_ms), hangs_up))
    call = Call(door, QUESTION)
    assert call.outcomes() == ["ended"]
    assert call.answers() == []
    assert call.is_clean()


def quiet(door, wait_ms):
    """Whether the caller has said the question, and been silent for so long."""
    if door.state in ("", "greeting", LISTEN) or door._voice_left > 0:
        return False
    door.quiet_since = getattr(door, "quiet_since", loop_ms())
    return loop_ms() - door.quiet_since >= wait_ms


def test_stages_that_were_reached_early_have_no_share():
    stages = Stages(100.0, 300.0, 400.0, retrieved=250.0, worded=290.0, spoken=450.0, played=460.0)
    assert stages.shares() == {
        "endpoint": 200.0,
        "stt": 100.0,
        "retrieve": 0.0,
        "generate": 0.0,
        "speak": 50.0,
        "playout": 10.0,
    }


# --- the speculator by itself


class Desk:
    """A speculator with nothing around it."""

    def __init__(self, tts=None):
        self.generator, self.tts, self.sink = SlowGenerator(), tts or FakeTts(), ListSink()
        self.talk = Conversation("en", PolicySlots())
        self.answers = Answers(self.talk, knowledge(), self.generator, "kfz", "the office")
        style = SpeechStyle("en")
        self.speculator = Speculator(
            self.answers,
            lambda text: self.tts.synthesise(text, style),
            CallLog("call_1", self.sink),
            Metrics(),
        )

    async def answer(self, asked):
        """Note in the dialogue that a question was answered."""
        prompt = await self.answers.prompt(self.answers.question(asked))
        plan = self.generator.plan(prompt)
        self.talk.note_answer(2, asked, prompt.question, plan)


def at_a_desk(work, **options):
    async def main():
        desk = Desk(**options)
        async with asyncio.TaskGroup() as tasks:
            desk.speculator.start(tasks)
            await work(desk)
            desk.speculator.stop()
        return desk

    return run_virtual(main())


def test_the_same_words_are_not_begun_twice():
    async def work(desk):
        for _ in range(3):
            desk.speculator.begin("when are you open", 1)
            desk.speculator.begin("When are you open?", 1)
            await asyncio.sleep(0.1)

    assert at_a_desk(work).sink.kinds() == ["speculation.started", "speculation.wasted"]


def test_an_utterance_is_guessed_only_so_often_and_the_next_one_anew():
    async def work(desk):
        for minute in range(TRIES + 3):
            desk.speculator.begin(f"what costs {minute} minutes", 1)
            desk.speculator.drop()
        desk.speculator.begin("when are you open", 2)

    assert at_a_desk(work).sink.kinds().count("speculation.started") == TRIES + 1


def test_a_guess_for_another_point_of_the_dialogue_is_not_used():
    async def work(desk):
        desk.speculator.begin("how much is that", 1)
        await desk.answer(QUESTION)
        async with desk.speculator.answering("how much is that") as draft:
            await draft.ready()
            assert "register" in draft.prompt.question

    wasted = [r.data for r in at_a_desk(work).sink.records if r.kind == "speculation.wasted"]
    assert wasted == [{"why": "other_words"}]


def test_the_same_words_after_another_answer_are_another_question():
    async def work(desk):
        desk.speculator.begin(QUESTION)
        await desk.answer(QUESTION)
        async with desk.speculator.answering(QUESTION) as draft:
            await draft.ready()
            assert len(draft.prompt.history) == 1

    assert at_a_desk(work).sink.kinds() == ["speculation.started", "speculation.wasted"]


def test_whoever_took_an_answer_and_does_not_want_it_leaves_nothing_open():
    async def work(desk):
        desk.speculator.begin(QUESTION)
        await asyncio.sleep(5.0)
        assert (desk.tts.open, desk.generator.open) == (1, 1)
        async with desk.speculator.answering(QUESTION) as draft:
            await draft.ready()
            await asyncio.sleep(0.1)
            assert (desk.tts.open, desk.generator.open) == (1, 1)
        assert (desk.tts.open, desk.generator.open) == (0, 0)
        assert draft.question.asked == QUESTION

    at_a_desk(work, tts=SlowTts(greeting=0))


def test_speech_that_broke_off_while_it_was_a_guess_is_not_heard_twice():
    class DyingTts(SlowTts):
        async def synthesise(self, text, style):
            dies = len(self.spoken) == self.greeting
            async for chunk in super().synthesise(text, style):
                yield chunk
                if dies:
                    raise EngineError("gone")

    guessed, plain = one_question(tts=DyingTts()), one_question(speculate=False)
    assert guessed.outcomes() == ["failed"]
    assert guessed.door.said("assistant") == plain.door.said("assistant")
    assert len(guessed.door.frames) == len(plain.door.frames)


def test_it_may_be_told_anything_at_any_moment():
    async def work(desk):
        desk.speculator.drop()
        desk.speculator.begin("")
        desk.speculator.begin("when are you open")
        desk.speculator.drop(Waste.ENDED)
        desk.speculator.drop()
        desk.speculator.stop()
        desk.speculator.begin("when are you open")

    assert at_a_desk(work).sink.kinds() == ["speculation.started", "speculation.wasted"]


def test_a_guess_holds_a_bounded_part_of_its_speech_and_gives_all_of_it():
    async def work(desk):
        desk.speculator.begin(QUESTION)
        await asyncio.sleep(30.0)
        held = len(b"".join(desk.tts.chunks))
        assert HELD_BYTES <= held <= HELD_BYTES + 3200
        async with desk.speculator.answering(QUESTION) as draft:
            await draft.ready()
            said = [(text, audio) async for text, audio in first_of(draft)]
        assert said[0][1] == b"".join(desk.tts.chunks)

    async def first_of(draft):
        async for text, audio in draft.sentences():
            if audio is not None:
                yield text, b"".join([piece async for piece in audio])

    desk = at_a_desk(work, tts=SlowTts(greeting=0))
    assert (desk.tts.open, desk.generator.open) == (0, 0)


def test_every_outcome_has_a_series_from_the_start():
    text = Metrics().exposition()[0].decode()
    assert set(SPECULATION_OUTCOMES) == {"used", *(why.value for why in Waste)}
    for outcome in SPECULATION_OUTCOMES:
        assert f'tom_speculations_total{{outcome="{outcome}"}} 0.0' in text
