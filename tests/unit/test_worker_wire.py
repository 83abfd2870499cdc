"""Frames survive any chunking; what is no frame is refused before it costs memory."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.voice.workers.wire import (
    MAX_HEADER_BYTES,
    MAX_PAYLOAD_BYTES,
    MAX_STREAM,
    Frame,
    FrameParser,
    Kind,
    WireError,
    encode,
)

json_values = (
    st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text(), max_size=3)
)
frames = st.builds(
    Frame,
    st.sampled_from(Kind),
    st.integers(0, MAX_STREAM),
    st.dictionaries(st.text(), json_values, max_size=3),
    st.binary(max_size=100),
)


@settings(max_examples=50)
@given(st.lists(frames, max_size=4), st.integers(1, 200))
def test_frames_come_out_as_they_went_in_however_the_bytes_are_cut(
    sent: list[Frame], size: int
) -> None:
    stream = b"".join(encode(frame) for frame in sent)
    parser = FrameParser()
    got: list[Frame] = []
    for start in range(0, len(stream), size):
        got += parser.feed(stream[start : start + size])
    assert got == sent


@given(st.binary(max_size=300))
def test_arbitrary_bytes_give_frames_or_a_wire_error_and_nothing_else(data: bytes) -> None:
    with contextlib.suppress(WireError):
        assert 13 * len(FrameParser().feed(data)) <= len(data)  # each has its prefix


@pytest.mark.parametrize(
    ("header_length", "payload_length"), [(MAX_HEADER_BYTES + 1, 0), (0, MAX_PAYLOAD_BYTES + 1)]
)
def test_a_frame_that_announces_too_much_is_refused_at_its_prefix(
    header_length: int, payload_length: int
) -> None:
    with pytest.raises(WireError):
        FrameParser().feed(struct.pack("<BIII", 3, 1, header_length, payload_length))


@pytest.mark.parametrize(
    "frame",
    [
        Frame(Kind.DATA, 1, {"a": "x" * MAX_HEADER_BYTES}),
        Frame(Kind.DATA, 1, {}, bytes(MAX_PAYLOAD_BYTES + 1)),
    ],
)
def test_a_frame_that_the_peer_would_refuse_is_not_even_made(frame: Frame) -> None:
    with pytest.raises(WireError, match="too long"):
        encode(frame)


@pytest.mark.parametrize(
    ("kind", "header"),
    [(0, b""), (99, b""), (3, b"{"), (3, b"[1]"), (3, b"\xff\xfe"), (3, b"[" * 100_000)],
)
def test_an_unknown_kind_and_a_header_that_is_no_object_are_refused(
    kind: int, header: bytes
) -> None:
    with pytest.raises(WireError):
        FrameParser().feed(struct.pack("<BIII", kind, 1, len(header), 0) + header)
