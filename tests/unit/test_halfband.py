"""The half-band resampler: the telephone band passes, images and aliases do not."""

import numpy as np
import pytest

from apps.voice.halfband import DownTo8k, UpTo16k


def tone(hz, rate_hz, level=10_000.0):
    return (level * np.sin(2 * np.pi * hz * np.arange(rate_hz) / rate_hz)).astype(np.int16)


def in_frames(resampler, samples, frame):
    parts = [resampler.push(samples[i : i + frame]) for i in range(0, len(samples), frame)]
    return np.concatenate(parts)


def level_db(samples, hz, rate_hz):
    """The level of one frequency against a full tone of 10,000, past the filter's onset."""
    steady = samples[rate_hz // 4 : rate_hz // 4 + rate_hz // 2].astype(np.float64)
    spectrum = np.abs(np.fft.rfft(steady * np.hanning(len(steady)))) / (len(steady) / 4)
    at = round(hz * len(steady) / rate_hz)
    return 20 * np.log10(max(spectrum[at - 2 : at + 3].max(), 1e-3) / 10_000)


@pytest.mark.parametrize("hz", [100, 300, 1000, 2000, 3000, 3400])
def test_the_telephone_band_passes_at_its_own_level(hz):
    up = in_frames(UpTo16k(), tone(hz, 8000), 160)
    down = in_frames(DownTo8k(), tone(hz, 16_000), 320)
    assert len(up) == 16_000
    assert len(down) == 8000
    assert level_db(up, hz, 16_000) == pytest.approx(0.0, abs=0.1)
    assert level_db(down, hz, 8000) == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize("hz", [300, 1000, 3000, 3400])
def test_doubling_the_rate_leaves_no_image(hz):
    assert level_db(in_frames(UpTo16k(), tone(hz, 8000), 160), 8000 - hz, 16_000) < -58


@pytest.mark.parametrize("hz", [4600, 5000, 6000, 7700])
def test_halving_the_rate_leaves_no_alias(hz):
    down = in_frames(DownTo8k(), tone(hz, 16_000), 320)
    assert level_db(down, 8000 - hz, 8000) < -58


def test_frames_of_any_length_give_the_same_stream():
    rng = np.random.default_rng(3)
    narrow = rng.integers(-9000, 9000, 4000).astype(np.int16)
    wide = rng.integers(-9000, 9000, 4000).astype(np.int16)
    for frame in (2, 34, 4000):
        assert np.array_equal(in_frames(UpTo16k(), narrow, frame), UpTo16k().push(narrow))
        assert np.array_equal(in_frames(DownTo8k(), wide, frame), DownTo8k().push(wide))


def test_full_scale_is_cut_and_does_not_wrap_around():
    loud = np.full(800, 32767, np.int16)
    loud[400:] = -32768  # the filter overshoots at the step
    for resampled in (UpTo16k().push(loud), DownTo8k().push(loud)):
        step = len(resampled) // 2
        assert resampled[40 : step + 8].min() > 25_000
        assert resampled[step + 40 :].max() < -25_000


def test_nothing_in_gives_nothing_out():
    empty = np.zeros(0, np.int16)
    assert len(UpTo16k().push(empty)) == len(DownTo8k().push(empty)) == 0
