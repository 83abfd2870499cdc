"""espeak-ng's phonemes become the phones that the acoustic model knows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.voice.stt.arpabet import PHONES, arpabet


@pytest.mark.parametrize(
    ("ipa", "phones"),
    [
        ("wˈɪndskɹiːn", "W IH N D S K R IY N"),
        ("diːɹˌɛdʒɪstɹˈeɪʃən", "D IY R EH JH IH S T R EY SH AH N"),
        ("diːɹˈɛdʒɪstɚɹɪŋ", "D IY R EH JH IH S T ER IH NG"),
        ("pˈɜːsənəlˌaɪzd", "P ER S AH N AH L AY Z D"),
        ("d\u200dʒˈʌd\u200dʒ", "JH AH JH"),
        ("t_ʃ_ˈɜː_t_ʃ", "CH ER CH"),
        ("", ""),
    ],
)
def test_words_are_spelled_as_in_cmus_dictionary(ipa: str, phones: str) -> None:
    assert " ".join(arpabet(ipa)) == phones


def test_a_symbol_that_is_not_known_gives_no_pronunciation_rather_than_a_wrong_one() -> None:
    assert arpabet("kǃa") == ()


def test_there_are_the_39_phones_of_the_dictionary() -> None:
    assert len(PHONES) == 39


@given(st.text())
def test_only_known_phones_come_out(text: str) -> None:
    assert PHONES.issuperset(arpabet(text))
