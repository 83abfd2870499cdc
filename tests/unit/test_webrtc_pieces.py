"""Messages over a data channel that never end: they take neither memory nor time from others."""

from __future__ import annotations

import asyncio

from aiortc.rtcsctptransport import (
    SCTP_DATA_FIRST_FRAG,
    SCTP_DATA_LAST_FRAG,
    DataChunk,
    InboundStream,
)

from apps.voice.doors.webrtc.channel import MAX_PIECES, MAX_STREAMS, bound_pieces


class Transport:
    """As much of aiortc's transport as takes pieces."""

    def __init__(self):
        self._inbound_streams = {}
        self._advertised_rwnd = 1024 * 1024
        self._sack_misordered, self._last_received_tsn = set(), 0
        self.messages = []

    async def _receive_data_chunk(self, chunk):
        stream = self._inbound_streams.setdefault(chunk.stream_id, InboundStream())
        stream.add_chunk(chunk)
        self._advertised_rwnd -= len(chunk.user_data)
        for _, _, data in stream.pop_messages():
            self._advertised_rwnd += len(data)
            self.messages.append(data)


def piece(tsn, flags=0, data=b"x", stream=0):
    chunk = DataChunk(flags=flags)
    chunk.tsn, chunk.stream_id, chunk.stream_seq, chunk.protocol = tsn, stream, 0, 51
    chunk.user_data = data
    return chunk


def take(chunks):
    transport = Transport()
    bound_pieces(transport)

    async def main():
        for chunk in chunks:
            await transport._receive_data_chunk(chunk)

    asyncio.run(main())
    return transport


def test_a_message_that_never_ends_stops_being_kept():
    begun = piece(1, SCTP_DATA_FIRST_FRAG)
    transport = take([begun, *(piece(tsn) for tsn in range(2, 5 * MAX_PIECES))])
    assert len(transport._inbound_streams[0].reassembly) == MAX_PIECES


def test_large_pieces_are_kept_only_as_far_as_there_is_room():
    transport = take(piece(tsn, data=bytes(1200), stream=tsn % 50) for tsn in range(1, 5000))
    kept = sum(len(c.user_data) for s in transport._inbound_streams.values() for c in s.reassembly)
    assert kept <= 1024 * 1024 + 1200


def test_pieces_with_gaps_before_them_are_of_bounded_number_but_what_is_missing_is_taken():
    transport = Transport()
    bound_pieces(transport)
    transport._sack_misordered = set(range(10, 10 + MAX_PIECES))

    async def main():
        await transport._receive_data_chunk(piece(5000))
        await transport._receive_data_chunk(piece(1))

    asyncio.run(main())
    assert [chunk.tsn for chunk in transport._inbound_streams[0].reassembly] == [1]


def test_streams_are_of_bounded_number():
    transport = take(piece(tsn, stream=tsn) for tsn in range(1, 2000))
    assert len(transport._inbound_streams) == MAX_STREAMS


def test_a_message_in_pieces_arrives_whole():
    middle = [piece(tsn, data=bytes(1000)) for tsn in range(2, 66)]
    ends = piece(1, SCTP_DATA_FIRST_FRAG), piece(66, SCTP_DATA_LAST_FRAG)
    transport = take([ends[0], *middle, ends[1]])
    assert [len(message) for message in transport.messages] == [64_002]
