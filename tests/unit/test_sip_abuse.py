"""What strangers may send to the SIP port: none of it may cost the calls of others anything."""

from __future__ import annotations

import time

import pytest

from apps.core.errors import ProtocolError
from apps.voice.doors.sip.uri import read_address


@pytest.mark.parametrize(
    "value", ["a" * 60_000, "a " * 30_000, "a" * 60_000 + '"', "a" * 400 + "<"]
)
def test_an_address_that_is_none_is_refused_at_once_however_long_its_words_are(value: str) -> None:
    began = time.perf_counter()
    with pytest.raises(ProtocolError):
        read_address(value)
    assert time.perf_counter() - began < 1.0


@pytest.mark.parametrize("display", ["", "Bob", "Bob Jones-Smith", 'J. R. "', '"Bob \\" <x>"'])
def test_names_before_an_address_are_read_with_and_without_spaces(display: str) -> None:
    good = display.count('"') != 1
    for space in ("", " "):
        value = f"{display}{space}<sip:bob@example.org>;tag=1"
        if good:
            address = read_address(value)
            assert address.uri.user == "bob"
            assert address.tag == "1"
        else:
            with pytest.raises(ProtocolError):
                read_address(value)
