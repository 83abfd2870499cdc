"""What an RTVI client sends over the data channel, read into plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from apps.core.errors import ProtocolError
from apps.core.json_text import read_json
from apps.voice.doors.messages import MAX_TEXT_CHARS

LABEL = "rtvi-ai"
VERSION = "2.1.0"
"""Of the protocol, as its JavaScript client 1.13 speaks it."""
MAX_ID_CHARS = 100
_KEYS = frozenset("0123456789*#")
_UI = ("ui-event", "ui-snapshot", "ui-cancel-job-group")


class Refused(ProtocolError):
    """A message that is not carried out; `id` is the client's id of it, where it has one."""

    def __init__(self, message: str, *, code: str, id: str | None = None) -> None:
        super().__init__(message, code=code)
        self.id = id


@dataclass(frozen=True, slots=True)
class Ready:
    """The client is ready, and waits to be told that the bot is."""

    id: str


@dataclass(frozen=True, slots=True)
class Typed:
    """Words that the caller typed."""

    text: str


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys that the caller pressed."""

    digits: str


@dataclass(frozen=True, slots=True)
class Request:
    """A message of the client's own application, which awaits a response."""

    id: str
    name: str
    data: Any


@dataclass(frozen=True, slots=True)
class CallResult:
    """What came of a function call."""

    call_id: str
    result: Any

    @property
    def failed(self) -> bool:
        """Whether it says that the function failed: an object with an ``error``."""
        result = self.result
        return isinstance(result, dict) and (bool(result.get("error")) or not result.get("ok", 1))


@dataclass(frozen=True, slots=True)
class HangUp:
    """The client wants the bot to go."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """A sign of life, or what TOM has no use for."""


ClientMessage = Ready | Typed | Keys | Request | CallResult | HangUp | Nothing


def read_message(raw: str) -> ClientMessage:
    """Read one text of the data channel.

    Raises:
        Refused: With code ``bad_json``, ``bad_message``, ``unsupported`` or ``unknown_message``.
    """
    if raw.startswith("ping"):
        return Nothing()
    try:
        message = read_json(raw)
    except ValueError:
        raise Refused("A message is not JSON.", code="bad_json") from None
    match message:
        case {"type": "signalling"}:
            return Nothing()
        case {"label": "rtvi-ai", "type": str(kind), **rest}:
            given = rest.get("id")
            id = given if isinstance(given, str) and 0 < len(given) <= MAX_ID_CHARS else None
            if id is None:
                raise Refused(f"A {kind[:40]} message needs an id.", code="bad_message")
            return _read(kind, id, rest.get("data"))
    raise Refused("A message has no label and type of RTVI's.", code="unknown_message")


def _read(kind: str, id: str, data: Any) -> ClientMessage:
    match kind, data:
        case "client-ready", _:
            return Ready(id)
        case "disconnect-bot", _:
            return HangUp()
        case "send-text", {"content": str(text), **rest}:
            options = rest.get("options")
            options = options if isinstance(options, dict) else {}
            if options.get("run_immediately") is False or options.get("audio_response") is False:
                raise Refused("Typed words are answered, aloud.", code="unsupported", id=id)
            return Typed(_words(text, id))
        case "append-to-context", {"role": "user", "content": str(text), "run_immediately": True}:
            return Typed(_words(text, id))
        case "append-to-context", _:
            message = "A caller's side gives the assistant no instructions: its operator does."
            raise Refused(message, code="unsupported", id=id)
        case "dtmf", {"buttons": [_, *_] as buttons} if all(map(_is_key, buttons)):
            return Keys("".join(buttons))
        case "dtmf", {"button": button} if _is_key(button):
            return Keys(button)
        case "client-message", {"t": str(name), **rest}:
            return Request(id, name, rest.get("d"))
        case "llm-function-call-result", {"tool_call_id": str(call_id), "result": result}:
            return CallResult(call_id, result)
    if kind in _UI:
        return Nothing()
    known = ("send-text", "dtmf", "client-message", "llm-function-call-result")
    if kind in known:
        raise Refused(f"A {kind} message is not right.", code="bad_message", id=id)
    raise Refused(f"{kind[:40]} is not supported.", code="unknown_message", id=id)


def _words(text: str, id: str) -> str:
    text = text.strip()
    if not 0 < len(text) <= MAX_TEXT_CHARS:
        raise Refused(f"A text has 1 to {MAX_TEXT_CHARS} characters.", code="bad_message", id=id)
    return text


def _is_key(key: object) -> bool:
    return isinstance(key, str) and key in _KEYS
