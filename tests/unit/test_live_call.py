"""Whole conversations, in virtual time: what a caller lives through."""

import asyncio
from datetime import UTC, datetime

import pytest

from apps.core.clock import loop_ms
from apps.core.errors import EngineDied, TransferFailed
from apps.core.policy import BargeInSensitivity, Greeting, InquiryMode, Length, PolicySlots, Tone
from apps.dispatcher.services import Limits
from apps.voice.doors.base import CallerAudio, Capabilities
from apps.voice.stt.fake import FakeStt
from apps.voice.tts.fake import FakeTts
from tests.calls import (
    VOICE,
    CallerDigit,
    CallerHungUp,
    CallerRating,
    CallerText,
    ScriptedDoor,
    hold_call,
)
from tests.unit.test_filler import SlowGenerator
from tests.virtual_time import run_virtual

QUESTION = "what documents do i need to register a used car"
LISTEN, SPEAK, RATE = "listening", "speaking", "awaiting_rating"


def hold(door, *heard, **options):
    return run_virtual(hold_call(door, *heard, **options))


def spoke_for(ms):
    """A cue: the assistant has been speaking for so long."""

    def cue(door):
        if door.state != SPEAK:
            return False
        started = getattr(door, "_spoke_since", None) or len(door.frames)
        door._spoke_since = started
        return (len(door.frames) - started) * 20 >= ms

    return cue


def whole_call(**options):
    door = ScriptedDoor((LISTEN, 1500), (LISTEN, 800), (RATE, 600))
    return hold(door, QUESTION, "thank you goodbye", "four", **options)


def test_a_call_from_greeting_to_rating():
    call = whole_call()
    assert call.reason == "completed"
    assert call.door.said("caller") == [QUESTION, "thank you goodbye", "four"]
    assert "artificial intelligence" in " ".join(call.door.said("assistant"))
    assert call.door.of("rating") == [{"type": "rating", "stars": 4}]
    assert call.call.session.rating == 4
    assert call.facts.ended_by_caller
    assert [t.grounded for t in call.facts.turns if t.question] == [True]


def test_nothing_is_left_running_when_a_call_is_over():
    assert whole_call().left_over == []


def test_the_answer_names_its_source():
    call = whole_call()
    sources = [s for m in call.door.of("transcript.final") for s in m.get("sources", [])]
    assert any(source.endswith("#reg-used") for source in sources)


def test_latency_is_told_by_stage_and_adds_up():
    latency = whole_call().door.of("turn.latency")[0]
    assert set(latency["stages"]) == {"endpoint", "stt", "retrieve", "generate", "speak", "playout"}
    assert sum(latency["stages"].values()) == pytest.approx(latency["ms"], abs=0.5)
    assert 590 <= latency["stages"]["endpoint"] <= 660


def test_a_barge_in_silences_the_answer_and_keeps_what_was_heard():
    door = ScriptedDoor((LISTEN, 1500), (spoke_for(2000), 1500), (LISTEN, CallerHungUp()))
    call = hold(door, QUESTION, "can i come without an appointment")
    assert len(door.flushed) == 2  # when it falls silent, and when it gives way
    heard = door.of("heard")[0]["text"]
    answer = call.call.conversation.answers[0]
    assert heard
    assert answer.said.startswith(heard[:10])
    assert len(heard) < len(answer.said)
    assert answer.exchange.answer == heard
    assert call.call.conversation.answers[1].exchange.entry_id == "appt-walk-in"
    assert call.facts.barge_ins == 1


def test_a_cough_does_not_interrupt():
    door = ScriptedDoor((LISTEN, 1500), (spoke_for(1000), 100), (LISTEN, CallerHungUp()))
    call = hold(door, QUESTION, "")
    assert_the_answer_went_on(call)
    assert call.facts.barge_ins == 0


def assert_the_answer_went_on(call):
    kinds = call.sink.kinds()
    assert kinds.count("mouth.hold") == kinds.count("mouth.resume") == 1
    answer = call.call.conversation.answers[0]
    assert answer.exchange.answer == answer.said


def test_a_backchannel_does_not_interrupt():
    door = ScriptedDoor((LISTEN, 1500), (spoke_for(1000), 300), (LISTEN, CallerHungUp()))
    assert_the_answer_went_on(hold(door, QUESTION, "mhm"))


def test_the_disclosure_is_said_to_its_end_and_the_question_over_it_is_not_lost():
    def answered(door):
        return door.state == LISTEN and any(
            m["sources"] for m in door.of("transcript.final") if m["role"] == "assistant"
        )

    door = ScriptedDoor(("greeting", 1500), (answered, CallerHungUp()))
    call = hold(door, QUESTION)
    assert door.flushed == []
    assert call.call.conversation.answers[0].exchange.entry_id == "reg-used"


def test_a_follow_up_is_understood_from_the_dialogue():
    door = ScriptedDoor((LISTEN, 1500), (LISTEN, 900), (LISTEN, CallerHungUp()))
    call = hold(door, QUESTION, "and how much does that cost")
    assert "28 euros 40" in call.call.conversation.answers[1].said
    assert "register" in call.call.conversation.answers[1].exchange.question


def test_a_caller_who_goes_on_is_answered_once_to_the_whole():
    def thinking_again(door):
        return door.state == "thinking" and door._voice_left <= 0

    door = ScriptedDoor((LISTEN, 900), (thinking_again, 900), (LISTEN, CallerHungUp()))
    tts = SlowTts(1.0)
    call = hold(door, "what documents do i need", "to register a used car", tts=tts)
    assert len(call.call.conversation.answers) == 1
    asked = call.call.conversation.answers[0].asked
    assert asked == "what documents do i need to register a used car"


def asked_and_then(words, then, language="en"):
    """A caller types a question, and more at once, before anything answers it."""
    door = ScriptedDoor(
        (LISTEN, CallerText(words)),
        ("thinking", CallerText(then)),
        (LISTEN, CallerHungUp()),
        (RATE, CallerHungUp()),
        language=language,
    )
    return hold(door, tts=SlowTts(1.0))


@pytest.mark.parametrize(
    ("language", "words", "then"),
    [
        ("en", "what does it cost", "bye"),
        ("en", QUESTION, "thank you goodbye"),
        ("de", "was kostet das", "auf wiederhören"),
    ],
)
def test_a_goodbye_right_behind_a_question_is_a_goodbye(language, words, then):
    call = asked_and_then(words, then, language)
    # Whoever reads the conversation sees what was asked before it.
    assert [turn.text for turn in call.call.conversation.caller_turns][-1] == f"{words} {then}"
    assert "fsm.goodbye" in call.sink.kinds()
    assert call.call.conversation.answers == []


@pytest.mark.parametrize(
    ("language", "words", "then"),
    [
        ("en", "what does it cost", "let me talk to a human agent please"),
        ("de", "was kostet das", "einen mitarbeiter bitte"),
    ],
)
def test_a_wish_for_a_person_right_behind_a_question_is_one(language, words, then):
    call = asked_and_then(words, then, language)
    assert call.reason == "handover"
    assert call.facts.handed_over


@pytest.mark.parametrize(
    ("words", "then"),
    [
        ("what do i do when", "i am done"),
        ("can my car be registered by", "a real person"),
        ("what documents do i need", "to register a used car"),
    ],
)
def test_what_carries_on_a_sentence_is_no_goodbye_and_no_wish(words, then):
    call = asked_and_then(words, then)
    assert [answer.asked for answer in call.call.conversation.answers] == [f"{words} {then}"]


def test_a_silent_caller_is_asked_twice_and_then_let_go():
    call = hold(ScriptedDoor())
    assert call.reason == "no_input"
    assert call.sink.kinds().count("fsm.no_input") == 3
    assert not call.facts.turns


def test_noise_that_is_no_speech_is_asked_about():
    door = ScriptedDoor((LISTEN, 500), (LISTEN, CallerHungUp()))
    call = hold(door, "")
    assert "again" in call.door.said("assistant")[-1]


def test_asking_for_a_person_transfers_with_a_summary():
    door = ScriptedDoor((LISTEN, 1500), (LISTEN, 900))
    call = hold(door, QUESTION, "let me talk to a human agent please")
    assert call.reason == "handover"
    transfer = door.of("transfer")[0]
    assert transfer["target"].startswith("sip:")
    assert "reg-used" in transfer["summary"]
    assert call.facts.handed_over
    assert not door.of("rating.asked")


class RefusingDoor(ScriptedDoor):
    """A door whose carrier does not put callers through."""

    async def transfer(self, target: str, summary: str) -> None:
        raise TransferFailed("The number is not in service.")


def test_a_caller_who_cannot_be_put_through_is_told_and_goes_on():
    door = RefusingDoor((LISTEN, 1500), (LISTEN, 900), (LISTEN, CallerHungUp()))
    call = hold(door, "let me talk to a human agent please", QUESTION)
    said = " ".join(call.door.said("assistant"))
    assert said.index("could not put you through") < said.index("registration certificate")
    assert call.reason == "caller_hung_up"
    assert not call.facts.handed_over


def test_out_of_hours_nobody_is_promised():
    door = ScriptedDoor((LISTEN, 900), (LISTEN, CallerHungUp()))
    call = hold(door, "human agent please", now=datetime(2026, 3, 8, 2, 0, tzinfo=UTC))
    assert call.reason == "caller_hung_up"
    assert not door.of("transfer")
    assert call.facts.turns[0].asked_for_person


@pytest.mark.parametrize(
    ("language", "asked", "said"),
    [
        ("en", "human agent please", "can't put you through on this line"),
        ("de", "einen mitarbeiter bitte", "kann ich Sie leider nicht verbinden"),
    ],
)
def test_a_door_that_cannot_hand_over_says_so_instead_of_that_nobody_is_there(
    language, asked, said
):
    door = ScriptedDoor((LISTEN, 900), (LISTEN, CallerHungUp()), language=language)
    door.capabilities = Capabilities(transfer=False)
    call = hold(door, asked)
    assert said in door.said("assistant")[-1]
    assert not door.of("transfer")
    assert call.facts.turns[0].asked_for_person


def test_a_question_that_nothing_covers_is_answered_honestly():
    door = ScriptedDoor((LISTEN, 900), (LISTEN, 400))
    call = hold(door, "how is the weather in spain tomorrow", "yes please")
    assert "don't have that" in " ".join(door.said("assistant"))
    assert call.reason == "handover"


def test_the_last_answer_is_said_again_on_request():
    door = ScriptedDoor((LISTEN, 1500), (LISTEN, 900), (LISTEN, CallerHungUp()))
    call = hold(door, QUESTION, "could you repeat that please")
    said = call.call.conversation.answers[0].said
    assert " ".join(door.said("assistant")).count(said.split(". ")[0]) == 2
    assert sum(t.is_repeat for t in call.facts.turns) == 1


@pytest.mark.parametrize(("said", "stars"), [("four", 4), ("no thanks", None)])
def test_a_rating_is_understood_or_there_is_none(said, stars):
    door = ScriptedDoor((LISTEN, 1500), (LISTEN, 800), (RATE, 600))
    call = hold(door, QUESTION, "goodbye", said)
    assert call.call.session.rating == stars
    assert call.reason == "completed"


def test_a_caller_who_does_not_rate_is_thanked_all_the_same():
    door = ScriptedDoor((LISTEN, 1500), (LISTEN, 800))
    call = hold(door, QUESTION, "goodbye")
    assert call.reason == "completed"
    assert call.call.session.rating is None
    assert call.call.session.rating_offered


def test_a_rating_by_key_and_by_stars():
    for action in (CallerDigit("5"), CallerRating(5)):
        call = hold(ScriptedDoor((LISTEN, 1500), (LISTEN, 800), (RATE, action)), QUESTION, "bye")
        assert call.call.session.rating == 5


def test_stars_before_they_are_asked_for_are_refused():
    door = ScriptedDoor((LISTEN, CallerRating(5)), (LISTEN, CallerHungUp()))
    call = hold(door)
    assert door.of("error")[0]["code"] == "not_asked"
    assert call.call.session.rating is None


def test_keys_choose_from_the_profile_s_menu():
    door = ScriptedDoor((LISTEN, CallerDigit("1")), (LISTEN, CallerHungUp()))
    call = hold(door)
    assert call.call.conversation.answers[0].exchange.entry_id == "hours-week"


def test_a_typed_call_needs_no_audio():
    door = ScriptedDoor(
        (LISTEN, CallerText(QUESTION)),
        (LISTEN, CallerText("bye")),
        (RATE, CallerText("4")),
        audio=False,
    )
    call = hold(door)
    assert call.reason == "completed"
    assert call.call.session.rating == 4
    assert door.frames == []


def test_typing_into_an_answer_interrupts_it():
    door = ScriptedDoor(
        (LISTEN, 1500),
        (spoke_for(500), CallerText("when are you open on saturday")),
        (LISTEN, CallerHungUp()),
    )
    call = hold(door, QUESTION)
    assert len(door.flushed) == 1
    assert call.call.conversation.answers[1].exchange.entry_id == "hours-saturday"


def test_a_language_nobody_can_hear_says_so_and_goes_on_by_keys():
    door = ScriptedDoor((LISTEN, CallerDigit("1")), (LISTEN, CallerHungUp()), language="de")
    call = hold(door, stt=False)
    assert door.of("notice")[0]["code"] == "cannot_hear"
    assert door.of("call.started")[0]["listening"] is False
    assert "Tast" in " ".join(door.said("assistant"))
    assert call.call.conversation.answers[0].exchange.entry_id == "hours-week"


def test_hanging_up_at_any_moment_ends_the_call_once():
    for state in ("greeting", LISTEN, "hearing", "thinking", SPEAK, "asking_rating", RATE):
        door = ScriptedDoor((lambda d, s=state: d.state == s, CallerHungUp()))
        script = [(LISTEN, 1500), (LISTEN, 800)]
        door.script = [*script[: 2 if "rating" in state else 1], door.script[0]]
        if state in ("greeting", LISTEN):
            door.script = door.script[-1:]
        call = hold(door, stt=FakeStt([QUESTION, "goodbye"], latency_s=0.2))
        assert call.reason == "caller_hung_up", state
        assert call.left_over == [], state


class SlowTts(FakeTts):
    """Takes its time before each sentence of an answer."""

    def __init__(self, delay_s):
        super().__init__()
        self.delay_s = delay_s

    async def synthesise(self, text, style):
        if self.spoken:
            await asyncio.sleep(self.delay_s)
        async for chunk in super().synthesise(text, style):
            yield chunk


class DyingTts(FakeTts):
    """Dies in the middle of the given sentences, counted from 1."""

    def __init__(self, *deaths, before_audio=False):
        super().__init__()
        self.deaths, self.before_audio = set(deaths), before_audio

    async def synthesise(self, text, style):
        number = len(self.spoken) + 1
        dies = number in self.deaths
        if dies and self.before_audio:
            self.spoken.append(text)
            raise EngineDied("gone")
        async for chunk in super().synthesise(text, style):
            yield chunk
            if dies:
                raise EngineDied("gone")


def test_a_synthesiser_that_dies_in_a_sentence_is_apologised_for():
    greeting = 3
    door = ScriptedDoor((LISTEN, 1500), (LISTEN, CallerHungUp()))
    call = hold(door, QUESTION, tts=DyingTts(greeting + 1))
    assert any("technical problem" in said for said in door.said("assistant"))
    assert call.reason == "caller_hung_up"


def test_a_synthesiser_that_is_back_in_time_is_not_noticed():
    door = ScriptedDoor((LISTEN, 1500), (LISTEN, CallerHungUp()))
    hold(door, QUESTION, tts=DyingTts(4, before_audio=True))
    assert not any("technical problem" in said for said in door.said("assistant"))


def test_a_recogniser_that_dies_is_apologised_for_and_the_call_goes_on():
    class DyingStt(FakeStt):
        deaths = 1

        def listen(self, options, on_partial=None):
            utterance = super().listen(options, on_partial)
            if self.deaths:
                self.deaths -= 1

                async def finish():
                    raise EngineDied("gone")

                utterance.finish = finish
            return utterance

    door = ScriptedDoor((LISTEN, 1500), (LISTEN, 1500), (LISTEN, CallerHungUp()))
    call = hold(door, stt=DyingStt(["lost", QUESTION]))
    assert any("technical problem" in said for said in door.said("assistant"))
    assert call.call.conversation.answers[0].exchange.entry_id == "reg-used"


def test_a_call_that_lasts_too_long_is_closed_politely():
    call = hold(ScriptedDoor(), limits=Limits(max_call_s=5.0))
    assert call.reason == "time_limit"


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("tone", list(Tone))
def test_every_tone_speaks_at_its_own_pace(language, tone):
    door = ScriptedDoor((LISTEN, CallerHungUp()), language=language)
    call = hold(door, slots=PolicySlots(tone=tone))
    expected = {Tone.FACTUAL: 1.0, Tone.WARM: 0.94, Tone.LIVELY: 1.08}[tone]
    assert call.call._speech._style.rate == pytest.approx(expected)


def test_every_slot_changes_what_the_caller_hears():
    def said(**slots):
        door = ScriptedDoor((LISTEN, 1500), (LISTEN, CallerHungUp()))
        hold(door, QUESTION, slots=PolicySlots(**slots))
        return " ".join(door.said("assistant"))

    for slot, values in {
        "greeting": list(Greeting),
        "length": list(Length),
        "inquiry_mode": list(InquiryMode),
    }.items():
        heard = {said(**{slot: value}) for value in values}
        assert len(heard) == len(values), slot


def test_sensitivity_changes_when_the_assistant_falls_silent():
    def flushed_after(sensitivity):
        door = ScriptedDoor((LISTEN, 1500), (spoke_for(1000), 1500), (LISTEN, CallerHungUp()))
        hold(door, QUESTION, "wait", slots=PolicySlots(barge_in_sensitivity=sensitivity))
        return door.flushed[0]

    times = [
        flushed_after(s)
        for s in (BargeInSensitivity.HIGH, BargeInSensitivity.MEDIUM, BargeInSensitivity.LOW)
    ]
    assert times == sorted(times)
    assert len(set(times)) == 3


def test_an_utterance_whose_recogniser_died_never_leaves_the_call_waiting():
    """The caller talks on over the apology, into words that nobody will transcribe."""

    class DyingWhileFed(FakeStt):
        deaths = 1

        def listen(self, options, on_partial=None):
            utterance = super().listen(options, on_partial)
            if self.deaths:
                self.deaths -= 1
                fed = []

                def feed(pcm):
                    fed.append(pcm)
                    if len(fed) > 30:
                        raise EngineDied("gone")

                utterance.feed = feed
            return utterance

    door = ScriptedDoor((LISTEN, 3000), (LISTEN, 1500), (LISTEN, CallerHungUp()))
    call = hold(door, stt=DyingWhileFed([QUESTION]))
    said = " ".join(door.said("assistant"))
    assert "technical problem" in said
    assert "didn't catch that" in said
    assert call.call.conversation.answers[0].exchange.entry_id == "reg-used"


def test_hanging_up_while_the_system_closes_the_call_is_no_sign_of_content():
    door = ScriptedDoor((LISTEN, 1500), ("thanking", CallerHungUp()))
    call = hold(door, QUESTION)
    assert call.reason == "caller_hung_up"
    assert not call.facts.ended_by_caller


def test_a_backchannel_does_not_become_a_latency():
    door = ScriptedDoor((LISTEN, 1500), (spoke_for(1000), 300))
    call = hold(door, QUESTION, "mhm")
    assert len(call.door.of("turn.latency")) == 1


def test_words_of_nothing_but_blanks_leave_the_answer_alone():
    door = ScriptedDoor(
        (LISTEN, 1500), (spoke_for(500), CallerText("   ")), (LISTEN, CallerHungUp())
    )
    hold(door, QUESTION)
    assert door.flushed == []


def test_nothing_usable_is_left_of_timers_when_a_typed_goodbye_closes_the_call():
    door = ScriptedDoor((LISTEN, 1500), (LISTEN, CallerText("goodbye")))
    call = hold(door, QUESTION)
    asked = next(r.at_ms for r in call.sink.records if r.kind == "fsm.goodbye")
    gave_up = [r.at_ms for r in call.sink.records if r.kind == "fsm.no_input"][-1]
    assert gave_up - asked > 6000


def test_a_flood_of_words_that_nobody_can_answer_stays_bounded():
    flood = [(lambda door: door.state != "greeting", CallerText("blah " * 180))] * 12
    door = ScriptedDoor(*flood, (lambda door: True, CallerHungUp()), audio=False)
    call = hold(door, generator=SlowGenerator(60.0))
    asked = [r.data["text"] for r in call.sink.records if r.kind == "fsm.transcript"]
    assert len(asked) > 3
    assert max(map(len, asked)) <= 1000


class LostMicrophone(ScriptedDoor):
    """The caller's audio stops for six seconds in the middle of an utterance."""

    back_ms = 0.0

    async def events(self):
        voiced = 0
        async for event in super().events():
            voiced += isinstance(event, CallerAudio) and event.pcm == VOICE
            if voiced == 60 and not self.back_ms:
                await asyncio.sleep(6)
                self.back_ms = loop_ms()
            yield event


def test_an_utterance_ends_though_the_caller_s_audio_stops_in_it():
    door = LostMicrophone((LISTEN, 1500), (LISTEN, CallerHungUp()))
    call = hold(door, QUESTION)
    understood = next(r for r in call.sink.records if r.kind == "fsm.transcript")
    assert understood.data["text"] == QUESTION
    assert understood.at_ms < door.back_ms
