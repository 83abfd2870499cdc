"""What the doors trust: signed tokens, known pages, and addresses that call in measure."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core.addresses import peer_group
from apps.core.errors import AtCapacity, ConfigError, ProtocolError
from apps.dispatcher.trust import (
    MAX_ADDRESSES,
    MAX_TOKEN_CHARS,
    AddressBook,
    AddressLimits,
    Grant,
    TokenSigner,
    is_allowed_origin,
    is_local_host,
    is_local_page,
    is_origin,
)

SIGNER, OTHER = TokenSigner("t" * 32), TokenSigner("u" * 32)
NOW_S = 1_800_000_000
GRANT = Grant(NOW_S + 60, "kfz", "de", observe=True)
TOKEN = SIGNER.sign(GRANT)
MINUTE_MS = 60_000.0

# --- tokens

grants = st.builds(
    Grant,
    expires_s=st.integers(NOW_S + 1, NOW_S + 10**6),
    profile=st.from_regex(r"[a-z][a-z0-9-]{0,39}", fullmatch=True) | st.just(""),
    language=st.sampled_from(["", "de", "en"]),
    observe=st.booleans(),
)


@given(grants)
def test_a_token_grants_what_was_signed(grant: Grant) -> None:
    token = SIGNER.sign(grant)
    assert SIGNER.read(token, NOW_S) == grant
    assert len(token) <= MAX_TOKEN_CHARS
    assert set(token) <= set(string.ascii_letters + string.digits + "-_.")


def test_a_token_with_any_character_changed_is_worth_nothing() -> None:
    for at, was in enumerate(TOKEN):
        for character in string.ascii_letters + string.digits + "-_.= ":
            if character != was:
                assert SIGNER.read(TOKEN[:at] + character + TOKEN[at + 1 :], NOW_S) is None


@given(st.text(max_size=250) | st.binary(max_size=200).map(lambda b: b.decode("latin-1")))
def test_no_text_is_a_token_by_chance_and_none_does_harm(text: str) -> None:
    assert SIGNER.read(text, NOW_S) is None
    assert SIGNER.read(f"{TOKEN}{text}", NOW_S) == (GRANT if not text else None)


def test_a_token_ends_in_time_and_with_the_operator_token_it_was_made_by() -> None:
    assert SIGNER.read(TOKEN, NOW_S + 59.9) == GRANT
    assert SIGNER.read(TOKEN, NOW_S + 60) is None
    assert OTHER.read(TOKEN, NOW_S) is None


def test_a_grant_fills_in_what_was_not_asked_for_and_refuses_what_it_is_not_for() -> None:
    assert GRANT.narrow("", "") == ("kfz", "de")
    assert GRANT.narrow("kfz", "de") == ("kfz", "de")
    assert Grant(0).narrow("other", "en") == ("other", "en")
    for asked in (("other", ""), ("", "en")):
        with pytest.raises(ProtocolError) as caught:
            GRANT.narrow(*asked)
        assert caught.value.code == "forbidden"


def test_a_token_that_would_be_too_long_is_not_made() -> None:
    with pytest.raises(ConfigError):
        SIGNER.sign(Grant(NOW_S, "x" * 150))


# --- addresses


def calls(book: AddressBook, address: str, *at_ms: float) -> list[bool]:
    """Call at moments; returns which calls were let in."""
    let_in = []
    for moment_ms in at_ms:
        try:
            book.call(address, moment_ms)
            let_in.append(True)
        except AtCapacity:
            let_in.append(False)
    return let_in


def test_an_address_may_call_so_often_a_minute_and_is_told_when_again() -> None:
    book = AddressBook(AddressLimits(calls_per_minute=3))
    assert calls(book, "192.0.2.1", 0, 1, 2, 3) == [True, True, True, False]
    with pytest.raises(AtCapacity) as caught:
        book.call("192.0.2.1", 3)
    assert caught.value.code == "too_many_calls"
    again_ms = 3 + caught.value.retry_after_s * 1000
    assert calls(book, "192.0.2.1", again_ms, again_ms + 1) == [True, False]
    assert calls(book, "192.0.2.2", 3) == [True]


@settings(max_examples=100, deadline=None)
@given(
    per_minute=st.integers(1, 60),
    gaps_ms=st.lists(st.floats(0, 30_000), min_size=1, max_size=200),
)
def test_over_any_time_no_more_calls_are_let_in_than_allowed(
    per_minute: int, gaps_ms: list[float]
) -> None:
    book, now_ms, moments = AddressBook(AddressLimits(per_minute)), 0.0, []
    for gap_ms in gaps_ms:
        now_ms += gap_ms
        if calls(book, "a", now_ms) == [True]:
            moments.append(now_ms)
    for first, start_ms in enumerate(moments):
        for last, end_ms in enumerate(moments[first:], 1):
            assert last <= per_minute + (end_ms - start_ms) / MINUTE_MS * per_minute + 1e-6


def test_an_address_may_have_so_many_calls_at_once() -> None:
    book = AddressBook(AddressLimits(calls_at_once=2))
    for _ in range(2):
        book.call("a", 0.0)
        book.begin("a", 0.0)
    assert calls(book, "a", 0) == [False]
    book.end("a")
    assert calls(book, "a", 0) == [True]


def test_without_limits_nobody_is_held_up() -> None:
    book = AddressBook(AddressLimits())
    assert all(calls(book, "a", *([0.0] * 1000)))


def test_however_many_addresses_call_only_so_many_are_remembered_and_callers_first() -> None:
    book = AddressBook(AddressLimits(calls_per_minute=1, calls_at_once=1))
    book.call("here", 0.0)
    book.begin("here", 0.0)
    for number in range(MAX_ADDRESSES + 500):
        calls(book, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 1.0)
    assert len(book) == MAX_ADDRESSES
    assert calls(book, "here", MINUTE_MS) == [False]
    book.end("here")
    book.end("never seen")
    assert calls(book, "here", MINUTE_MS) == [True]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("", "", True),
    ],
)
def test_an_ipv6_subscriber_counts_as_one_and_an_ipv4_address_as_itself(
    one: str, other: str, same: bool
) -> None:
    assert (peer_group(one) == peer_group(other)) is same


# --- pages


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        (None, "tom.example", True),
        ("https://tom.example", "tom.example", True),
        ("https://ours.example", "tom.example", True),
        ("https://ours.example:444", "tom.example", False),
        ("http://ours.example", "tom.example", False),
        ("https://tom.example.evil.example", "tom.example", False),
        ("https://evil.example", "tom.example", False),
        ("null", "tom.example", False),
        ("null", "", False),
        ("", "", False),
        ("https://[", "tom.example", False),
    ],
)
def test_a_page_is_let_in_from_here_and_from_allowed_origins(
    origin: str | None, host: str, allowed: bool
) -> None:
    assert is_allowed_origin(origin, host, {"https://ours.example"}) is allowed


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_header_breaks_the_checks(origin: str, host: str) -> None:
    is_allowed_origin(origin, host)
    is_local_page(origin)
    is_local_host(host)
    is_origin(origin)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("https://ours.example", True),
        ("http://ours.example:8080", True),
        ("https://ours.example/", False),
        ("ours.example", False),
        ("*", False),
        ("ftp://ours.example", False),
        ("https://", False),
    ],
)
def test_an_origin_is_a_scheme_and_a_host(text: str, is_one: bool) -> None:
    assert is_origin(text) is is_one


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost:8080", True),
        ("127.0.0.1", True),
        ("[::1]:8080", True),
        ("tom.example", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
    ],
)
def test_only_this_machine_s_own_names_are_local(host: str, local: bool) -> None:
    assert is_local_host(host) is local
