"""The end of a call: how ratings are understood, and what asking for one does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.dispatcher.rating import parse_rating

SAID = [
    ("en", "four", 4),
    ("en", "4", 4),
    ("en", "Four out of five.", 4),
    ("en", "five out of five", 5),
    ("en", "I'd say three, maybe four", 3),
    ("en", "I'd say four out of five", 4),
    ("en", "three, no, four", 4),
    ("en", "three stars", 3),
    ("en", "I give it a two", 2),
    ("en", "one star", 1),
    ("en", "very good", 5),
    ("en", "it was okay", 3),
    ("en", "not bad", 4),
    ("en", "not very good", 2),
    ("en", "terrible", 1),
    ("en", "that was good thank you", 4),
    ("en", "on a scale from one to five a four", 4),
    ("en", "i'd say for out of five", 4),
    ("en", "for you that is all", None),
    ("en", "one moment please", None),
    ("en", "no one helped me", None),
    ("en", "i have one more question", None),
    ("en", "it was not a five, more like a three", 3),
    ("en", "i waited ten minutes so two", 2),
    ("en", "a four because it was quick", 4),
    ("en", "ten", None),
    ("en", "nine out of ten", None),
    ("en", "zero", None),
    ("en", "", None),
    ("en", "I'd rather not", None),
    ("en", "no thanks", None),
    ("en", "what time do you open", None),
    ("en", "out of five", None),
    ("de", "eine vier", 4),
    ("de", "Eine Vier!", 4),
    ("de", "fünf von fünf", 5),
    ("de", "drei von fünf Sternen", 3),
    ("de", "vier Sterne", 4),
    ("de", "drei Sterne", 3),
    ("de", "sehr gut", 5),
    ("de", "gut", 4),
    ("de", "nicht so gut", 2),
    ("de", "geht so", 3),
    ("de", "ich gebe eine zwei", 2),
    ("de", "drei, nein, lieber vier", 4),
    ("de", "drei vielleicht vier", 3),
    ("de", "eins", 1),
    ("de", "zwo", 2),
    ("de", "5", 5),
    ("de", "ich habe zwei fragen", None),
    ("de", "keine vier, eher drei", 3),
    ("de", "eine vier weil es schnell ging", 4),
    ("de", "zehn von zehn", None),
    ("de", "sieben", None),
    ("de", "keine Angabe", None),
    ("de", "nein danke", None),
    ("de", "ich möchte nicht bewerten", None),
    ("de", "sehr schlecht", 1),
    ("de", "von eins bis fünf eine drei", 3),
]


@pytest.mark.parametrize(("language", "text", "stars"), SAID)
def test_a_rating_is_understood_as_people_say_it(language, text, stars):
    assert parse_rating(text, language) == stars


@given(st.text(max_size=80), st.sampled_from(["de", "en"]))
def test_a_rating_is_never_out_of_range(text, language):
    assert parse_rating(text, language) in (None, 1, 2, 3, 4, 5)


@given(st.integers(6, 10_000), st.sampled_from(["de", "en"]))
def test_a_number_off_the_scale_is_no_rating(number, language):
    assert parse_rating(f"{number}", language) is None
