"""The AudioSocket door: packets, pacing, and what a dialplan leaves at the desk."""

import asyncio
import struct
from contextlib import suppress
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core.audio import pcm_to_samples
from apps.core.clock import loop_ms
from apps.core.errors import AtCapacity, ConfigError, ProtocolError
from apps.voice.doors.asterisk import desk as desks
from apps.voice.doors.asterisk.audiosocket import AudioSocketDoor, Connection
from apps.voice.doors.asterisk.desk import Desk
from apps.voice.doors.asterisk.frames import (
    Audio,
    CallId,
    HangUp,
    PacketReader,
    Trouble,
    read_packet,
    write_packet,
)
from apps.voice.doors.asterisk.listener import AudioSocketListener
from apps.voice.doors.base import CallerAudio, CallerDigit, CallerHungUp, CallRequest
from apps.voice.doors.peer import MAX_ERRORS
from tests.unit.carrier_streams import SILENCE, frames, loudest_hz, tone
from tests.virtual_time import run_virtual

CALL = UUID("12345678-1234-5678-1234-567812345678")
AUDIO_8K, AUDIO_16K = 0x10, 0x12
QUIET = b"\0" * 320


def packet(kind, payload=b""):
    """A packet as Asterisk writes it."""
    return struct.pack(">BH", kind, len(payload)) + payload


class Line:
    """Both ends of a connection in memory."""

    def __init__(self):
        self.reader = asyncio.StreamReader()
        self.sent: list[tuple[float, bytes]] = []
        self.closed = False
        self.transport = self

    def write(self, data):
        self.sent.append((loop_ms(), data))

    async def drain(self):
        pass

    def is_closing(self):
        return self.closed

    def close(self):
        self.closed = True

    abort = close

    async def wait_closed(self):
        pass


def dialled(*packets):
    line = Line()
    for data in packets:
        line.reader.feed_data(data)
    line.reader.feed_eof()
    return line, AudioSocketDoor(Connection(line.reader, line), CallRequest())


def visit(*packets):
    async def scenario():
        _, door = dialled(*packets)
        return [event async for event in door.events()]

    return run_virtual(scenario())


# --- packets


def test_packets_are_read_from_any_pieces():
    whole = packet(1, CALL.bytes) + packet(3, b"5") + packet(AUDIO_8K, QUIET) + packet(0)
    for size in (1, 2, 3, 7, 1000):
        reader, got = PacketReader(), []
        for i in range(0, len(whole), size):
            reader.push(whole[i : i + size])
            while (found := reader.next()) is not None:
                got.append(read_packet(*found))
        assert got == [CallId(CALL), CallerDigit("5"), Audio(QUIET, 8000), HangUp()]
    assert write_packet(AUDIO_8K, QUIET) == packet(AUDIO_8K, QUIET)
    assert read_packet(0xFF, b"\x01") == Trouble()


@pytest.mark.parametrize(
    ("kind", "payload", "code"),
    [
        (0x01, b"short", "bad_message"),
        (0x03, b"", "bad_message"),
        (0x03, b"A", "bad_message"),
        (0x03, b"\xff", "bad_message"),
        (0x10, b"", "bad_frame"),
        (0x10, b"\0", "bad_frame"),
        (0x10, b"\0" * 3202, "frame_too_long"),
        (0x13, QUIET, "unsupported_rate"),
        (0x42, b"", "unknown_message"),
    ],
)
def test_bad_packets_get_their_code_and_the_call_goes_on(kind, payload, code):
    with pytest.raises(ProtocolError) as error:
        read_packet(kind, payload)
    assert error.value.code == code
    assert visit(packet(kind, payload), packet(3, b"1")) == [CallerDigit("1"), CallerHungUp()]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary() | st.binary(max_size=20).map(lambda x: packet(x[0] if x else 0, x))))
def test_no_bytes_break_the_reading(pieces):
    reader = PacketReader()
    for piece in pieces:
        reader.push(piece)
        while (found := reader.next()) is not None:
            with suppress(ProtocolError):
                read_packet(*found)


# --- the door


def test_what_asterisk_sends_becomes_events():
    assert visit(packet(AUDIO_8K, QUIET), packet(3, b"#"), packet(0), packet(3, b"1")) == [
        CallerAudio(SILENCE),
        CallerDigit("#"),
        CallerHungUp(),
    ]


@pytest.mark.parametrize(("kind", "rate_hz"), [(AUDIO_8K, 8000), (AUDIO_16K, 16_000)])
def test_audio_goes_both_ways_at_the_rate_of_what_comes_in(kind, rate_hz):
    samples, size = tone(rate_hz), rate_hz // 50

    async def scenario():
        pieces = [samples[i : i + size].tobytes() for i in range(0, len(samples), size)]
        line, door = dialled(*(packet(kind, piece) for piece in pieces))
        events = [event async for event in door.events()]
        pacing = asyncio.create_task(door.pace())
        for frame in frames():
            await door.play(frame)
        await asyncio.sleep(2)
        pacing.cancel()
        return events, line

    events, line = run_virtual(scenario())
    heard = pcm_to_samples(b"".join(e.pcm for e in events if isinstance(e, CallerAudio)))
    assert (len(heard), loudest_hz(heard, 16_000)) == (16_000, 440)
    heads = {data[:3] for _, data in line.sent}
    assert heads == {struct.pack(">BH", kind, size * 2)}
    played = np.frombuffer(b"".join(data[3:] for _, data in line.sent), "<i2")
    assert loudest_hz(played, rate_hz) == 440


def test_what_comes_ahead_of_time_leaves_20_ms_by_20_ms():
    async def scenario():
        line, door = dialled()
        pacing = asyncio.create_task(door.pace())
        for _ in range(3):
            await door.play(SILENCE)
        unplayed = door.unplayed_ms
        await asyncio.sleep(0.5)
        for _ in range(2):
            await door.play(SILENCE)
        await asyncio.sleep(0.5)
        pacing.cancel()
        return unplayed, [round(at) for at, _ in line.sent]

    assert run_virtual(scenario()) == (60.0, [0, 20, 40, 500, 520])


def test_a_flush_takes_back_what_has_not_left():
    async def scenario():
        line, door = dialled()
        pacing = asyncio.create_task(door.pace())
        for _ in range(10):
            await door.play(SILENCE)
        await asyncio.sleep(0.05)
        await door.flush()
        flushed = door.unplayed_ms
        await asyncio.sleep(1)
        pacing.cancel()
        return flushed, len(line.sent)

    assert run_virtual(scenario()) == (0.0, 3)


def test_a_hang_up_is_told_and_the_connection_closed():
    async def scenario():
        line, door = dialled()
        await door.tell("state", {})
        await door.close("completed")
        return line.sent[0][1], line.closed

    assert run_virtual(scenario()) == (packet(0), True)


def test_too_many_errors_and_too_long_a_silence_end_the_call():
    assert visit(*[packet(0x42)] * (MAX_ERRORS + 1)) == [CallerHungUp(failed=True)]

    async def silent():
        door = AudioSocketDoor(Connection(asyncio.StreamReader(), Line()), CallRequest())
        return [event async for event in door.events()]

    assert run_virtual(silent()) == [CallerHungUp(failed=True)]


# --- the listener


async def _connect(port, *packets):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for data in packets:
        writer.write(data)
    answer = await reader.read()
    writer.close()
    return answer


def _listener(desk, *, trusted=True, taken=None):
    async def take(door):
        taken.append(door)
        if len(taken) == 2:
            raise AtCapacity("All lines are busy.")
        await door.transfer("+4930", "summary")
        await door.close("handover")

    return AudioSocketListener(take, desk, lambda address: trusted, now_s=lambda: 100.0)


async def test_a_call_is_brought_in_and_the_desk_knows_where_it_is_to_go():
    desk, taken = Desk(), []
    desk.announce(CALL, CallRequest("kfz", "de", "+49"), 99.0)
    async with _listener(desk, trusted=False, taken=taken).listen("127.0.0.1", 0) as port:
        assert await _connect(port, packet(1, CALL.bytes)) == packet(0)
        assert taken[0].request == CallRequest("kfz", "de", "+49")
        assert taken[0].capabilities.transfer
        assert desk.handed_over(CALL, 101.0) == "+4930"
        unannounced = await _connect(port, packet(1, CALL.bytes))
        assert unannounced == packet(0xFF) + packet(0), "its announcement has been used"
        assert len(taken) == 1


async def test_what_is_no_call_or_finds_no_room_is_hung_up():
    taken = []
    async with _listener(Desk(), taken=taken).listen("127.0.0.1", 0) as port:
        assert await _connect(port, packet(3, b"1")) == packet(0xFF) + packet(0)
        assert await _connect(port, packet(1, CALL.bytes)) == packet(0)
        assert await _connect(port, packet(1, CALL.bytes)) == packet(0xFF) + packet(0)
        with pytest.raises(ConfigError, match="AudioSocket cannot listen"):
            async with _listener(Desk()).listen("127.0.0.1", port):
                pass
    assert len(taken) == 2


# --- the desk


def test_the_desk_tells_each_thing_once_and_not_for_ever():
    desk = Desk()
    desk.announce(CALL, CallRequest("kfz"), 0.0)
    assert desk.claim(CALL, 59.0) == CallRequest("kfz")
    assert desk.claim(CALL, 59.0) is None
    desk.announce(CALL, CallRequest("kfz"), 0.0)
    assert desk.claim(CALL, 61.0) is None
    desk.hand_over(CALL, "+4930", 0.0)
    assert desk.handed_over(CALL, 61.0) == ""
    desk.hand_over(CALL, "+4930", 0.0)
    assert [desk.handed_over(CALL, 1.0) for _ in range(2)] == ["+4930", ""]


def test_the_desk_keeps_so_many_notes_and_no_more(monkeypatch):
    monkeypatch.setattr(desks, "MAX_NOTES", 3)
    desk = Desk()
    for number in range(3):
        desk.announce(UUID(int=number), CallRequest(), 0.0)
        desk.hand_over(UUID(int=number), str(number), 0.0)
    with pytest.raises(AtCapacity):
        desk.announce(CALL, CallRequest(), 1.0)
    desk.announce(CALL, CallRequest(), 61.0)
    desk.hand_over(CALL, "+4930", 1.0)
    assert desk.handed_over(UUID(int=0), 1.0) == "", "the oldest makes room"
    assert desk.handed_over(CALL, 1.0) == "+4930"
