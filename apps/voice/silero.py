"""Silero's voice activity network (v6), run for the windows of many calls at once.

The weights are those of the ONNX file in faster-whisper's wheel. That file's graph takes the
windows of one stream alone, one after another; here a window of each of many streams is one row of
the same matrix products, so that the weights, which fill a processor's cache, are read once for all
of them. ONNX Runtime stays the reference: a test holds this against it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from apps.core.audio import pcm_to_samples
from apps.core.errors import EngineUnavailable

WINDOW_SAMPLES = 512
CONTEXT_SAMPLES = 64

_ASSET = ("faster_whisper", "assets/silero_vad_v6.onnx")
_SEEN = CONTEXT_SAMPLES + WINDOW_SAMPLES
_DFT, _HOP, _BINS, _FRAMES = 256, 128, 129, 4
_HALF = 128
_STATE = 2 * _HALF
_FULL_SCALE = np.float32(1 / 32768.0)

Floats = NDArray[np.float32]


class SileroNetwork:
    """The network's weights, as matrices whose rows are what a layer takes in.

    Args:
        weights: By the names of the ONNX file.
    """

    def __init__(self, weights: dict[str, Floats]) -> None:
        self._hann = np.hanning(_DFT + 1)[:-1].astype(np.float32)
        conv = [weights[f"encoder.conv_layers.{i}.weight"].transpose(2, 1, 0) for i in range(4)]
        self._bias = [weights[f"encoder.conv_layers.{i}.bias"] for i in range(4)]
        # From the third layer on one position is left: taps that meet only padding are left out.
        taps = (conv[0], conv[1], conv[2][1:], conv[3][1:2])
        self._conv = [np.ascontiguousarray(tap.reshape(-1, tap.shape[2])) for tap in taps]
        both = np.concatenate((weights["onnx::LSTM_209"][0], weights["onnx::LSTM_210"][0]), axis=1)
        self._lstm = np.ascontiguousarray(both.T)
        bias = weights["onnx::LSTM_211"][0]
        self._lstm_bias = bias[: len(bias) // 2] + bias[len(bias) // 2 :]
        self._out = weights["decoder.conv1d.weight"][0, :, 0]
        self._out_bias = weights["decoder.conv1d.bias"][0]

    def step(self, rows: Floats, state: Floats) -> tuple[Floats, Floats]:
        """Take one window of each of n streams.

        Args:
            rows: Shape (n, 576), in [-1, 1]: the last 64 samples before the window, and its 512.
            state: Shape (n, 256), the LSTM's hidden and cell state after each stream's window
                before; zeros at its first.

        Returns:
            The probabilities of speech, shape (n,), and the state after the windows.
        """
        return self._decode(self._encode(_spectra(rows, self._hann)), state)

    def _encode(self, spectra: Floats) -> Floats:
        """Return what four convolutions make of (n, 6, 129) padded spectra: shape (n, 128)."""
        n = len(spectra)
        padded = np.zeros((n, _FRAMES + 1, 128), np.float32)
        first = self._layer(0, _overlapping(spectra, _FRAMES, 3, 1))
        padded[:, 1:] = first.reshape(n, _FRAMES, 128)
        second = self._layer(1, _overlapping(padded, 2, 3, 2))
        third = self._layer(2, second.reshape(n, 128))
        return self._layer(3, third)

    def _layer(self, number: int, taken: Floats) -> Floats:
        made: Floats = taken @ self._conv[number]
        made += self._bias[number]
        return np.maximum(made, 0.0, out=made)

    def _decode(self, seen: Floats, state: Floats) -> tuple[Floats, Floats]:
        """Run the LSTM (gates in ONNX's order: input, output, forget, cell) and the last layer."""
        gates: Floats = np.concatenate((seen, state[:, :_HALF]), axis=1) @ self._lstm
        gates += self._lstm_bias
        opened = _sigmoid(gates[:, : 3 * _HALF])
        after = np.empty_like(state)
        hidden, cell = after[:, :_HALF], after[:, _HALF:]
        np.multiply(opened[:, 2 * _HALF :], state[:, _HALF:], out=cell)
        cell += opened[:, :_HALF] * np.tanh(gates[:, 3 * _HALF :])
        np.multiply(opened[:, _HALF : 2 * _HALF], np.tanh(cell), out=hidden)
        return _sigmoid(np.maximum(hidden, 0.0) @ self._out + self._out_bias), after


class SileroStream:
    """What the network remembers of one stream of audio; it begins in silence."""

    def __init__(self) -> None:
        self._context = np.zeros(CONTEXT_SAMPLES, np.float32)
        self._state = np.zeros(_STATE, np.float32)

    @staticmethod
    def advance(
        network: SileroNetwork, streams: Sequence[SileroStream], windows: Sequence[bytes]
    ) -> list[float]:
        """Take the next window of each of several streams.

        Args:
            network: See `silero_network`.
            streams: No stream twice.
            windows: Of each, 32 ms of 16 kHz PCM.

        Returns:
            The probability that it holds speech, in [0, 1], of each window.
        """
        rows = np.empty((len(streams), _SEEN), np.float32)
        samples = pcm_to_samples(b"".join(windows)).reshape(-1, WINDOW_SAMPLES)
        np.multiply(samples, _FULL_SCALE, out=rows[:, CONTEXT_SAMPLES:])
        for row, stream in zip(rows, streams, strict=True):
            row[:CONTEXT_SAMPLES] = stream._context
        states = np.stack([stream._state for stream in streams])
        probabilities, states = network.step(rows, states)
        for row, state, stream in zip(rows, states, streams, strict=True):
            stream._context, stream._state = row[-CONTEXT_SAMPLES:], state
        found: list[float] = probabilities.tolist()
        return found


def _spectra(rows: Floats, hann: Floats) -> Floats:
    """Return the magnitudes of four overlapping spectra a row, with a row of zeros at both ends."""
    n, mirrored = len(rows), _DFT // 4
    longer = np.empty((n, _SEEN + mirrored), np.float32)
    longer[:, :_SEEN] = rows
    longer[:, _SEEN:] = rows[:, -2 : -2 - mirrored : -1]
    strides = (longer.strides[0], _HOP * longer.itemsize, longer.itemsize)
    spectra = np.zeros((n, _FRAMES + 2, _BINS), np.float32)
    np.abs(
        np.fft.rfft(as_strided(longer, (n, _FRAMES, _DFT), strides) * hann), out=spectra[:, 1:-1]
    )
    return spectra


def _overlapping(values: Floats, positions: int, width: int, stride: int) -> Floats:
    """Return (n * positions, width * channels): what a convolution sees at each position."""
    n, _, channels = values.shape
    step = channels * values.itemsize
    strides = (values.strides[0], stride * step, values.itemsize)
    seen = as_strided(values, (n, positions, width * channels), strides)
    return seen.reshape(n * positions, -1)


def _sigmoid(values: Floats) -> Floats:
    opened: Floats = np.exp(-values)
    opened += 1.0
    return np.reciprocal(opened, out=opened)


@cache
def silero_network() -> SileroNetwork:
    """Return the process's one network, loaded at the first call; it keeps no state.

    Raises:
        EngineUnavailable: faster-whisper's wheel, or the file within, is not installed.
    """
    # Matrices this small are slower on several threads, and take the cores from other calls.
    threadpool_limits(1, user_api="blas")
    return SileroNetwork(_read(asset()))


def asset() -> Path:
    """Return the ONNX file with the weights.

    Raises:
        EngineUnavailable: It is not installed.
    """
    # faster_whisper itself is not imported: that costs a second and pulls in CTranslate2.
    package, asset = _ASSET
    spec = importlib.util.find_spec(package)
    path = Path(spec.origin).parent / asset if spec is not None and spec.origin else None
    if path is None or not path.is_file():
        raise EngineUnavailable(
            "The voice activity network is missing.",
            hint="It comes with faster-whisper: pip install --force-reinstall faster-whisper.",
        )
    return path


def _read(path: Path) -> dict[str, Floats]:
    import onnx
    from onnx import numpy_helper

    tensors: Any = onnx.load(str(path)).graph.initializer
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in tensors}
