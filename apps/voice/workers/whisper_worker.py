"""The program that runs faster-whisper; see apps/voice/stt/whisper.py for its host."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apps.core.audio import SAMPLE_BYTES, SAMPLE_RATE_HZ, duration_ms, pcm_to_samples
from apps.core.errors import EngineUnavailable
from apps.voice.models import missing_whisper_files
from apps.voice.silero import silero_network
from apps.voice.stt.base import Transcript
from apps.voice.stt.hypothesis import Segment
from apps.voice.stt.utterance import transcript_header
from apps.voice.stt.whisper_decode import (
    Decode,
    Pacing,
    StreamState,
    decoded,
    heard,
    next_decode,
    unhurried,
)
from apps.voice.vad import WINDOW_MS, SileroVad
from apps.voice.workers.serve import ReplyStream, serve

_BYTES_PER_MS = SAMPLE_RATE_HZ * SAMPLE_BYTES // 1000
_THOROUGH_BEAM, _QUICK_BEAM = 5, 1
# Whisper's decoder holds 448 tokens; half at most may be prompt, and nobody says more than
# about a dozen tokens a second.
_MAX_TOKENS, _SPECIAL_TOKENS = 448, 8
_MAX_BIAS_TOKENS, _MAX_CONTEXT_TOKENS = 100, 60
_TOKENS_PER_S, _SPARE_TOKENS = 12, 16

PACING = Pacing()


@dataclass(frozen=True, slots=True)
class WhisperConfig:
    """What is loaded, and how it computes; see `WhisperStt`."""

    folder: Path
    device: str = "auto"
    compute_type: str = "auto"
    threads: int = 0


class WhisperWorker:
    """Whisper's weights, shared by all utterances."""

    name = "faster-whisper"
    version = ""

    def __init__(self, config: WhisperConfig) -> None:
        self._config = config
        self._model: Any = None
        self._languages: frozenset[str] = frozenset()
        self.pacing = PACING

    def load(self) -> Mapping[str, Any]:
        """Load the weights and decode a moment of silence.

        Raises:
            EngineUnavailable: The folder holds no model that can be loaded.
        """
        folder = self._config.folder
        missing = missing_whisper_files(folder)
        if missing:
            raise EngineUnavailable(
                f"The Whisper model in {folder.name!r} lacks {missing[0]}.",
                hint="Pull it again, or name a folder in CTranslate2's format.",
            )
        try:
            self._model = _open_model(self._config)
            self._languages = frozenset(self._model.supported_languages)
            self._warm()
        except Exception as error:  # CTranslate2 and tokenizers raise what they like
            raise EngineUnavailable(
                f"The Whisper model in {folder.name!r} cannot be loaded: {error}",
                hint="Pull it again, or name a folder in CTranslate2's format; where CUDA's "
                "libraries are missing, set TOM_WHISPER_DEVICE=cpu.",
            ) from error
        self.version = version("faster-whisper")
        silero_network()
        return {
            "model": folder.name,
            "device": self._model.model.device,
            "compute_type": self._model.model.compute_type,
            "languages": sorted(self._languages),
        }

    def open(
        self, stream: ReplyStream, header: Mapping[str, Any], payload: bytes
    ) -> WhisperSession:
        """Begin an utterance."""
        bias = self._fitting([str(word) for word in header.get("bias_words", ())])
        return WhisperSession(self, stream, str(header["language"]), bias)

    def decode(
        self,
        samples: NDArray[np.float32],
        *,
        language: str,
        bias: str,
        context: str,
        beam: int,
    ) -> list[Segment]:
        """Return the model's hypothesis of a window.

        Args:
            samples: Shape (n,), in [-1, 1], at 16 kHz; at most 30 s.
            language: A language that the model knows.
            bias: Words that are likely, as one string.
            context: What was said before.
            beam: The search's width.

        Returns:
            Its segments, their times relative to the window.
        """
        context_tokens = self._tokens(context)[-_MAX_CONTEXT_TOKENS:]
        prompt = len(self._tokens(bias)) + len(context_tokens) + _SPECIAL_TOKENS
        started_s = time.perf_counter()
        # CTranslate2 stops at half of prompt and new tokens together, hence the factor of two.
        likely = 2 * (_SPARE_TOKENS + _TOKENS_PER_S * len(samples) // SAMPLE_RATE_HZ)
        segments, _ = self._model.transcribe(
            samples,
            language=language,
            beam_size=beam,
            temperature=0.0,  # no second attempts: the next window is the second attempt
            condition_on_previous_text=False,
            initial_prompt=context_tokens or None,
            hotwords=bias or None,
            max_new_tokens=min(likely, _MAX_TOKENS - prompt),
            # Whatever is implausible is left out by the streaming policy.
            compression_ratio_threshold=None,
            log_prob_threshold=None,
            no_speech_threshold=None,
        )
        hypothesis = [
            Segment(s.text, s.end * 1000.0, s.avg_logprob, s.no_speech_prob, s.compression_ratio)
            for s in segments  # a generator: the work is done here
        ]
        self.pacing = unhurried(PACING, (time.perf_counter() - started_s) * 1000.0)
        return hypothesis

    def _warm(self) -> None:
        """Decode a moment of silence, twice: the second time tells how fast this machine is."""
        silence = np.zeros(SAMPLE_RATE_HZ, np.float32)
        for _ in range(2):
            self.decode(
                silence, language=min(self._languages), bias="", context="", beam=_QUICK_BEAM
            )

    def _tokens(self, text: str) -> list[int]:
        if not text:
            return []
        tokens: list[int] = self._model.hf_tokenizer.encode(
            " " + text, add_special_tokens=False
        ).ids
        return tokens

    def _fitting(self, words: Sequence[str]) -> str:
        """Return as many of the words, most important first, as the prompt has room for."""
        used, kept = 0, []
        for word in words:
            used += len(self._tokens(word + ","))
            if used > _MAX_BIAS_TOKENS:
                break
            kept.append(word)
        return ", ".join(kept)


def _open_model(config: WhisperConfig) -> Any:
    """Return faster-whisper's model; it raises what its libraries do."""
    import ctranslate2
    from faster_whisper import WhisperModel

    on_gpu = config.device == "cuda" or (
        config.device == "auto" and ctranslate2.get_cuda_device_count() > 0
    )
    compute_type = config.compute_type
    if compute_type == "auto":
        compute_type = "float16" if on_gpu else "int8"
    return WhisperModel(
        str(config.folder),
        device="cuda" if on_gpu else "cpu",
        compute_type=compute_type,
        cpu_threads=config.threads or min(4, os.cpu_count() or 1),
        local_files_only=True,
    )


class WhisperSession:
    """One utterance: its audio, and what the streaming policy knows of it."""

    def __init__(
        self, worker: WhisperWorker, stream: ReplyStream, language: str, bias: str
    ) -> None:
        self._worker = worker
        self._stream = stream
        self._language = language
        self._bias = bias
        self._vad = SileroVad(silero_network())
        self._state = StreamState()
        self._audio = bytearray()  # from _audio_from, in bytes from the utterance's beginning
        self._audio_from = 0
        self._told: tuple[str, float | None] = ("", None)

    def message(self, header: Mapping[str, Any], payload: bytes) -> None:
        """Take in audio, or the utterance's end."""
        if payload:
            self._audio += payload
            activities = self._vad.push(payload)
            self._state = heard(
                self._state, duration_ms(payload), activities, WINDOW_MS, self._worker.pacing
            )
            self._forget_old_audio()
        if header.get("finish"):
            while (request := self._next(finished=True)) is not None:
                self._decode(request)
            self._reply(self._state.text, is_final=True)
            self._stream.end()

    def idle(self) -> bool:
        """Decode what is worth it; False when nothing is."""
        request = self._next(finished=False)
        if request is None:
            return False
        before = self._told
        self._decode(request)
        stable = self._state.stable_text
        # Words that are still doubtful come later: then the stable ones are not all there is.
        until_ms = request.end_ms if stable == self._state.text else None
        self._told = (stable, until_ms)
        if stable and self._told != before:
            self._reply(stable, is_final=False, until_ms=until_ms)
        return True

    def close(self) -> None:
        """Let the audio go."""
        self._audio.clear()

    def _next(self, *, finished: bool) -> Decode | None:
        return next_decode(self._state, self._worker.pacing, finished=finished)

    def _decode(self, request: Decode) -> None:
        start = _byte(request.start_ms) - self._audio_from
        end = _byte(request.end_ms) - self._audio_from
        samples = pcm_to_samples(bytes(self._audio[start:end])).astype(np.float32) / 32768.0
        segments = self._worker.decode(
            samples,
            language=self._language,
            bias=self._bias,
            context=request.context,
            beam=_THOROUGH_BEAM if request.may_be_last else _QUICK_BEAM,
        )
        timed = [replace(s, end_ms=s.end_ms + request.start_ms) for s in segments]
        self._state = decoded(self._state, request, timed, self._worker.pacing)
        self._forget_old_audio()

    def _forget_old_audio(self) -> None:
        old = _byte(self._state.window_ms) - self._audio_from
        if old > 0:
            del self._audio[:old]
            self._audio_from += old

    def _reply(self, text: str, *, is_final: bool, until_ms: float | None = None) -> None:
        confidence = self._state.confidence
        transcript = Transcript(text, confidence, is_final, model="whisper", until_ms=until_ms)
        self._stream.reply(transcript_header(transcript))


def _byte(at_ms: float) -> int:
    """Return the position of a time in the utterance's PCM, on a whole sample."""
    return int(at_ms * _BYTES_PER_MS) // SAMPLE_BYTES * SAMPLE_BYTES


def main(argv: Sequence[str]) -> int:
    """Serve the model in the folder named first."""
    parser = argparse.ArgumentParser(prog="whisper_worker")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--compute-type", default="auto")
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args(argv)
    config = WhisperConfig(args.folder, args.device, args.compute_type, args.threads)
    return serve(WhisperWorker(config))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
