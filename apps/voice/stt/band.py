"""Makes telephone speech look like the wide-band speech that the acoustic model was trained on.

A telephone passes 300 to 3400 Hz, so the upper third of the model's mel filters hears nothing.
What they would have heard follows, on average, from the filters below: a linear map from three
neighbouring frames of the lower filters to the cepstra, fitted by least squares on pairs of the
same speech before and after a telephone line, and then stretched: a guess from an average varies
less than the truth, and the acoustic model expects the truth's variance
(``benchmarks/recognition/fit_band.py``).
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from apps.voice.stt.features import FILTERS, Frames, log_mel, to_cepstra

HEARD_FILTERS = 18
"""The filters below 3.4 kHz."""

_CONTEXT = 1
_ABOVE_TELEPHONE = slice(21, FILTERS)
_VOICE = slice(8, 17)
_NARROW_BELOW_DB = -36.0
_LOUD_PERCENTILE = 60.0
_LEAST_POWER = 1e-9
_PEAK_PERCENTILE = 95.0
_SPEECH_RANGE_DB = 30.0
_SPEECH_SHARE = 0.8


def is_narrow(mel: Frames) -> bool:
    """Say whether speech went through a telephone.

    Args:
        mel: Mel power spectra of an utterance so far, shape (n, 25). The loudest 40 % of the
            frames are looked at: above 4.2 kHz a telephone leaves less than 1/4000 of the power
            between 0.9 and 3.1 kHz, and wide-band speech always more.
    """
    if not len(mel):
        return False
    power = mel.sum(axis=1)
    loud = mel[power >= np.percentile(power, _LOUD_PERCENTILE)]
    above = max(_LEAST_POWER, float(loud[:, _ABOVE_TELEPHONE].sum()))
    voice = max(_LEAST_POWER, float(loud[:, _VOICE].sum()))
    return 10.0 * float(np.log10(above / voice)) < _NARROW_BELOW_DB


def neighbourhoods(mel: Frames) -> Frames:
    """Return each frame's lower filters with those of its neighbours, shape (n, 54).

    They are logarithms, each filter less its mean over the utterance (see `less_mean`).
    """
    heard = less_mean(log_mel(mel)[:, :HEARD_FILTERS], mel)
    padded = np.pad(heard, ((_CONTEXT, _CONTEXT), (0, 0)), mode="edge")
    shifted = [padded[i : i + len(heard)] for i in range(2 * _CONTEXT + 1)]
    return np.concatenate(shifted, axis=1)


@cache
def _matrix() -> NDArray[np.float64]:
    """Return the map, shape (54, 13)."""
    text = files("apps.voice.stt").joinpath("telephone_band.json").read_text(encoding="utf-8")
    return np.array(json.loads(text))


def widened(mel: Frames) -> Frames:
    """Return normalised cepstra of telephone speech as if it were wide-band, shape (n, 13)."""
    return np.asarray(neighbourhoods(mel) @ _matrix())


def normalised_cepstra(mel: Frames, *, narrow: bool) -> Frames:
    """Return what the acoustic model wants to see of an utterance, shape (n, 13).

    Args:
        mel: Mel power spectra of the whole utterance, shape (n, 25), n > 0.
        narrow: Whether it went through a telephone.
    """
    if narrow:
        return widened(mel)
    return less_mean(to_cepstra(log_mel(mel)), mel)


def speech_frames(mel: Frames) -> NDArray[np.bool_]:
    """Say which frames are loud enough to be speech: less than 30 dB below the loudest."""
    power = 10.0 * np.log10(mel.sum(axis=1) + _LEAST_POWER)
    return np.asarray(power > np.percentile(power, _PEAK_PERCENTILE) - _SPEECH_RANGE_DB)


def less_mean(features: Frames, mel: Frames) -> Frames:
    """Return features less their mean over an utterance.

    The acoustic model was trained on utterances with little silence. A single word in a second of
    silence has another mean altogether, so silence counts for at most a fifth of it.
    """
    speech = speech_frames(mel)
    silent = len(speech) - int(speech.sum())
    weight = (
        min(1.0, speech.sum() / _SPEECH_SHARE * (1 - _SPEECH_SHARE) / silent) if silent else 1.0
    )
    weights = np.where(speech, 1.0, weight)
    return np.asarray(features - np.average(features, axis=0, weights=weights))
