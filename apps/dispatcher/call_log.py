"""A call's event log: everything that happened, with its time, append-only.

The log alone holds what was said. It goes to the store through a sink that never waits, and is
kept in memory only as long as the call lives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from apps.core.clock import loop_ms
from apps.core.events import LogRecord
from apps.dispatcher.call_state import Event


class LogSink(Protocol):
    """Where records go; False when there was no room."""

    def put(self, call_ref: str, record: LogRecord) -> bool:
        """Take one record without waiting."""
        ...


class CallLog:
    """The log of one call.

    Args:
        call_ref: The call's pseudonym.
        sink: Where its records go.
        on_overflow: Told of every record that the sink had no room for.
        watch: Told of every record.
    """

    def __init__(
        self,
        call_ref: str,
        sink: LogSink,
        on_overflow: Callable[[], None] | None = None,
        watch: Callable[[LogRecord], None] | None = None,
    ) -> None:
        self.call_ref, self._sink, self._on_overflow = call_ref, sink, on_overflow
        self._watch = watch
        self._began_ms = loop_ms()
        self._seq = 0

    def now_ms(self) -> float:
        """Return the milliseconds since the call began."""
        return self.call_ms(loop_ms())

    def call_ms(self, at_ms: float) -> float:
        """Return a moment of the loop's time in milliseconds since the call began."""
        return round(at_ms - self._began_ms, 1)

    def event(self, event: Event) -> None:
        """Log an event of the state machine, so that the call can be replayed."""
        data: dict[str, Any] = {}
        if event.text:
            data["text"] = event.text
        if event.rating is not None:
            data["rating"] = event.rating
        if event.reason:
            data["reason"] = event.reason
        self._put(f"fsm.{event.kind.value}", event.turn_id, data, event.at_ms)

    def note(self, kind: str, turn_id: int | None = None, **data: Any) -> None:
        """Log anything else that somebody will want to know (docs/events.md)."""
        self._put(kind, turn_id, data, self.now_ms())

    def _put(self, kind: str, turn_id: int | None, data: dict[str, Any], at_ms: float) -> None:
        record = LogRecord(self._seq, at_ms, kind, turn_id, data)
        self._seq += 1
        if self._watch is not None:
            self._watch(record)
        if not self._sink.put(self.call_ref, record) and self._on_overflow is not None:
            self._on_overflow()
