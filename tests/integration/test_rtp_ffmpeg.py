"""FFmpeg as the other end of RTP: what it sends is heard, and it hears what we say that we send."""

import asyncio
import socket
import time

import av
import numpy as np
import pytest

from apps.core.audio import level_dbfs, pcm_to_samples
from apps.voice.doors.base import CallerAudio
from apps.voice.rtp.negotiation import Abilities, Local, negotiate, write_answer, write_offer
from apps.voice.rtp.sdp import read_sdp
from apps.voice.rtp.session import RtpOptions, RtpSession

HOST, HZ, KEY = "127.0.0.1", 300, bytes(range(30))
OPTIONS = RtpOptions(HOST, (23_000, 24_999))
PAYLOAD_TYPES = {"PCMU": 0, "PCMA": 8, "G722": 9, "OPUS": 97}
ENCODERS = {
    "PCMU": ("pcm_mulaw", 8000),
    "PCMA": ("pcm_alaw", 8000),
    "G722": ("g722", 16_000),
    "OPUS": ("libopus", 48_000),
}


def tone(rate_hz, first, count):
    return (np.sin(2 * np.pi * HZ * (first + np.arange(count)) / rate_hz) * 8000).astype("<i2")


def pitch_hz(samples, rate_hz):
    """The strongest frequency of the middle of some sound."""
    middle = samples[len(samples) // 4 : -len(samples) // 4]
    return np.argmax(np.abs(np.fft.rfft(middle))) * rate_hz / len(middle)


def ffmpeg_sends(name, port, seconds):
    """Send a tone as FFmpeg does, 20 ms every 20 ms."""
    encoder, rate_hz = ENCODERS[name]
    options = {"payload_type": str(PAYLOAD_TYPES[name])}
    with av.open(f"rtp://{HOST}:{port}", "w", format="rtp", options=options) as out:
        stream = out.add_stream(encoder, rate=rate_hz)
        stream.layout = "mono"
        begun, count = time.monotonic(), rate_hz // 50
        for i in range(round(seconds * 50)):
            samples = tone(rate_hz, i * count, count).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
            frame.sample_rate, frame.pts = rate_hz, i * count
            for packet in stream.encode(frame):
                out.mux(packet)
            time.sleep(max(0.0, begun + (i + 1) * 0.02 - time.monotonic()))


def ffmpeg_hears(path, seconds):
    """Return what FFmpeg decodes of a description's audio, and its rate."""
    options = {"protocol_whitelist": "file,rtp,udp,srtp", "analyzeduration": "100000"}
    parts = []
    with av.open(str(path), options=options, timeout=5) as source:
        for frame in source.decode(audio=0):
            parts.append(frame.to_ndarray().ravel())
            if sum(map(len, parts)) >= seconds * frame.sample_rate:
                break
    return np.concatenate(parts), frame.sample_rate


@pytest.mark.parametrize("name", PAYLOAD_TYPES)
async def test_what_ffmpeg_sends_is_heard(name):
    events = []
    session = await RtpSession.open(OPTIONS, events.append)
    kind = PAYLOAD_TYPES[name]
    offer = f"v=0\nc=IN IP4 {HOST}\nm=audio 4000 RTP/AVP {kind}\na=rtpmap:97 opus/48000/2\n"
    session.connect(negotiate(read_sdp(offer.encode()), Abilities(), KEY))
    await asyncio.to_thread(ffmpeg_sends, name, session.local_port, 0.4)
    await asyncio.sleep(0.05)
    session.close()
    pcm = b"".join(event.pcm for event in events if isinstance(event, CallerAudio))
    assert len(pcm) >= 0.3 * 32_000
    assert pitch_hz(pcm_to_samples(pcm), 16_000) == pytest.approx(HZ, abs=10)
    assert level_dbfs(pcm[3200:-3200]) == pytest.approx(-15.3, abs=1)
    assert session.statistics.lost == 0


@pytest.mark.parametrize("name", PAYLOAD_TYPES)
async def test_ffmpeg_hears_and_decrypts_what_our_answer_describes(name, tmp_path):
    port = free_pair()
    session = await RtpSession.open(OPTIONS, lambda event: None)
    abilities = Abilities((name,), "required")
    offer = read_sdp(write_offer(Local(HOST, port, bytes(30)), abilities))
    agreed = negotiate(offer, abilities, KEY)
    path = tmp_path / "call.sdp"
    path.write_bytes(write_answer(offer, agreed, Local(HOST, port, KEY)))
    hearing = asyncio.create_task(asyncio.to_thread(ffmpeg_hears, path, 0.3))
    await asyncio.sleep(0.1)
    session.connect(agreed)
    frame = tone(16_000, 0, 320).tobytes()  # six whole periods
    while not hearing.done():
        session.play(frame)
        await asyncio.sleep(0.02)
    heard, rate_hz = await hearing
    session.close()
    assert pitch_hz(heard, rate_hz) == pytest.approx(HZ, abs=10)


def free_pair():
    """Return an even port that is free, like the one above it."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtp:
            rtp.bind((HOST, 0))
            port = rtp.getsockname()[1]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtcp:
                try:
                    rtcp.bind((HOST, port + 1))
                except (OSError, OverflowError):
                    continue
        if port % 2 == 0:
            return port
