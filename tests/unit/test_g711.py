"""G.711 is exact: the standard's own values, FFmpeg's tables, and the laws' properties."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.audio import Samples
from apps.voice.g711 import alaw_decode, alaw_encode, ulaw_decode, ulaw_encode

ALL_BYTES = bytes(range(256))
ALL_SAMPLES = np.arange(-32768, 32768).astype(np.int16)
ULAW_TAG, ALAW_TAG = 7, 6

Encode = Callable[[Samples], bytes]
Decode = Callable[[bytes], Samples]
laws = pytest.mark.parametrize(
    ("encode", "decode"), [(ulaw_encode, ulaw_decode), (alaw_encode, alaw_decode)]
)


def decoded_by_ffmpeg(tag: int, data: bytes) -> Samples:
    form = struct.pack("<HHIIHHH", tag, 1, 8000, 8000, 1, 8, 0)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form
    body += b"data" + struct.pack("<I", len(data)) + data
    file = io.BytesIO(b"RIFF" + struct.pack("<I", len(body)) + body)
    with av.open(file) as container:
        return np.concatenate([f.to_ndarray().reshape(-1) for f in container.decode(audio=0)])


@pytest.mark.parametrize(("tag", "decode"), [(ULAW_TAG, ulaw_decode), (ALAW_TAG, alaw_decode)])
def test_every_byte_means_what_another_implementation_says(tag: int, decode: Decode) -> None:
    assert np.array_equal(decode(ALL_BYTES), decoded_by_ffmpeg(tag, ALL_BYTES))


@pytest.mark.parametrize(
    ("byte", "sample"), [(0x00, -32124), (0x80, 32124), (0xFF, 0), (0x7F, 0), (0xFE, 8)]
)
def test_ulaw_has_the_values_of_the_standard(byte: int, sample: int) -> None:
    assert ulaw_decode(bytes([byte]))[0] == sample


@pytest.mark.parametrize(("byte", "sample"), [(0xD5, 8), (0x55, -8), (0xAA, 32256), (0x2A, -32256)])
def test_alaw_has_the_values_of_the_standard(byte: int, sample: int) -> None:
    assert alaw_decode(bytes([byte]))[0] == sample


def test_encoding_what_was_decoded_gives_the_same_bytes_back() -> None:
    assert alaw_encode(alaw_decode(ALL_BYTES)) == ALL_BYTES
    again = ulaw_encode(ulaw_decode(ALL_BYTES))
    assert again == ALL_BYTES.replace(b"\x7f", b"\xff")  # µ-law has two zeros


@laws
def test_louder_samples_never_come_out_quieter(encode: Encode, decode: Decode) -> None:
    assert np.all(np.diff(decode(encode(ALL_SAMPLES)).astype(int)) >= 0)


@pytest.mark.parametrize(
    ("encode", "decode", "first_step", "segment_of"),
    [
        (ulaw_encode, ulaw_decode, 8, lambda byte: ~byte >> 4 & 7),
        (alaw_encode, alaw_decode, 16, lambda byte: np.maximum(((byte ^ 0x55) >> 4 & 7) - 1, 0)),
    ],
)
def test_a_sample_is_at_most_half_a_step_of_its_segment_off(
    encode: Encode,
    decode: Decode,
    first_step: int,
    segment_of: Callable[[np.ndarray], np.ndarray],
) -> None:
    coded = encode(ALL_SAMPLES)
    levels = decode(ALL_BYTES).astype(int)
    wanted = np.clip(ALL_SAMPLES.astype(int), levels.min(), levels.max())
    half_step = (first_step << segment_of(np.frombuffer(coded, np.uint8).astype(int))) // 2
    unused_bits = first_step // 2 - 1
    assert np.all(np.abs(decode(coded) - wanted) <= half_step + unused_bits)


@laws
@given(data=st.binary(max_size=100))
def test_any_bytes_decode_to_as_many_samples(encode: Encode, decode: Decode, data: bytes) -> None:
    assert len(decode(data)) == len(data)
    assert len(encode(decode(data))) == len(data)
