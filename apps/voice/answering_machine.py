"""Who picked up: a person who says "hello?" and waits, or a machine that talks on and beeps.

`step` is pure: windows of 32 ms in, verdicts out. A person's greeting is short and followed by a
silence, for it is the caller's turn to speak; a machine's goes on. In between, the longer somebody
has talked, the longer the silence that makes a person of them; it never exceeds the patience. The
beep is a steady single tone; it tells a machine at any time, and when to leave a message.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from apps.core.audio import SAMPLE_RATE_HZ, pcm_to_samples
from apps.voice.silero import WINDOW_SAMPLES
from apps.voice.vad import WINDOW_BYTES, WINDOW_MS

BEEP_HZ = (380.0, 2050.0)
"""Pitches that answering machines beep with, 400 to 2000 Hz, and the width of a bin beside them."""
_TONE_SHARE = 0.7
_TONE_DBFS = -42.0
_BAND_HZ = (200.0, 3400.0)
_SPREAD_BINS = 2
_SECOND = 0.1
_STEADY = 0.03


class Callee(StrEnum):
    """Who is at the other end.

    ``SILENT`` is somebody who says nothing: nobody yet has, or a machine fell silent, beep or not.
    """

    HUMAN = "human"
    MACHINE = "machine"
    BEEP = "beep"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class ScreenOptions:
    """How callees are told apart; times in milliseconds.

    Attributes:
        short_ms: A greeting up to this length is a person's, ...
        short_pause_ms: ...once this silence follows it.
        long_ms: A greeting of this length is a machine's; towards it the silence that makes a
            person grows from `short_pause_ms` to `patience_ms`.
        patience_ms: The longest silence that is waited for.
        beep_ms: The shortest tone that is a beep.
        longest_beep_ms: What lasts longer is a line's own tone, or a fax machine's: a machine.
        voice: The probability from which on a window holds voice.
        onset_ms: Voice shorter than this is a noise.
    """

    short_ms: float = 1500.0
    short_pause_ms: float = 900.0
    long_ms: float = 3600.0
    patience_ms: float = 2500.0
    beep_ms: float = 150.0
    longest_beep_ms: float = 4000.0
    voice: float = 0.5
    onset_ms: float = 96.0


@dataclass(frozen=True, slots=True)
class Window:
    """32 ms of the callee's audio.

    Attributes:
        end_ms: When it ended, counted in audio since the callee picked up.
        voice: The probability that it holds voice.
        tone_hz: The pitch of the single tone that it is; None for anything else.
    """

    end_ms: float
    voice: float
    tone_hz: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found.

    Attributes:
        callee: Who it is.
        at_ms: When it was certain, in audio since the callee picked up.
        greeting_ms: How long they have talked, pauses included.
    """

    callee: Callee
    at_ms: float
    greeting_ms: float


@dataclass(frozen=True, slots=True)
class Screen:
    """What has been heard so far; the state of `step`.

    Attributes:
        callee: Human or machine, once that is decided.
        began_ms: When the greeting began.
        voice_ms: When voice was heard last.
        run_ms: How long the present run of voice is.
        tone_hz: The pitch of the tone that is heard now.
        tone_ms: How long it has lasted.
    """

    callee: Callee | None = None
    began_ms: float | None = None
    voice_ms: float = 0.0
    run_ms: float = 0.0
    tone_hz: float | None = None
    tone_ms: float = 0.0

    @property
    def greeting_ms(self) -> float:
        """How long the callee has talked, pauses included."""
        return 0.0 if self.began_ms is None else self.voice_ms - self.began_ms


def step(screen: Screen, window: Window, options: ScreenOptions) -> tuple[Screen, Verdict | None]:
    """Take one window in.

    Returns:
        What is known now, and a verdict when there is a new one: at most one of `HUMAN` and
        `MACHINE`, and after the latter one of `BEEP` (its tone has ended) and `SILENT`.
    """
    screen, beeped = _tone(screen, window, options)
    if screen.tone_hz is None:
        screen = _voice(screen, window, options)
    callee = Callee.BEEP if beeped else _judge(screen, window.end_ms, options)
    if callee is None:
        return screen, None
    known = Callee.MACHINE if callee is Callee.BEEP else callee
    return replace(screen, callee=known), Verdict(callee, window.end_ms, screen.greeting_ms)


def needed_pause_ms(greeting_ms: float, options: ScreenOptions) -> float:
    """Return how long a silence makes a person of who has talked for so long."""
    over = (greeting_ms - options.short_ms) / (options.long_ms - options.short_ms)
    more = options.patience_ms - options.short_pause_ms
    return options.short_pause_ms + more * min(max(over, 0.0), 1.0)


def _tone(screen: Screen, window: Window, options: ScreenOptions) -> tuple[Screen, bool]:
    """Follow a tone; tells whether a beep has just ended."""
    hz, before = window.tone_hz, screen.tone_hz
    if hz is not None and before is not None and abs(hz - before) <= _STEADY * before:
        return replace(screen, tone_hz=hz, tone_ms=screen.tone_ms + WINDOW_MS), False
    beeped = before is not None and screen.tone_ms >= options.beep_ms
    return replace(screen, tone_hz=hz, tone_ms=WINDOW_MS if hz is not None else 0.0), beeped


def _voice(screen: Screen, window: Window, options: ScreenOptions) -> Screen:
    if window.voice < options.voice:
        return replace(screen, run_ms=0.0)
    run_ms = screen.run_ms + WINDOW_MS
    if run_ms < options.onset_ms:
        return replace(screen, run_ms=run_ms)
    began_ms = window.end_ms - run_ms if screen.began_ms is None else screen.began_ms
    return replace(screen, run_ms=run_ms, began_ms=began_ms, voice_ms=window.end_ms)


def _judge(screen: Screen, now_ms: float, options: ScreenOptions) -> Callee | None:
    pause_ms = now_ms - screen.voice_ms
    if screen.tone_hz is not None:
        endless = screen.callee is None and screen.tone_ms >= options.longest_beep_ms
        return Callee.MACHINE if endless else None
    if screen.callee in (Callee.HUMAN, Callee.SILENT):
        return None
    if screen.callee is Callee.MACHINE or screen.began_ms is None:
        return Callee.SILENT if pause_ms >= options.patience_ms else None
    if screen.greeting_ms >= options.long_ms:
        return Callee.MACHINE
    enough = pause_ms >= needed_pause_ms(screen.greeting_ms, options)
    return Callee.HUMAN if enough else None


class ToneFinder:
    """Finds windows that are a single tone in a stream of 16 kHz PCM.

    A window is one when seven tenths of its power in the telephone band lie at one pitch and no
    other comes within 10 dB of it; that is true of no vowel, whose power lies at multiples of its
    pitch, nor of a key's two tones.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._taper: NDArray[np.float64] = np.hanning(WINDOW_SAMPLES)
        bins_hz = np.fft.rfftfreq(WINDOW_SAMPLES, 1 / SAMPLE_RATE_HZ)
        self._bin_hz = float(bins_hz[1])
        self._low, self._high = np.searchsorted(bins_hz, _BAND_HZ)

    def push(self, pcm: bytes) -> list[float | None]:
        """Add PCM; return the pitch of each window that is now complete, None for no tone."""
        data = self._rest + pcm
        end = len(data) - len(data) % WINDOW_BYTES
        self._rest = data[end:]
        return [self._pitch(data[i : i + WINDOW_BYTES]) for i in range(0, end, WINDOW_BYTES)]

    def _pitch(self, window: bytes) -> float | None:
        samples = pcm_to_samples(window).astype(np.float64) / 32768.0
        if 10 * np.log10(np.mean(samples**2) + 1e-12) < _TONE_DBFS:
            return None
        power = np.abs(np.fft.rfft(samples * self._taper)) ** 2
        peak = int(self._low + np.argmax(power[self._low : self._high]))
        near = power[peak - _SPREAD_BINS : peak + _SPREAD_BINS + 1]
        share = near.sum() / power[self._low - _SPREAD_BINS : self._high].sum()
        hz = self._bin_hz * (peak + _between(power[peak - 1 : peak + 2]))
        top = float(power[peak])
        near[:] = 0.0
        alone = power[self._low : self._high].max() < _SECOND * top
        return hz if share >= _TONE_SHARE and alone and BEEP_HZ[0] <= hz <= BEEP_HZ[1] else None


def _between(three: NDArray[np.float64]) -> float:
    """Return where between three bins' powers their peak lies, in bins from the middle one."""
    low, mid, high = np.log(three + 1e-12)
    bend = low - 2 * mid + high
    return 0.0 if bend == 0 else float(np.clip(0.5 * (low - high) / bend, -0.5, 0.5))
