# SPDX-License-Identifier: GPL-3.0-or-later
"""Piper as a worker: ``python -m apps.voice.workers.piper_worker VOICE.onnx...``.

A stream is one sentence: its header has ``text``, ``voice`` (the path of an ONNX file with its
``.json`` beside it) and ``rate``; the replies' payloads are 16 kHz PCM. Piper is under the GPL,
so this program is as well, and it runs in a process of its own (docs/adr/0001-licence.md).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from apps.core.errors import EngineUnavailable
from apps.voice.workers.serve import ReplyStream, serve
from apps.voice.workers.shaping import SpeechShaper, loudness_gain

_TRIAL_TEXT = "1, 2, 3"
_CHUNK_S = 0.2


class PiperWorker:
    """Speaks sentences with Piper."""

    name = "piper"
    version = ""

    def __init__(self, voices: Sequence[str]) -> None:
        self._paths = voices
        self._voices: dict[str, Any] = {}

    def load(self) -> Mapping[str, Any]:
        """Load the voices and speak with each once, so that the first call need not wait."""
        try:
            self.version = version("piper-tts")
            for path in self._paths:
                for _ in self._voice(path).synthesize(_TRIAL_TEXT):
                    pass
        except ImportError as error:
            raise EngineUnavailable(
                "piper-tts is not installed.", hint="pip install 'tom-voice[piper]'"
            ) from error
        return {"voices": [Path(path).stem for path in self._paths]}

    def open(self, stream: ReplyStream, header: Mapping[str, Any], payload: bytes) -> None:
        """Speak one sentence; Piper makes it in one piece, which is cut up for the pipe."""
        from piper import SynthesisConfig

        voice = self._voice(str(header["voice"]))
        length_scale = voice.config.length_scale / float(header["rate"])
        config = SynthesisConfig(length_scale=length_scale)
        for sentence in voice.synthesize(str(header["text"]), config):
            samples = sentence.audio_int16_array
            shaper = SpeechShaper(sentence.sample_rate, loudness_gain(samples))
            step = round(sentence.sample_rate * _CHUNK_S)
            for start in range(0, len(samples), step):
                if stream.cancelled:
                    return
                stream.reply(payload=shaper.push(samples[start : start + step]))
            stream.reply(payload=shaper.flush())

    def _voice(self, path: str) -> Any:
        if path not in self._voices:
            from piper import PiperVoice

            try:
                self._voices[path] = PiperVoice.load(path)
            except Exception as error:
                raise EngineUnavailable(
                    f"The Piper voice {Path(path).stem} cannot be loaded ({type(error).__name__}).",
                    hint="Fetch it again: tom models pull",
                ) from error
        return self._voices[path]


if __name__ == "__main__":
    raise SystemExit(serve(PiperWorker(sys.argv[1:])))
