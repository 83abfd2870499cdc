"""One call drawn in time: where things stand, what is said of them, and that nothing breaks it."""

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from apps.cli import app
from apps.core.event_lines import to_line
from apps.core.events import LogRecord
from apps.dispatcher.timeline import timeline
from apps.dispatcher.timeline.lanes import slowest
from apps.dispatcher.timeline.story import Turn
from apps.dispatcher.timeline.tell import tell
from tests.event_logs import QUESTION, Log, question_and_cough

HOSTILE = "</script><script>alert(1)</script><img src=x onerror='alert(2)'>\"&\x00\x1b[2J"


class Page(HTMLParser):
    """What a browser makes of a page: its elements, and its text apart from them."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.texts, self._open = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture
def records():
    return question_and_cough().records


@pytest.fixture
def story(records):
    return tell(records)


def kinds(spans):
    return [span.kind for span in spans]


# --- the caller


def test_the_caller_s_voice_is_shaded_and_the_wait_after_it_apart(story, records):
    assert kinds(story.utterances) == ["voice", "wait", "voice", "wait"]
    voice, wait = story.utterances[:2]
    assert voice.from_ms == pytest.approx(500, abs=40)
    (first, *_) = [r for r in records if r.data.get("signal") == "ended"]
    assert (wait.from_ms, wait.to_ms) == (voice.to_ms, first.at_ms)
    assert voice.to_ms == pytest.approx(first.data["last_voice_ms"], abs=1)


def test_a_door_that_delivers_late_shifts_the_audio_to_where_it_was_heard(records, story):
    late = tell([replace(record, at_ms=record.at_ms + 700) for record in records])
    was, is_ = story.utterances[0], late.utterances[0]
    assert is_.from_ms - was.from_ms == pytest.approx(700, abs=1)
    assert late.voice[0][0] - story.voice[0][0] == pytest.approx(700, abs=1)


def test_a_batch_that_was_written_late_moves_nothing(records, story):
    batches = [record.seq for record in records if record.kind == "ear.windows"]
    late = [
        replace(record, at_ms=record.at_ms + 30) if record.seq in batches[1::2] else record
        for record in records
    ]
    assert tell(late).caller_level == story.caller_level


def test_levels_and_probabilities_lie_between_0_and_1_and_in_time(story):
    assert max(height for _, height in story.caller_level) == pytest.approx(0.75, abs=0.05)
    for curve in (story.caller_level, story.voice):
        assert all(0 <= height <= 1 for _, height in curve)
        times = [ms for ms, _ in curve]
        assert times == sorted(times)


def test_a_level_stretch_of_a_curve_costs_two_points(story):
    assert len(story.voice) < 40


def test_partial_words_are_drawn_as_they_came():
    log = Log().hear(500, 1).words("what").words("what documents").words("what monuments")
    marks = tell(log.records).partials
    labels = [(mark.kind, mark.label) for mark in marks]
    assert labels == [
        ("added", "what"),
        ("added", "documents"),
        ("changed", "what monuments"),
    ]


def test_a_final_transcript_stands_below_its_utterance_up_to_the_next(story):
    (final,) = story.finals
    assert final.label == QUESTION
    assert final.from_ms == story.utterances[0].from_ms


def test_every_decision_is_marked_and_an_end_says_its_delay(story):
    log = question_and_cough()
    assert kinds(story.decisions) == log.decided()
    ended = next(mark for mark in story.decisions if mark.kind == "ended")
    delay_ms = int(re.search(r"after (\d+) ms", ended.label).group(1))
    wait = story.utterances[1]
    assert delay_ms == pytest.approx(wait.to_ms - wait.from_ms, abs=1)


# --- the call and the assistant


def test_states_follow_each_other_without_a_gap(story):
    assert kinds(story.states)[:2] == ["greeting", "listening"]
    for before, after in zip(story.states, story.states[1:], strict=False):
        assert before.to_ms == after.from_ms
    assert story.states[-1].to_ms == story.length_ms


def test_a_turn_holds_its_question_its_answer_and_its_wait(story):
    (turn,) = story.turns
    assert (turn.turn_id, turn.asked, turn.said) == (2, QUESTION, ("Your identity card.",))
    assert turn.waited_ms == 612.0


def test_the_slowest_stage_is_said_in_plain_words(story):
    said = slowest(story.turns[0])
    assert said == "waited 612 ms, 520 of them for the caller to go on"
    assert slowest(Turn(1, 0.0)) == ""
    assert slowest(Turn(1, 0.0, waited_ms=3.0)) == "waited 3 ms"
    assert "tea" in slowest(Turn(1, 0.0, waited_ms=3.0, stages={"tea": 2.0}))


def test_what_became_of_a_turn_is_noted():
    log = Log().note("fsm.incoming_call").note("fsm.call_answered").note("fsm.speech_finished", 1)
    log.note("fsm.transcript", text="a").note("speculation.used", 2, won_ms=210.4)
    log.note("assistant", 2, text="An answer.", sources=[]).note("fsm.answer_ready", 2)
    log.note("fsm.barge_in").note("heard", 2, text="An")
    (turn,) = tell(log.records).turns
    assert turn.notes == ("speculation won 210 ms", "interrupted", "heard: “An”")


def test_speculation_used_and_wasted_is_told_apart():
    log = Log().note("speculation.started", text="a").hear(100, 0)
    log.note("speculation.wasted", why="went_on").note("speculation.started", text="a b")
    log.hear(200, 0).note("speculation.used", 2, won_ms=200.0).note("speculation.started", text="c")
    guesses = tell(log.records).guesses
    assert kinds(guesses) == ["wasted", "used", "open"]
    assert [guess.label for guess in guesses[:2]] == ["wasted: went on", "used: 200 ms won"]
    assert guesses[1].to_ms - guesses[1].from_ms == pytest.approx(192, abs=1)


def test_sentences_share_the_time_of_their_turn_by_their_letters():
    log = Log().note("fsm.incoming_call").note("fsm.call_answered")
    log.note("assistant", 1, text="a" * 30, sources=[]).note("assistant", 1, text="b" * 10)
    log.hear(4000, 0).note("fsm.speech_finished", 1)
    first, second = tell(log.records).sentences
    assert (first.from_ms, first.to_ms) == (0.0, 3000.0)
    assert (second.from_ms, second.to_ms) == (3000.0, 4000.0)


def test_a_sentence_that_was_broken_off_ends_where_the_caller_broke_in():
    log = Log().note("fsm.incoming_call").note("fsm.call_answered")
    log.note("assistant", 1, text="a" * 500).hear(1024, 0).note("fsm.barge_in").hear(1024, 0)
    (sentence,) = tell(log.records).sentences
    assert sentence.to_ms == 1024.0


def test_a_hold_lasts_until_it_is_known_what_it_was(story, records):
    (hold,) = story.holds
    marks = {mark.kind: mark.at_ms for mark in story.decisions}
    assert (hold.from_ms, hold.to_ms) == (marks["hold"], marks["false_alarm"])
    at = {r.data.get("signal"): i for i, r in enumerate(records)}["hold"]
    mouth = [*records[: at + 1], replace(records[at], kind="mouth.hold", data={})]
    mouth.append(replace(records[at], at_ms=9000.0, kind="mouth.resume", data={}))
    (hold,) = tell(mouth).holds
    assert (hold.from_ms, hold.to_ms) == (marks["hold"], 9000.0)


def test_the_assistant_s_level_is_0_where_nothing_was_sent():
    log = Log().note("mouth.level", from_ms=100.0, dbfs=[-20, -30]).hear(3000, 0)
    log.note("mouth.level", from_ms=2000.0, dbfs=[-20, -30])
    level = tell(log.records).assistant_level
    assert [height for ms, height in level if 140 < ms < 2000] == [0.0, 0.0]
    assert [height for ms, height in level if 2000 < ms <= 2040] == pytest.approx([2 / 3, 0.5])


# --- the page


def test_the_page_needs_no_other_file_and_runs_no_script_but_its_own(records):
    html = timeline(records, "call")
    page = Page(html)
    assert not {"link", "img", "iframe", "object", "base"} & {*page.tags}
    assert not [name for name, _ in page.attributes if name.startswith("on") or name == "src"]
    script = re.search(r"<script>(.*?)</script>", html, re.S).group(1)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = dict(page.attributes)["content"]
    assert f"'sha256-{digest}'" in html
    assert "default-src 'none'" in html
    assert policy
    assert page.tags.count("script") == 1


def test_whatever_is_said_is_text_and_nothing_else(records):
    quiet = Page(timeline(records, "call"))
    hostile = [_hostile(record) for record in records]
    page = Page(timeline(hostile, HOSTILE))
    # The same elements: a title for each text that was none before, and nothing of the caller's.
    assert {*page.tags} == {*quiet.tags}
    assert page.tags.count("script") == 1
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "alert(1)" in "".join(page.texts)
    assert "\x00" not in "".join(page.texts)
    assert "\x1b" not in "".join(page.texts)


def _hostile(record):
    texts = {name: HOSTILE for name, value in record.data.items() if isinstance(value, str)}
    signal = {"signal": record.data["signal"]} if "signal" in record.data else {}
    return replace(record, data={**record.data, **texts, **signal, "sources": [HOSTILE]})


def test_a_log_without_ear_records_is_drawn_by_what_moved_the_call(records):
    old = [record for record in records if not record.kind.startswith("ear.")]
    html = timeline(old, "call")
    assert "The log holds no ear records" in html
    assert kinds(tell(old).utterances) == ["voice"]
    assert "The log holds no ear records" not in timeline(records, "call")


def test_a_call_of_ten_minutes_is_one_page_of_moderate_size():
    log = Log()
    for _ in range(20):
        log.hear(20_000, 0).hear(10_000, 1)
    html = timeline(log.records, "call")
    assert "600 s</text>" in html
    assert len(html) < 1_000_000


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(st.sampled_from(["stt", "endpoint", "x"]), children, max_size=3)
    ),
    max_leaves=5,
)
FIELDS = [
    *("text", "signal", "at_ms", "until_ms", "voice", "dbfs", "last_voice_ms", "from_ms", "ms"),
    *("stages", "won_ms", "why", "rating", "reason", "engines", "sources", "confidence", "reward"),
]
KINDS = [*{r.kind for r in question_and_cough().records}, "mouth.level", "mouth.hold"]
KINDS += ["speculation.started", "speculation.used", "call.started", "call.ended", "heard", "new"]


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.floats(-1e6, 1e15),
            st.sampled_from(KINDS),
            st.none() | st.integers(0, 3),
            st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=6),
        ),
        max_size=12,
    )
)
def test_no_log_is_too_strange_to_be_drawn(lines):
    strange = [LogRecord(seq, *line) for seq, line in enumerate(lines)]
    page = Page(timeline(strange, "call"))
    assert page.tags.count("script") == 1


# --- the command


def test_the_page_is_written_where_it_is_wanted(records, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_text("".join(to_line(r) + "\n" for r in records), "utf-8")
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    done = CliRunner().invoke(app, ["timeline", "a.jsonl"])
    assert done.exit_code == 0, done.output
    assert QUESTION in (tmp_path / "timeline-a.html").read_text("utf-8")
    assert not opened
    done = CliRunner().invoke(app, ["timeline", "a.jsonl", "-o", "b.html", "--open"])
    assert opened == [(tmp_path / "b.html").as_uri()]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["gone.jsonl"], "cannot be read"), (["a.jsonl", "-o", "no/b.html"], "cannot be written")],
)
def test_what_cannot_be_drawn_is_told(records, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_text("".join(to_line(r) + "\n" for r in records), "utf-8")
    done = CliRunner().invoke(app, ["timeline", *arguments])
    assert (done.exit_code, said in done.stderr) == (1, True)
