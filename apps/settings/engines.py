"""Which engine serves each role."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from apps.settings.base import SettingsGroup


class EngineSettings(SettingsGroup):
    """Which engine serves each role."""

    stt_engine: Literal["auto", "pocketsphinx", "faster-whisper", "openai", "fake"] = Field(
        "auto", description="Recogniser; `auto` takes faster-whisper where weights are present."
    )
    stt_workers: int = Field(2, ge=1, le=32, description="Recogniser processes.")
    stt_url: str = Field("", description="Base URL of an OpenAI-compatible transcription server.")
    stt_model: str = Field("whisper-1", description="The model's name at that server.")
    stt_api_key: str = Field(
        "", description="That server's key, if it wants one.", json_schema_extra={"secret": True}
    )
    whisper_model: str = Field("small", description="faster-whisper's model: a name or a folder.")
    whisper_device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Where it computes; `auto` takes a CUDA device where there is one."
    )
    tts_engine: Literal["auto", "espeak", "piper", "openai", "fake"] = Field(
        "auto", description="Synthesiser; `auto` takes Piper where a voice is present."
    )
    tts_url: str = Field("", description="Base URL of an OpenAI-compatible speech server.")
    tts_model: str = Field("tts-1", description="The model's name at that server.")
    tts_voice: str = Field("alloy", description="The voice's name at that server.")
    tts_api_key: str = Field(
        "", description="That server's key, if it wants one.", json_schema_extra={"secret": True}
    )
    tts_workers: int = Field(1, ge=1, le=32, description="Processes of espeak-ng or Piper.")
    piper_voice_de: str = Field("de_DE-thorsten-medium", description="Piper's German voice.")
    piper_voice_en: str = Field("en_US-lessac-medium", description="Piper's English voice.")
    models_dir: Path = Field(Path("models"), description="Where weights and voices lie.")
