"""What TOM says when it calls: who it is, that it is an AI, and why, in every manner."""

import re

import pytest
import yaml
from pydantic import ValidationError

from apps.core.policy import Greeting, PolicySlots, Tone
from apps.core.resources import resource
from apps.dispatcher.profile import Profile, load_profiles
from apps.llm.style import LANGUAGES, Line, wording

KFZ = load_profiles(resource("profiles"))["kfz"]
AI = {"en": r"\bAI\b|artificial intelligence", "de": r"\bKI\b|KI-|künstliche Intelligenz"}


def sample():
    return yaml.safe_load(resource("profiles", "kfz.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("manner", Greeting)
def test_every_opening_says_who_calls_that_it_is_an_ai_and_why(language, manner):
    why = KFZ.purpose("pickup", language)
    slots = PolicySlots(greeting=manner)
    said = wording(language).outgoing_greeting(slots, KFZ.office[language], why)
    assert KFZ.office[language].split()[-1] in said
    assert re.search(AI[language], said)
    assert why in said
    assert said[0].isupper()
    assert said.endswith("?")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_message_says_who_called_that_it_was_an_ai_and_why(language):
    why = KFZ.purpose("pickup", language)
    said = wording(language).machine_message(KFZ.office[language], why)
    assert re.search(AI[language], said)
    assert why in said
    assert len(said) < 300


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("tone", Tone)
@pytest.mark.parametrize("line", [Line.GOODBYE, Line.RATING_NONE])
def test_nobody_is_thanked_for_a_call_that_they_did_not_make(language, tone, line):
    words, slots = wording(language), PolicySlots(tone=tone)
    assert re.search("calling|Anruf", words.line(line, slots))
    assert not re.search("calling|Anruf", words.line(line, slots, outgoing=True))


def test_a_purpose_needs_a_sentence_in_every_language_of_the_profile():
    profile = sample()
    del profile["purposes"]["pickup"]["de"]
    with pytest.raises(ValidationError, match="no sentence in de"):
        Profile.model_validate(profile)


def test_a_purpose_s_name_is_a_plain_one():
    profile = sample()
    profile["purposes"]["Say whatever!"] = profile["purposes"]["pickup"]
    with pytest.raises(ValidationError):
        Profile.model_validate(profile)


def test_a_purpose_that_the_profile_lacks_is_none():
    assert KFZ.purpose("advertising", "de") is None
    assert KFZ.purpose("pickup", "fr") is None


def test_a_profile_that_names_no_hours_calls_on_working_days():
    profile = sample()
    del profile["calling_hours"]
    hours = Profile.model_validate(profile).calling_hours
    assert hours.monday == hours.friday == ("09:00-18:00",)
    assert hours.saturday == hours.sunday == ()
