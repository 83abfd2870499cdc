"""The codecs of RTP: speech comes through, soon, and nothing else than speech does harm."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core.audio import FRAME_BYTES, FRAME_SAMPLES, SAMPLE_RATE_HZ, pcm_to_samples
from apps.core.errors import ProtocolError
from apps.voice.g711 import ulaw_encode
from apps.voice.rtp.codecs import SILENCE, codec_named, frame_ticks
from apps.voice.rtp.negotiation import CODECS
from apps.voice.rtp.opus import DownTo16k, opus_ticks


def voice(seconds=1.0):
    """A tone with harmonics and a swinging level, 16 kHz int16."""
    at = np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    wave = sum(np.sin(2 * np.pi * 150 * k * at) / k for k in range(1, 15))
    return (wave * (1 + np.sin(2 * np.pi * 3 * at)) * 3000).astype(np.int16)


def frames(samples):
    pcm = samples.tobytes()
    return [pcm[i : i + FRAME_BYTES] for i in range(0, len(pcm), FRAME_BYTES)]


@pytest.mark.parametrize("name", CODECS)
def test_speech_comes_through_with_less_than_5_ms_of_delay(name):
    codec, said = codec_named(name), voice()
    payloads = [codec.encode(frame) for frame in frames(said)]
    heard = [codec.decode(payload) for payload in payloads]
    assert {len(pcm) for pcm in heard} == {FRAME_BYTES}
    assert {codec.ticks(payload) for payload in payloads} == {frame_ticks(codec)}
    samples = pcm_to_samples(b"".join(heard)).astype(float)
    middle = said[3200:12_800].astype(float)
    likeness = [np.corrcoef(middle, samples[3200 + i : 12_800 + i])[0, 1] for i in range(160)]
    assert max(likeness) > 0.985
    assert int(np.argmax(likeness)) < 5 * SAMPLE_RATE_HZ // 1000
    assert samples[3200:12_800].std() == pytest.approx(middle.std(), rel=0.1)


@pytest.mark.parametrize("name", CODECS)
@settings(max_examples=60)
@given(payload=st.binary(min_size=1, max_size=1400))
def test_any_payload_decodes_or_is_a_protocol_error(name, payload):
    codec = codec_named(name)
    if not codec.ticks(payload):
        return
    with suppress(ProtocolError):
        assert len(codec.decode(payload)) <= 120 * FRAME_BYTES // 20


@pytest.mark.parametrize("name", ["PCMU", "PCMA", "G722"])
def test_payloads_of_other_lengths_than_20_ms_decode_whole(name):
    codec = codec_named(name)
    lengths = [80, 240, 480, 960]
    assert [len(codec.decode(b"\x55" * n)) for n in lengths] == [4 * n for n in lengths]
    assert codec.ticks(b"x" * 961) == 0


def test_silence_of_g711_is_exact_and_speech_leaves_nothing_behind_it():
    codec = codec_named("PCMU")
    codec.encode(frames(voice())[10])
    tail, *rest = [codec.encode(SILENCE) for _ in range(4)]
    silence = ulaw_encode(np.zeros(FRAME_SAMPLES // 2, np.int16))
    assert tail != silence
    assert rest == [silence] * 3


def test_the_length_of_an_opus_packet_is_in_its_first_bytes():
    assert opus_ticks(b"\x00\x00") == 480
    assert opus_ticks(b"\x18\x00") == 2880
    assert opus_ticks(b"\x60") == 480
    assert opus_ticks(b"\x99\x00") == 2 * 960
    assert opus_ticks(b"\x9b\x05") == 5 * 960
    assert opus_ticks(b"\x9b\x07") == 0
    assert opus_ticks(b"\x9b") == 0
    assert opus_ticks(b"") == 0


@pytest.mark.parametrize(("hz", "low_db", "high_db"), [(1000, -0.1, 0.1), (6500, -0.5, 0.1)])
def test_down_to_16_khz_keeps_speech(hz, low_db, high_db):
    assert low_db < level_after_db(hz) < high_db


def test_down_to_16_khz_lets_no_image_through():
    assert level_after_db(9000) < -50
    assert level_after_db(12_000) < -60


def level_after_db(hz):
    """The level of a tone after it came down to 16 kHz in pieces of 20 ms, against before."""
    tone = (np.sin(2 * np.pi * hz * np.arange(48_000) / 48_000) * 16_000).astype(np.int16)
    down = DownTo16k()
    out = np.concatenate([down.push(tone[i : i + 960]) for i in range(0, 48_000, 960)])
    assert len(out) == 16_000
    return 20 * np.log10(out[1000:].astype(float).std() / (16_000 / np.sqrt(2)) + 1e-9)


def test_a_codec_that_is_not_ours_is_a_mistake_of_ours():
    with pytest.raises(ValueError):
        codec_named("G729")
