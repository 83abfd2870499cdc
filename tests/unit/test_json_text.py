"""Other people's JSON: whatever it says, what was read can be stored and sent on."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.errors import ProtocolError
from apps.core.json_text import read_json
from apps.core.seal import Seal
from apps.voice.doors.carriers.media import read_json as read_carrier
from apps.voice.doors.messages import read_message
from apps.voice.doors.realtime.messages import read_event
from apps.voice.doors.rtvi.messages import read_message as read_rtvi

HALVES = (r'"\ud800"', r'{"a": ["\uDC00 x"]}', r'{"\udfff": 1}', r'"\ude00\ud83d"')


@pytest.mark.parametrize("text", [*HALVES, "[" * 100_000, "9" * 6000, "{", "", b'"\xed\xa0\x80"'])
def test_what_nobody_could_write_again_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        read_json(text)


def test_a_character_of_two_halves_is_whole() -> None:
    assert read_json(r'"\ud83d\ude00"') == "\N{GRINNING FACE}"


@given(st.text(max_size=40).map(json.dumps) | st.text(r'"\ud8f0[]{}:, ', max_size=30))
def test_whatever_is_read_can_be_encoded(text: str) -> None:
    with suppress(ValueError):
        json.dumps(read_json(text), ensure_ascii=False).encode()


@pytest.mark.parametrize("read", [read_carrier, read_message, read_event, read_rtvi])
@pytest.mark.parametrize("half", HALVES)
def test_every_door_that_reads_json_refuses_half_a_character(read, half) -> None:
    with pytest.raises(ProtocolError) as caught:
        read(half)
    assert "json" in caught.value.code


def test_a_sealed_text_with_half_a_character_is_none_of_ours() -> None:
    seal = Seal(b"secret" * 4, b"purpose")
    assert seal.open("\ud800.\ud800") is None
    assert seal.open("é." + seal.close({}).partition(".")[2]) is None
