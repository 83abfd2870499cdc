"""The turn-taking benchmark counts what it says it counts."""

import math
from collections import Counter
from xml.etree import ElementTree

import numpy as np
import pytest

from apps.voice.turn_options import TurnOptions
from apps.voice.vad import WINDOW_MS
from benchmarks.turns.compose import compose, to_jsonl
from benchmarks.turns.figure import Curve, Point, draw
from benchmarks.turns.hearing import Outcome, listen
from benchmarks.turns.oracle import DELAY_MS, WRONG, Oracle, vocabulary
from benchmarks.turns.score import breaks, ends, percentile, scaled
from benchmarks.turns.sound import LEAD_MS, Recording, SpokenWord, cough
from benchmarks.turns.utterances import HELD_OUT, HERE, OVER, TUNE, Utterance, read
from benchmarks.turns.voices import word_ends

SET = read()


def recording(parts, pauses_ms=(), *, kind="plain", language="en", word_ms=320.0):
    """Return a recording in which every word lasts as long and voice is heard exactly as said."""
    utterance = Utterance("test", language, kind, TUNE, "", parts, pauses_ms)
    words, now_ms, voiced = [], float(LEAD_MS), [(0.0, float(LEAD_MS), 0.0)]
    for part, pause_ms in zip(parts, (*pauses_ms, 4000), strict=True):
        began_ms = now_ms
        for word in part.split():
            now_ms += word_ms
            words.append(SpokenWord(word, now_ms))
        voiced += [(began_ms, now_ms, 0.9), (now_ms, now_ms + pause_ms, 0.0)]
        now_ms += pause_ms
    windows = np.arange(0.0, now_ms, WINDOW_MS) + WINDOW_MS / 2
    found = tuple(next(p for a, b, p in voiced if a <= at < b) for at in windows if at < now_ms)
    last_ms = words[-1].end_ms
    return Recording(utterance, np.zeros(0, np.int16), tuple(words), LEAD_MS, last_ms, found)


def plain(made, silence_ms):
    return listen(made, None, TurnOptions(endpoint_ms=silence_ms))


# --- the set


def test_the_set_is_drawn_from_its_texts_by_its_seed():
    assert (HERE / "utterances.jsonl").read_text(encoding="utf-8") == to_jsonl(compose())


def test_half_of_every_class_of_both_languages_is_held_out():
    halves = Counter((u.language, u.kind, u.split) for u in SET)
    for language, kind, _ in halves:
        assert halves[language, kind, TUNE] == halves[language, kind, HELD_OUT] >= 3
    assert len(SET) >= 120
    assert {language for language, _, _ in halves} == {"de", "en"}


def test_every_silence_inside_is_between_a_fifth_of_a_second_and_more_than_one():
    assert all(200 <= ms <= 1200 for u in SET for ms in u.pauses_ms)
    assert all(len(u.pauses_ms) == max(0, len(u.parts) - 1) for u in SET)


def test_noise_comes_in_both_kinds_at_three_levels():
    assert {(u.noise, u.snr_db) for u in SET if u.noise} == {
        (kind, db) for kind in ("white", "babble") for db in (20, 10, 5)
    }


def test_only_coughs_have_no_words():
    assert {u.kind for u in SET if not u.parts} == {"cough"}


# --- word ends


def test_a_word_ends_with_its_last_segment():
    segments = [("dh", 0.1), ("ax", 0.2), ("k", 0.3), ("ao", 0.4), ("d", 0.5)]
    assert word_ends(segments, [["dh", "ax"], ["k", "ao", "d"]]) == [0.2, 0.5]


def test_phones_that_change_between_words_do_not_move_the_others():
    segments = [("dh", 0.1), ("iy", 0.2), ("aa", 0.3), ("f", 0.4), ("ih", 0.5), ("s", 0.6)]
    alone = [["dh", "ax"], ["ao", "f", "ih", "s"]]
    assert word_ends(segments, alone) == [0.2, 0.6]


def test_a_word_whose_phones_were_dropped_ends_with_the_one_before():
    assert word_ends([("b", 0.1), ("l", 0.3)], [["b"], ["z"], ["l"]]) == [0.1, 0.1, 0.3]


# --- the oracle


def test_the_oracle_tells_a_word_a_fixed_time_after_its_end():
    made = recording(("one two",))
    oracle = Oracle(made, {"en": ("zebra",)})
    end_ms = made.words[0].end_ms
    assert oracle.partial(end_ms + DELAY_MS - 1).text == ""
    assert len(oracle.partial(end_ms + DELAY_MS).text.split()) == 1
    assert oracle.partial(end_ms + DELAY_MS).until_ms == end_ms


def test_the_oracle_gets_fifteen_in_a_hundred_words_wrong_and_always_the_same():
    made = recording((" ".join(["word"] * 4000),), word_ms=32.0)
    heard = [Oracle(made, {"en": ("zebra",)}, seed).final(1e9)[1].text for seed in (0, 0, 1)]
    assert heard[0] == heard[1] != heard[2]
    assert heard[0].split().count("zebra") / 4000 == pytest.approx(WRONG, abs=0.02)


def test_the_oracle_is_surer_of_right_words_than_of_wrong_ones():
    made = recording((" ".join(["word"] * 300),), word_ms=32.0)
    right = Oracle(made, {"en": ("zebra",)}).final(1e9)[1].confidence
    wrong = [Oracle(recording(("word",)), {"en": ("zebra",)}, seed) for seed in range(200)]
    doubted = [w.final(1e9)[1] for w in wrong]
    sure = [w.confidence for w in doubted if w.text == "zebra"]
    assert sum(sure) / len(sure) < right


def test_wrong_words_are_of_the_same_language():
    words = vocabulary(SET)
    assert "Kennzeichen" in words["de"]
    assert "Kennzeichen" not in words["en"]


# --- what is decided


def test_plain_silence_cuts_off_a_caller_who_pauses_for_longer():
    made = recording(("my husband", "works abroad"), (640,))
    assert plain(made, 500).ended_ms < made.last_ms
    assert plain(made, 704).ended_ms >= made.last_ms + 704 - WINDOW_MS


def test_words_that_hang_keep_the_turn_open_where_silence_would_end_it():
    made = recording(("I bought a car and", "what now"), (640,))
    oracle = Oracle(made, {"en": ("zebra",)}, seed=2)
    assert listen(made, oracle, TurnOptions()).ended_ms > made.last_ms


def test_a_complete_question_ends_sooner_than_by_plain_silence():
    made = recording(("what does it cost to register a used car",))
    told = [listen(made, Oracle(made, {"en": ("zebra",)}, s), TurnOptions()) for s in range(5)]
    waits = [outcome.ended_ms - made.last_ms for outcome in told]
    assert min(waits) < 300 < plain(made, 700).ended_ms - made.last_ms


def test_a_spoken_interruption_breaks_in_and_a_silent_room_does_not():
    made = recording(("sorry I have another question",), kind="interruption")
    outcome = listen(made, Oracle(made, {"en": ("zebra",)}), TurnOptions())
    assert outcome.hold_ms < outcome.barge_in_ms


def test_a_cough_lasts_less_than_two_seconds_and_begins_and_ends_audibly():
    for seed in range(20):
        wave = cough(np.random.default_rng(seed), np.sin(np.arange(4000) / 10) * 3000)
        assert 80 * 16 < len(wave) < 2000 * 16
        assert abs(wave[0]) > 100 < abs(wave[-1])


# --- the figures


def test_turns_are_cut_missed_or_wait():
    made = recording(("hello there",))
    outcomes = [made.last_ms - 1, None, *(made.last_ms + wait for wait in (100, 200, 300))]
    found = ends([(made, Outcome(ended_ms=ms)) for ms in outcomes])
    assert (found.turns, found.cut, found.missed) == (5, 0.2, 0.2)
    assert (found.median_ms, found.p90_ms) == (200, 300)


def test_only_a_barge_in_is_right_for_an_interruption_and_wrong_for_a_cough():
    broke, kept = Outcome(hold_ms=1100.0, barge_in_ms=1200.0), Outcome()
    for kind in OVER:
        made = recording(("hello",), kind=kind)
        found = breaks([(made, broke), (made, broke), (made, kept)])
        assert found.right == pytest.approx(2 / 3 if kind == "interruption" else 1 / 3)
        assert (found.held, found.hold_ms) == (pytest.approx(2 / 3), 100.0)


def test_scaled_delays_stay_between_the_bounds():
    low, high = scaled(TurnOptions(), 0.1), scaled(TurnOptions(), 10)
    assert {low.complete_ms, low.endpoint_ms, low.hanging_ms} == {200}
    assert {high.endpoint_ms, high.hanging_ms} == {2500}


def test_percentiles_are_of_the_nearest_rank():
    assert [percentile([3, 1, 2, 4], rank) for rank in (25, 50, 90, 100)] == [1, 2, 4, 4]
    assert math.isnan(percentile([], 50))


def test_the_figure_is_an_svg_with_a_point_for_each_setting():
    curve = Curve("a & b", "#000", [Point("1", 200, 0.3), Point("2", 700, 0.1)])
    root = ElementTree.fromstring(draw([("Median", [curve]), ("p90", [curve])]))
    assert root.tag.endswith("svg")
    assert len(root.findall(".//{http://www.w3.org/2000/svg}circle")) == 4
