"""A Realtime conversation as its client sees it: items, the open response, the caller's turns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from apps.voice.doors.realtime.session import Modality, Session

MAX_ITEMS = 500
"""Older ones are forgotten."""

Event = dict[str, Any]
Status = Literal["in_progress", "completed", "incomplete"]


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the conversation.

    Attributes:
        id: Its id.
        kind: ``message``, ``function_call`` or ``function_call_output``.
        role: Whose message it is.
        status: Whether it is complete.
        content: What its one part is: ``input_audio``, ``input_text``, ``output_audio`` or
            ``output_text``.
        text: The part's text or transcript, or the function's arguments or output.
        name: The function's.
        call_id: The function call's.
        audio_ms: How much audio of it was sent.
    """

    id: str
    kind: Literal["message", "function_call", "function_call_output"] = "message"
    role: Literal["user", "assistant"] = "user"
    status: Status = "completed"
    content: str = "input_text"
    text: str | None = ""
    name: str = ""
    call_id: str = ""
    audio_ms: float = 0.0

    def as_dict(self) -> Event:
        """Return the item as it goes over the wire."""
        about = {"id": self.id, "object": "realtime.item", "type": self.kind, "status": self.status}
        match self.kind:
            case "function_call":
                return {
                    **about,
                    "call_id": self.call_id,
                    "name": self.name,
                    "arguments": self.text,
                }
            case "function_call_output":
                return {**about, "call_id": self.call_id, "output": self.text}
        words = "transcript" if self.content.endswith("_audio") else "text"
        parts = [{"type": self.content, words: self.text}]
        empty = self.role == "assistant" and self.status == "in_progress"
        return {**about, "role": self.role, "content": [] if empty else parts}


@dataclass(frozen=True, slots=True)
class Response:
    """The response that is being given: one turn of the assistant.

    Attributes:
        id: Its id.
        turn_id: TOM's id of the turn.
        item_id: The message that it is.
        modality: Whether it is given aloud or in text.
        text: What was said so far.
        audio_ms: How much audio of it was sent.
        metadata: What the client attached to it.
    """

    id: str
    turn_id: int
    item_id: str
    modality: Modality
    text: str = ""
    audio_ms: float = 0.0
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class CallerTurn:
    """One user message that is being said, or whose words are awaited.

    Attributes:
        item_id: Its item.
        waiting: TOM's utterances in it whose final words have not come.
        said: The words of the others.
        latest: What the present utterance seemed to say when last heard of.
        told: The words that were told as deltas.
        committed: Whether the caller has finished.
        began_ms: Where it begins in the caller's audio.
        ended_ms: Where it ends.
    """

    item_id: str
    waiting: tuple[int, ...] = ()
    said: tuple[str, ...] = ()
    latest: str = ""
    told: str = ""
    committed: bool = False
    began_ms: float = 0.0
    ended_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Conversation:
    """All that the door remembers of a session.

    Attributes:
        session: What is in force.
        token: Makes ids unique among sessions.
        minted: Ids given so far.
        items: By their ids, oldest first.
        response: The open response.
        latest: The turn and the item of the newest response.
        cancelled: The turn whose rest the client does not want.
        turns: The caller's turns that are not settled, oldest first.
        typed: Items with typed text that is to be answered when the client asks.
        awaited: Whether an answer is on its way.
        state: Where TOM's call stands.
        heard_ms: How much audio has come from the caller.
        settled_ms: How much of it was committed or cleared.
        metadata: What the client attached to the response that it asked for.
    """

    session: Session
    token: str
    minted: int = 0
    items: Mapping[str, Item] = field(default_factory=dict)
    response: Response | None = None
    latest: tuple[int, str] = (0, "")
    cancelled: int | None = None
    turns: tuple[CallerTurn, ...] = ()
    typed: tuple[str, ...] = ()
    awaited: bool = True
    state: str = ""
    heard_ms: float = 0.0
    settled_ms: float = 0.0
    metadata: Mapping[str, str] | None = None

    @property
    def newest(self) -> str | None:
        """The id of the newest item."""
        return next(reversed(list(self.items)), None)

    @property
    def open_turn(self) -> CallerTurn | None:
        """The turn that the caller has not finished."""
        newest = self.turns[-1] if self.turns else None
        return newest if newest is not None and not newest.committed else None


class Script:
    """What one step sends and how it changes the conversation; it lives for that step alone."""

    def __init__(self, conversation: Conversation) -> None:
        self.now = conversation
        self.events: list[Event] = []

    def mint(self, kind: str) -> str:
        """Return a new id."""
        self.change(minted=self.now.minted + 1)
        return f"{kind}_{self.now.token}{self.now.minted:x}"

    def change(self, **changes: Any) -> None:
        """Change the conversation."""
        self.now = replace(self.now, **changes)

    def send(self, kind: str, **fields: Any) -> None:
        """Send an event."""
        self.events.append({"type": kind, "event_id": self.mint("event"), **fields})

    def add(self, item: Item) -> None:
        """Put an item at the end and tell of it."""
        previous = self.now.newest
        items = {**self.now.items, item.id: item}
        while len(items) > MAX_ITEMS:
            del items[next(iter(items))]
        self.change(items=items)
        self.send("conversation.item.added", previous_item_id=previous, item=item.as_dict())

    def finish(self, item_id: str) -> None:
        """Tell that an item is complete, unless it was deleted or forgotten meanwhile."""
        if (item := self.now.items.get(item_id)) is not None:
            before = self.before(item_id)
            self.send("conversation.item.done", previous_item_id=before, item=item.as_dict())

    def before(self, item_id: str) -> str | None:
        """Return the id of the item before another."""
        ids = list(self.now.items)
        index = ids.index(item_id) if item_id in self.now.items else 0
        return ids[index - 1] if index else None

    def edit(self, item_id: str, **changes: Any) -> None:
        """Change an item, unless it was deleted or forgotten meanwhile."""
        if (item := self.now.items.get(item_id)) is not None:
            self.change(items={**self.now.items, item_id: replace(item, **changes)})

    def turn(self, turn: CallerTurn) -> None:
        """Put a caller's turn in place of its earlier self, or at the end."""
        others = [t for t in self.now.turns if t.item_id != turn.item_id]
        at = next((i for i, t in enumerate(self.now.turns) if t.item_id == turn.item_id), None)
        others.insert(len(others) if at is None else at, turn)
        self.change(turns=tuple(others))

    def drop_turn(self, item_id: str) -> None:
        """Forget a caller's turn."""
        self.change(turns=tuple(t for t in self.now.turns if t.item_id != item_id))
