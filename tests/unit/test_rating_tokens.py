"""A rating's token: bound to one call, for a while; changed or made elsewhere it opens nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.errors import ProtocolError
from apps.core.seal import Seal
from apps.dispatcher.rating_tokens import MAX_TOKEN_CHARS, RatingTokens
from apps.dispatcher.trust import Grant, TokenSigner

KEY = b"a key of this installation"
CALL = "0123456789abcdef" * 2
NOON_S = 1_772_000_000.0
TOKENS = RatingTokens(KEY, window_s=3600)


def code_of(token: str, now_s: float = NOON_S, tokens: RatingTokens = TOKENS) -> str:
    with pytest.raises(ProtocolError) as refused:
        tokens.read(token, now_s)
    return refused.value.code


def test_a_token_says_which_call_it_is_for_and_how_long_ago_it_was_given() -> None:
    token = TOKENS.give(CALL, NOON_S)
    assert len(token) <= MAX_TOKEN_CHARS
    told = TOKENS.read(token, NOON_S + 90)
    assert (told.call_ref, told.after_s) == (CALL, 90.0)


def test_it_holds_through_a_restart_but_not_beyond_its_window() -> None:
    token = TOKENS.give(CALL, NOON_S)
    again = RatingTokens(KEY, window_s=60)  # what was promised is kept, whatever the setting is now
    assert again.read(token, NOON_S + 3599).call_ref == CALL
    assert code_of(token, NOON_S + 3600) == "rating_expired"
    assert code_of(RatingTokens(KEY, 0).give(CALL, NOON_S)) == "rating_expired"


def test_a_token_of_another_installation_or_for_another_purpose_is_worth_nothing() -> None:
    assert code_of(RatingTokens(b"another key", 3600).give(CALL, NOON_S)) == "forbidden"
    grant = TokenSigner(KEY.decode()).sign(Grant(int(NOON_S) + 60))
    assert code_of(grant) == "forbidden"
    told = {"c": CALL, "t": int(NOON_S), "e": int(NOON_S) + 60}
    assert code_of(Seal(KEY, b"something else").close(told)) == "forbidden"
    assert TokenSigner(KEY.decode()).read(TOKENS.give(CALL, NOON_S), NOON_S) is None


@given(st.integers(0, 200), st.characters(codec="utf-8"))
def test_a_token_that_was_changed_anywhere_is_worth_nothing(at: int, letter: str) -> None:
    token = TOKENS.give(CALL, NOON_S)
    at %= len(token)
    changed = token[:at] + letter + token[at + 1 :]
    if changed != token:
        assert code_of(changed) == "forbidden"


@given(st.text(max_size=300))
def test_whatever_else_is_sent_is_worth_nothing(text: str) -> None:
    assert code_of(text) == "forbidden"
