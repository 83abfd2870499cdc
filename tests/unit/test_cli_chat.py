"""A typed call, as the one who types sees it."""

import io
import json

import pytest
from rich.console import Console
from websockets.asyncio.server import ServerConnection, serve

from apps.cli.chat import Chat
from apps.core.errors import TomError


class TypedCall:
    """A server's side of one typed call: it answers every line and asks for a rating at "bye"."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.listening = False
        self.too_early: list[str] = []

    async def __call__(self, socket: ServerConnection) -> None:
        await self._tell(socket, type="state", state="greeting")
        await self._listen(socket, "listening")
        async for raw in socket:
            message = json.loads(raw)
            if message["type"] == "hangup":
                self.got.append("hangup")
                return
            if message["type"] == "text":
                await self._answer(socket, message["text"])
                if message["text"] == "4":
                    return

    async def _answer(self, socket: ServerConnection, text: str) -> None:
        self.got.append(text)
        if not self.listening:
            self.too_early.append(text)
        self.listening = False
        await self._tell(socket, type="state", state="speaking")
        said = {"role": "assistant", "text": f"You said {text}.", "sources": []}
        await self._tell(socket, type="transcript.final", **said)
        await self._listen(socket, "awaiting_rating" if text == "bye" else "listening")

    async def _listen(self, socket: ServerConnection, state: str) -> None:
        self.listening = True
        await self._tell(socket, type="state", state=state)

    async def _tell(self, socket: ServerConnection, **message: object) -> None:
        await socket.send(json.dumps(message))


async def chat(typed: str) -> tuple[TypedCall, str]:
    call, shown = TypedCall(), io.StringIO()

    async def answer(socket: ServerConnection) -> None:
        await socket.recv()  # start
        await call(socket)

    async with serve(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        console = Console(file=shown, width=200)
        await Chat(f"http://127.0.0.1:{port}", {"language": "en"}, console).run(io.StringIO(typed))
    return call, shown.getvalue()


async def test_lines_that_come_at_once_are_said_a_turn_each():
    call, shown = await chat("what does it cost\nand the plates\nbye\n4\n")
    assert call.got == ["what does it cost", "and the plates", "bye", "4"]
    assert call.too_early == []
    assert "You said and the plates." in shown


async def test_an_empty_line_hangs_up():
    call, _ = await chat("hello\n\nnever said\n")
    assert call.got == ["hello", "hangup"]


async def test_a_server_that_is_not_there_is_told_with_a_hint():
    with pytest.raises(TomError, match="No TOM answers") as told:
        await Chat("ws://127.0.0.1:9", {}, Console(file=io.StringIO())).run(io.StringIO(""))
    assert "tom serve" in told.value.hint
