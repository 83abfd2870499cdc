"""One utterance: it is decoded ahead in a pause, and the likeliest model has the last word."""

from __future__ import annotations

import numpy as np
import pytest

from apps.core.audio import Samples
from apps.voice.stt.base import ListenFor
from apps.voice.stt.build import RATING
from apps.voice.stt.features import Frames
from apps.voice.stt.listening import MAX_FRAMES, Listening
from apps.voice.stt.sphinx_decoder import GENERAL, Hypothesis


class ScriptedDecoder:
    """Answers each search with a fixed hypothesis and counts how often it was asked."""

    profiles = ["kfz"]  # noqa: RUF012

    def __init__(self, **scores: tuple[str, float, float]) -> None:
        self._scores = {"kfz": ("domain words", 0.5, 0.9), **scores}
        self.asked: list[tuple[str, int]] = []

    def decode(self, cepstra: Frames, search: str) -> Hypothesis:
        self.asked.append((search, len(cepstra)))
        name = {GENERAL: "general", RATING: "rating"}.get(search, search)
        text, score, confidence = self._scores[name]
        return Hypothesis(text, score, confidence ** len(text.split()), len(cepstra))

    def glance(self, cepstra: Frames, profile: str) -> str:
        self.asked.append(("glance", len(cepstra)))
        return f"{len(cepstra)} frames"


def noise(ms: int, amplitude: float, seed: int = 3) -> Samples:
    rng = np.random.default_rng(seed)
    return (amplitude * rng.standard_normal(16 * ms)).astype(np.int16)


def speech(ms: int = 800) -> Samples:
    return noise(ms, 3000.0)


def quiet(ms: int = 500) -> Samples:
    return noise(ms, 2.0)


def listening(decoder: ScriptedDecoder, listen_for: ListenFor = ListenFor.ANYTHING) -> Listening:
    return Listening(decoder, profile="kfz", listen_for=listen_for)


def test_a_pause_is_used_to_decode_ahead_so_that_the_end_costs_nothing() -> None:
    decoder = ScriptedDecoder()
    heard = listening(decoder)
    heard.push(speech())
    assert not heard.look_ahead()
    heard.push(quiet(300))
    assert heard.look_ahead()
    assert not heard.look_ahead()
    heard.push(quiet(200))
    assert not heard.look_ahead()
    assert heard.finish().text == "domain words"
    assert len(decoder.asked) == 1


def test_quiet_that_moves_the_end_by_a_frame_costs_no_second_decoding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decoder = ScriptedDecoder()
    heard = listening(decoder)
    heard.push(np.concatenate((speech(), quiet(300))))
    assert heard.look_ahead()
    end = heard._end()
    assert end is not None
    monkeypatch.setattr(Listening, "_end", lambda _: end + 1)
    assert not heard.look_ahead()
    assert heard.finish().text == "domain words"
    assert len(decoder.asked) == 1


def test_who_goes_on_after_a_pause_is_decoded_anew_to_the_end() -> None:
    decoder = ScriptedDecoder()
    heard = listening(decoder)
    heard.push(np.concatenate((speech(), quiet(300))))
    assert heard.look_ahead()
    heard.push(np.concatenate((speech(600), quiet(300))))
    heard.finish()
    (_, ahead), (_, final) = decoder.asked
    assert final > ahead + 50


def test_the_transcript_is_the_same_whether_decoded_ahead_or_not() -> None:
    ahead, at_once = ScriptedDecoder(), ScriptedDecoder()
    patient, hasty = listening(ahead), listening(at_once)
    audio = np.concatenate((speech(), quiet(300)))
    patient.push(audio)
    patient.look_ahead()
    patient.push(quiet(200))
    patient.finish()
    hasty.push(np.concatenate((audio, quiet(200))))
    hasty.finish()
    assert ahead.asked == at_once.asked


def test_without_any_quiet_everything_is_decoded_at_the_end() -> None:
    decoder = ScriptedDecoder()
    heard = listening(decoder)
    heard.push(speech(1000))
    assert not heard.look_ahead()
    assert heard.finish().is_final
    assert decoder.asked[0][1] >= 97


def test_a_confident_domain_hypothesis_is_taken_without_asking_the_general_model() -> None:
    decoder = ScriptedDecoder(general=("general words", 0.9, 0.9))
    heard = listening(decoder)
    heard.push(speech())
    transcript = heard.finish()
    assert (transcript.text, transcript.model) == ("domain words", "domain")
    assert transcript.confidence == pytest.approx(0.9)


@pytest.mark.parametrize(("score", "model"), [(0.6, "general"), (0.4, "domain")])
def test_in_doubt_the_likelier_of_domain_and_general_model_wins(score: float, model: str) -> None:
    decoder = ScriptedDecoder(kfz=("domain words", 0.5, 0.2), general=("general words", score, 0.3))
    heard = listening(decoder)
    heard.push(speech())
    assert heard.finish().model == model


@pytest.mark.parametrize(("score", "model"), [(0.49, "rating"), (0.3, "domain")])
def test_a_rating_is_heard_unless_something_else_is_clearly_likelier(
    score: float, model: str
) -> None:
    decoder = ScriptedDecoder(rating=("four out of five", score, 0.8))
    heard = listening(decoder, ListenFor.RATING)
    heard.push(speech())
    assert heard.finish().model == model


def test_a_profile_without_a_model_is_heard_by_the_general_one() -> None:
    decoder = ScriptedDecoder(general=("general words", 0.5, 0.1))
    heard = Listening(decoder, profile="other", listen_for=ListenFor.ANYTHING)
    heard.push(speech())
    transcript = heard.finish()
    assert (transcript.text, transcript.model) == ("general words", "general")
    assert heard.partial() is None


def test_no_audio_is_an_empty_transcript() -> None:
    transcript = listening(ScriptedDecoder()).finish()
    assert (transcript.text, transcript.confidence, transcript.is_final) == ("", 0.0, True)


def test_partials_come_at_growing_distances() -> None:
    decoder = ScriptedDecoder()
    heard = listening(decoder)
    partials = []
    for _ in range(40):
        heard.push(speech(100))
        partials.append(heard.partial())
    said = [partial.text for partial in partials if partial is not None]
    assert 4 <= len(said) <= 9
    assert not any(partial.is_final for partial in partials if partial is not None)


def test_an_endless_utterance_is_cut() -> None:
    decoder = ScriptedDecoder()
    heard = listening(decoder)
    for _ in range(40):
        heard.push(speech(1000))
    heard.finish()
    assert decoder.asked[0][1] < MAX_FRAMES + 110
