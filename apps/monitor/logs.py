"""Structured logs in which nobody's words, numbers or call ids appear above ``debug``."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, Literal, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]

HIDDEN = "[hidden]"

PERSONAL_KEYS = frozenset(
    {
        *("address", "answer", "call", "call_id", "caller", "caller_id", "client", "email"),
        *("from_number", "heard", "history", "ip", "number", "peer", "phone", "prompt"),
        *("question", "remote", "said", "sentence", "session", "session_id", "subject"),
        *("summary", "text", "to_number", "transcript", "user", "utterance", "words"),
    }
)
"""Names of log fields that may say who called or what was said."""

# Pydantic's errors quote what they were given, which may be what a caller sent.
_QUOTED_INPUT = re.compile(r"input_value=.*?, input_type=", re.DOTALL)


def hide_personal(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask fields that may be personal, unless the line itself is a ``debug`` line."""
    if event.get("level") == "debug":
        return event
    return cast(EventDict, _masked(event))


def _masked(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: HIDDEN if str(key).lower() in PERSONAL_KEYS else _masked(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_masked(item) for item in value]
    return value


def hide_quoted_input(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask the input that a validation error quotes inside a traceback."""
    trace = event.get("exception")
    if isinstance(trace, str) and event.get("level") != "debug":
        event["exception"] = _QUOTED_INPUT.sub(f"input_value={HIDDEN}, input_type=", trace)
    return event


def configure_logging(
    level: LogLevel = "info", log_format: LogFormat = "text", stream: TextIO | None = None
) -> None:
    """Send TOM's own and all libraries' log lines, masked, to one stream.

    Libraries speak from ``warning`` on: their everyday lines, such as an access log, name
    addresses and ids. A server such as uvicorn must be started without a log configuration of its
    own (``log_config=None``).

    Args:
        level: The least severe lines of TOM's own that are written.
        log_format: ``text`` for people, ``json`` for log collectors: one object per line.
        stream: Where they go; standard error when None.
    """
    target = stream if stream is not None else sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ExtraAdder(),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        hide_quoted_input,
        hide_personal,
    ]
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _renderer(log_format, target),
            ],
        )
    )
    _take_over_stdlib(handler, getattr(logging, level.upper()))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _renderer(log_format: LogFormat, target: TextIO) -> Processor:
    if log_format == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
    return structlog.dev.ConsoleRenderer(colors=target.isatty(), pad_event_to=0)


def _take_over_stdlib(handler: logging.Handler, level: int) -> None:
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(level, logging.WARNING))
    logging.getLogger("apps").setLevel(level)
    for name in list(logging.Logger.manager.loggerDict):
        # Libraries that brought a handler of their own would write around the masks.
        if not name.startswith(("apps", "_pytest")):
            library = logging.getLogger(name)
            library.handlers = []
            library.propagate = True
    logging.captureWarnings(True)
