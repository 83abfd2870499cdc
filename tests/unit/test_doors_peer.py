"""How fast a peer may send, whatever it speaks."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.errors import ProtocolError
from apps.voice.doors.peer import MAX_AHEAD_MS, MESSAGE_BURST, MESSAGES_PER_S, Pace


@given(st.lists(st.floats(0, 2000), max_size=900))
def test_no_peer_gets_more_messages_through_than_the_burst_and_the_rate(pauses_ms):
    pace, now_ms, taken = Pace(0.0), 0.0, 0
    for pause_ms in pauses_ms:
        now_ms += pause_ms
        with suppress(ProtocolError):
            pace.message(now_ms)
            taken += 1
    assert taken <= MESSAGE_BURST + now_ms / 1000 * MESSAGES_PER_S + 1


def test_a_flood_is_refused_and_forgiven_with_time():
    pace = Pace(0.0)
    for _ in range(int(MESSAGE_BURST)):
        pace.message(0.0)
    with pytest.raises(ProtocolError, match="too fast"):
        pace.message(0.0)
    pace.message(1000.0)


def test_audio_in_real_time_is_always_taken_and_seconds_ahead_of_it_are_not():
    pace = Pace(0.0)
    for number in range(1000):
        pace.message(number * 20.0)
        pace.check_audio()
        pace.audio(20.0)
    for _ in range(int(MAX_AHEAD_MS / 200) + 1):
        pace.audio(200.0)
    with pytest.raises(ProtocolError) as refused:
        pace.check_audio()
    assert refused.value.code == "audio_too_fast"
