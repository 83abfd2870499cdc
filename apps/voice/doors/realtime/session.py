"""A Realtime session: what its client may set, and what is in force."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from apps.voice.doors.realtime.messages import Refused, invalid

INSTRUCTIONS = "This assistant follows its operator's instructions; a session cannot change them."
HAND_OVER, HANG_UP = "transfer_to_human", "end_call"
TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "name": HAND_OVER,
        "description": "The caller is handed over to a person: connect them to the target.",
        "parameters": {
            "type": "object",
            "properties": {
                "target": {"type": "string", "description": "A SIP address or a number."},
                "summary": {"type": "string", "description": "What the call was about."},
            },
            "required": ["target", "summary"],
        },
    },
    {
        "type": "function",
        "name": HANG_UP,
        "description": "The call is over: the session closes after it.",
        "parameters": {
            "type": "object",
            "properties": {"reason": {"type": "string", "description": "Why it ended."}},
            "required": ["reason"],
        },
    },
]
LANGUAGES = ("de", "en")
_BETA = (
    "modalities",
    "input_audio_format",
    "output_audio_format",
    "input_audio_transcription",
    "turn_detection",
)

Format = Literal["audio/pcm", "audio/pcmu", "audio/pcma"]
Modality = Literal["audio", "text"]
TurnDetection = Literal["server_vad", "semantic_vad"]


@dataclass(frozen=True, slots=True)
class Session:
    """What is in force.

    Attributes:
        id: The session's id.
        model: The profile that was called, or the client's name for the default one.
        started: Whether the call has begun; its language and typing stand from then on.
        language: The call's; empty for the profile's own.
        modality: Whether the assistant answers aloud or in text.
        typed: Whether the call was begun without audio.
        input: The format of the caller's audio.
        output: The format of the assistant's.
        turns: What ends the caller's turns; None when the client does.
        transcribe: Whether the client wants the caller's words.
    """

    id: str
    model: str
    started: bool = False
    language: str = ""
    modality: Modality = "audio"
    typed: bool = False
    input: Format = "audio/pcm"
    output: Format = "audio/pcm"
    turns: TurnDetection | None = "semantic_vad"
    transcribe: bool = True

    def begun(self, language: str) -> Session:
        """Return it with the call begun in a language."""
        return replace(self, started=True, language=language)

    def as_dict(self) -> dict[str, Any]:
        """Return the session as the client is shown it."""
        transcription = {"model": "tom", "language": self.language or None}
        return {
            "type": "realtime",
            "object": "realtime.session",
            "id": self.id,
            "model": self.model,
            "output_modalities": [self.modality],
            "instructions": INSTRUCTIONS,
            "tools": TOOLS,
            "tool_choice": "auto",
            "max_output_tokens": "inf",
            "truncation": "auto",
            "prompt": None,
            "tracing": None,
            "include": None,
            "audio": {
                "input": {
                    "format": _format(self.input),
                    "transcription": transcription if self.transcribe else None,
                    "noise_reduction": None,
                    "turn_detection": self._turn_detection(),
                },
                "output": {**self.voice(), "speed": 1.0},
            },
        }

    def voice(self) -> dict[str, Any]:
        """Return how the assistant is heard."""
        return {"format": _format(self.output), "voice": "tom"}

    def _turn_detection(self) -> dict[str, Any] | None:
        always = {"type": self.turns, "create_response": True, "interrupt_response": True}
        match self.turns:
            case "server_vad":
                # TOM's own turn-taking runs all the same; these are its usual figures.
                own = {"threshold": 0.5, "prefix_padding_ms": 320, "silence_duration_ms": 600}
                return always | own | {"idle_timeout_ms": None}
            case "semantic_vad":
                return always | {"eagerness": "auto"}
        return None


def _format(kind: Format) -> dict[str, Any]:
    return {"type": kind, "rate": 24_000} if kind == "audio/pcm" else {"type": kind}


# --- updates


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Format(_Part):
    type: Format
    rate: Literal[24_000] | None = None


class _Transcription(_Part):
    language: str | None = Field(None, max_length=20)


class _TurnDetection(_Part):
    type: TurnDetection = "server_vad"


class _Input(_Part):
    format: _Format | None = None
    transcription: _Transcription | None = None
    turn_detection: _TurnDetection | None = None


class _Output(_Part):
    format: _Format | None = None


class _Audio(_Part):
    input: _Input = _Input()
    output: _Output = _Output()


class _Update(_Part):
    type: Literal["realtime"] = "realtime"
    output_modalities: list[Modality] | None = Field(None, min_length=1, max_length=1)
    audio: _Audio = _Audio()


def update(session: Session, wanted: Mapping[str, Any], event_id: str | None = None) -> Session:
    """Return the session with what its client may change changed; the rest stays as it is.

    Raises:
        Refused: A value cannot be, or not any more; nothing has changed.
    """

    def refused(message: str, code: str, param: str) -> Refused:
        return Refused(message, code=code, param=param, event_id=event_id)

    for name in _BETA:
        if name in wanted:
            message = "This is a field of the API's beta; the session speaks the GA protocol."
            raise refused(message, "unknown_parameter", f"session.{name}")
    try:
        change = _Update.model_validate(dict(wanted))
    except ValidationError as error:
        raise invalid(error, event_id=event_id, where="session") from None
    audio_in, audio_out = change.audio.input, change.audio.output
    if audio_in.format is not None:
        session = replace(session, input=audio_in.format.type)
    if audio_out.format is not None:
        session = replace(session, output=audio_out.format.type)
    if "turn_detection" in audio_in.model_fields_set:
        detection = audio_in.turn_detection
        session = replace(session, turns=detection.type if detection is not None else None)
    if "transcription" in audio_in.model_fields_set:
        session = replace(session, transcribe=audio_in.transcription is not None)
    if audio_in.transcription is not None and audio_in.transcription.language:
        session = _speak(session, audio_in.transcription.language, refused)
    if change.output_modalities:
        session = _answer_in(session, change.output_modalities[0], refused)
    return session


def read_language(language: str) -> str | None:
    """Return ``de`` or ``en`` for a language tag such as ``en-US``, or None."""
    primary = language.lower().replace("_", "-").partition("-")[0]
    return primary if primary in LANGUAGES else None


def _speak(session: Session, wanted: str, refused: Any) -> Session:
    param = "session.audio.input.transcription.language"
    language = read_language(wanted)
    if language is None:
        raise refused(f"Languages are {', '.join(LANGUAGES)}.", "unsupported_language", param)
    if session.started and language != session.language:
        message = f"The call has begun in {session.language!r} and stays in it."
        raise refused(message, "language_fixed", param)
    return replace(session, language=language)


def _answer_in(session: Session, wanted: Modality, refused: Any) -> Session:
    if not session.started:
        return replace(session, modality=wanted, typed=wanted == "text")
    if session.typed and wanted == "audio":
        message = "The call was begun in text; begin another one to speak."
        raise refused(message, "modality_fixed", "session.output_modalities")
    return replace(session, modality=wanted)
