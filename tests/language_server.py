"""A language server on loopback that does what a test tells it to, byte by byte."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field

from apps.core.passages import Passage
from apps.core.policy import PolicySlots
from apps.llm.base import Generator
from apps.llm.prompt import Prompt, assemble

PASSAGE = Passage("reg-new", "What do I need?", "Bring your identity card.", 0.9, "en", "s")
EMBEDDED_ANSWER = "Bring your identity card."


def a_prompt(**changes: object) -> Prompt:
    prompt = assemble(PolicySlots(), [PASSAGE], (), "what do i need", language="en", office="x")
    for name, value in changes.items():
        object.__setattr__(prompt, name, value)
    return prompt


async def text_of(generator: Generator, prompt: Prompt | None = None) -> str:
    """Return a whole answer."""
    async with aclosing(generator.stream(prompt or a_prompt())) as pieces:
        return "".join([piece async for piece in pieces])


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: dict

    @property
    def is_chat(self) -> bool:
        return self.path.endswith("/chat/completions")


Answer = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


def event(text: str, **more: object) -> bytes:
    return f"data: {json.dumps({'choices': [{'delta': {'content': text}}], **more})}\n\n".encode()


def head(status: int = 200, kind: str = "text/event-stream", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


DONE = b"data: [DONE]\n\n"


def says(*pieces: str, usage: dict | None = None, every_s: float = 0.0) -> Answer:
    """Stream some text as a sound server does."""

    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(head())
        for piece in pieces:
            out.write(event(piece))
            await out.drain()
            await asyncio.sleep(every_s)
        if usage is not None and "stream_options" in request.body:
            out.write(f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n".encode())
        out.write(DONE)

    return answer


def sends(raw: bytes, *, hangs: bool = False) -> Answer:
    """Send bytes as they are; close the connection then, or leave it open."""

    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(raw)
        await out.drain()
        if hangs:
            await asyncio.sleep(60)

    return answer


def status(code: int, **headers: str) -> Answer:
    return sends(head(code, "application/json", **headers) + b"{}")


def forever(piece: Callable[[], bytes], *, every_s: float = 0.0, start: bytes = b"") -> Answer:
    """Send something again and again, until the client hangs up."""

    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(start or head())
        while True:
            out.write(piece())
            await out.drain()
            await asyncio.sleep(every_s)

    return answer


@dataclass
class Server:
    """Answers each request by the next of its answers; the last one stays."""

    answers: list[Answer]
    lists: Answer = field(
        default_factory=lambda: sends(
            head(200, "application/json") + b'{"data": [{"id": "base"}, {"id": "adapter"}]}'
        )
    )
    requests: list[Request] = field(default_factory=list)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    sent: int = 0
    url: str = ""

    @property
    def chats(self) -> list[Request]:
        return [request for request in self.requests if request.is_chat]

    async def serve(self, reader: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            request = await _read(reader)
            self.requests.append(request)
            answer = self.lists
            if request.is_chat:
                answer = self.answers[min(len(self.chats), len(self.answers)) - 1]
                self.arrived.set()
            work = asyncio.ensure_future(answer(request, out))
            gone = asyncio.ensure_future(reader.read())  # ends when the client hangs up
            try:
                await asyncio.wait([work, gone], return_when=asyncio.FIRST_COMPLETED)
                if not work.done() or isinstance(work.exception(), ConnectionError):
                    self.hung_up.set()
                else:
                    await out.drain()
            finally:
                work.cancel()
                gone.cancel()
                await asyncio.gather(work, gone, return_exceptions=True)
        out.close()


async def _read(reader: asyncio.StreamReader) -> Request:
    top = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = top.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    size = int(headers.get("content-length", "0"))
    body = json.loads(await reader.readexactly(size)) if size else {}
    method, path, _ = first.split(" ")
    return Request(method, path, headers, body)


@asynccontextmanager
async def serving(*servers: Server) -> AsyncGenerator[None, None]:
    running = []
    try:
        for server in servers:
            listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
            running.append(listener)
            server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        yield
    finally:
        for listener in running:
            listener.close()
