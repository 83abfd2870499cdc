# SPDX-License-Identifier: GPL-3.0-or-later
"""espeak-ng as a worker: ``python -m apps.voice.workers.espeak_worker VOICE...``.

A stream is one sentence: its header has ``text``, ``voice``, ``rate`` and ``pitch``. The replies'
payloads are 16 kHz PCM, made while espeak-ng goes on; their headers may have ``words``: a word's
index and the millisecond of the sentence's audio at which it begins, for each. espeak-ng is under
the GPL, so this program is as well, and it runs in a process of its own (docs/adr/0001-licence.md).
"""

from __future__ import annotations

import ctypes
import math
import re
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import espeakng_loader
import numpy as np

from apps.core.audio import Samples
from apps.core.errors import EngineError, EngineUnavailable
from apps.voice.workers.serve import ReplyStream, serve
from apps.voice.workers.shaping import SpeechShaper, loudness_gain

# espeak-ng's speak_lib.h
_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1
_END_PAUSE = 0x1000
_EVENTS_END, _EVENT_WORD = 0, 1
_RATE, _PITCH, _RANGE = 1, 3, 4
_RATE_MIN_WPM, _RATE_MAX_WPM = 80, 450
_PITCH_MAX = 99

_NORMAL_WPM = 165  # a little calmer than espeak-ng's 175: it is heard over the telephone
_NORMAL_PITCH = 50
_PITCH_STEPS_PER_OCTAVE = 50
_LIVELY_RANGE = 65  # the default intonation (50) sounds flat
_CHUNK_MS = 40
_TRIAL_TEXT = "1, 2, 3, 4, 5, 6"  # read out in the voice's own language

_VOICE_NAME = re.compile(r"[A-Za-z0-9_-]+(\+[A-Za-z0-9_-]+)?")


class _Event(ctypes.Structure):
    """espeak_EVENT: a list of them comes with each chunk of audio."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),  # in characters, from 1
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


_OnSamples = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)

WordStart = tuple[int, int]  # the word's first character in the text, its first sample
TakeSamples = Callable[[Samples, Sequence[WordStart]], bool]


class Espeak:
    """The library: one voice at a time, in one thread.

    Raises:
        EngineUnavailable: The library or its data cannot be loaded.
    """

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        except OSError as error:
            raise EngineUnavailable(
                "espeak-ng's library cannot be loaded.", hint="Reinstall espeakng-loader."
            ) from error
        self._declare()
        data = str(espeakng_loader.get_data_path()).encode()
        self.rate_hz: int = self._library.espeak_Initialize(
            _SYNCHRONOUS, _CHUNK_MS, data, _DONT_EXIT
        )
        if self.rate_hz <= 0:
            raise EngineUnavailable(
                "espeak-ng's data cannot be loaded.", hint="Reinstall espeakng-loader."
            )
        self.version: str = self._library.espeak_Info(None).decode()
        self._take: TakeSamples = lambda samples, words: False
        self._error: Exception | None = None
        self._callback = _OnSamples(self._on_samples)  # kept alive as long as the library
        self._library.espeak_SetSynthCallback(self._callback)

    def set_voice(self, voice: str) -> None:
        """Choose a voice such as ``de`` or ``en-us+f3``.

        Raises:
            EngineUnavailable: There is no such voice.
        """
        known = _VOICE_NAME.fullmatch(voice) is not None
        if not known or self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise EngineUnavailable(
                f"espeak-ng has no voice {voice!r}.", hint="Voices are named like de or en-us+f3."
            )

    def speak(self, text: str, rate: float, pitch: float, take: TakeSamples) -> None:
        """Synthesise a text with the voice that was set.

        Args:
            text: One sentence.
            rate: Speed relative to a normal one.
            pitch: Relative to the voice's own.
            take: Called with each chunk at `rate_hz` as it is made, and with the words that
                begin in it or soon after; False stops.

        Raises:
            EngineError: espeak-ng failed; or what `take` raised.
        """
        wpm = min(_RATE_MAX_WPM, max(_RATE_MIN_WPM, round(_NORMAL_WPM * rate)))
        steps = _NORMAL_PITCH + _PITCH_STEPS_PER_OCTAVE * math.log2(pitch)
        for parameter, value in (
            (_RATE, wpm),
            (_PITCH, min(_PITCH_MAX, max(0, round(steps)))),
            (_RANGE, _LIVELY_RANGE),
        ):
            self._library.espeak_SetParameter(parameter, value, 0)
        raw = text.encode() + b"\0"
        self._take, self._error = take, None
        flags = _CHARS_UTF8 | _END_PAUSE
        status = self._library.espeak_Synth(raw, len(raw), 0, 0, 0, flags, None, None)
        if self._error is not None:
            raise self._error
        if status != 0:
            raise EngineError(f"espeak-ng failed with status {status}.")

    def _on_samples(self, wav: Any, count: int, events: Any) -> int:
        """Take what espeak-ng made; 1 stops it. Exceptions cannot pass through C."""
        try:
            if not wav or count <= 0:
                return 0
            samples = np.ctypeslib.as_array(wav, (count,)).copy()
            return 0 if self._take(samples, list(_word_starts(events))) else 1
        except Exception as error:
            self._error = error
            return 1

    def _declare(self) -> None:
        library = self._library
        uint, void = ctypes.c_uint, ctypes.c_void_p
        library.espeak_Initialize.argtypes = [
            ctypes.c_int,
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_int,
        ]
        library.espeak_Info.argtypes = [void]
        library.espeak_Info.restype = ctypes.c_char_p
        library.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
        library.espeak_Synth.argtypes = [
            ctypes.c_char_p,
            ctypes.c_size_t,
            uint,
            ctypes.c_int,
            uint,
            uint,
            ctypes.POINTER(uint),
            void,
        ]


def _word_starts(events: Any) -> Iterator[WordStart]:
    if not events:
        return
    at = 0
    while (event := events[at]).type != _EVENTS_END:
        if event.type == _EVENT_WORD:
            yield event.text_position - 1, event.sample
        at += 1


class EspeakWorker:
    """Speaks sentences with espeak-ng."""

    name = "espeak-ng"
    version = ""

    def __init__(self, voices: Sequence[str]) -> None:
        self._voices = voices
        self._gains: dict[str, float] = {}
        self._espeak: Espeak

    def load(self) -> Mapping[str, Any]:
        """Load the library and try the voices that will be wanted."""
        self._espeak = Espeak()
        self.version = self._espeak.version
        for voice in self._voices:
            self._set_voice(voice)
        return {"voices": list(self._voices), "rate_hz": self._espeak.rate_hz}

    def open(self, stream: ReplyStream, header: Mapping[str, Any], payload: bytes) -> None:
        """Speak one sentence."""
        gain = self._set_voice(str(header["voice"]))
        shaper = SpeechShaper(self._espeak.rate_hz, gain)
        text = str(header["text"])
        firsts = [word.start() for word in re.finditer(r"\S+", text)]
        waiting: list[WordStart] = []

        def take(samples: Samples, words: Sequence[WordStart]) -> bool:
            waiting.extend(words)
            if pcm := shaper.push(samples):
                begun = [
                    (bisect_right(firsts, char) - 1, round(shaper.moment_ms(sample), 1))
                    for char, sample in waiting
                ]
                waiting.clear()
                stream.reply({"words": begun} if begun else None, pcm)
            return not stream.cancelled

        self._espeak.speak(text, float(header["rate"]), float(header["pitch"]), take)
        stream.reply(payload=shaper.flush())

    def _set_voice(self, voice: str) -> float:
        """Choose a voice and return the gain that makes it as loud as the others."""
        self._espeak.set_voice(voice)
        if voice not in self._gains:
            trial: list[Samples] = []

            def keep(samples: Samples, _words: Sequence[WordStart]) -> bool:
                trial.append(samples)
                return True

            self._espeak.speak(_TRIAL_TEXT, 1.0, 1.0, keep)
            self._gains[voice] = loudness_gain(np.concatenate(trial))
        return self._gains[voice]


if __name__ == "__main__":
    raise SystemExit(serve(EspeakWorker(sys.argv[1:])))
