"""What a server is made to do until it is killed, and what of that it has acknowledged."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
from sqlalchemy import Connection
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from apps.cli.kb_folder import Opened
from apps.core.errors import TomError
from apps.rl.adapters.record import AdapterState
from apps.rl.adapters.rollout.machine import Happening, Rollout, What, can
from apps.store.shadow import ShadowRow, append_shadow
from benchmarks.ingestion import material
from benchmarks.kills.home import QUESTIONS, SECTIONS, SPACE, Home, add_adapter
from benchmarks.kills.server import Server

_CALLERS = 3
_MOST_ADAPTERS = 6
_SHADOW_RESULTS = 60
_GREY = "Can somebody tell me when the office is open?"
_BROKEN = (OSError, WebSocketException, httpx.HTTPError, TimeoutError)
"""What a client sees of a server that is killed."""


@dataclass(slots=True)
class Acknowledged:
    """What servers have acknowledged over all their lives.

    Attributes:
        started: The variant of each call that was told that it began, by its id.
        settled: The stars and the reward of each that was told its reward.
        ended: Each that was told its end.
        tokens: By which a call that was not rated still may be, by its id.
        late: The stars that were taken by such a token.
        routes: The domain of each routing decision, by its id.
        rewards: The reward of each that was rewarded.
        acts: Operators' acts upon adapters: the adapter, by the reason, which is the act's own.
        passes: How often documents were followed to the end.
    """

    started: dict[str, str] = field(default_factory=dict)
    settled: dict[str, tuple[int | None, float | None]] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    tokens: dict[str, str] = field(default_factory=dict)
    late: dict[str, int] = field(default_factory=dict)
    routes: dict[str, str] = field(default_factory=dict)
    rewards: dict[str, float] = field(default_factory=dict)
    acts: dict[str, str] = field(default_factory=dict)
    passes: int = 0

    def counts(self) -> dict[str, int]:
        """Return how many there are of each kind."""
        return {
            "calls begun": len(self.started),
            "calls settled": len(self.settled),
            "late ratings": len(self.late),
            "routing decisions": len(self.routes),
            "their rewards": len(self.rewards),
            "acts upon adapters": len(self.acts),
            "passes over documents": self.passes,
        }


class Traffic:
    """Drives a server from all sides at once.

    Args:
        home: The installation.
        opened: What `tom kb` works with.
        seed: Of what is said and done.
    """

    def __init__(self, home: Home, opened: Opened, seed: int) -> None:
        self.told = Acknowledged()
        self._home, self._opened = home, opened
        # Not the documents' own seed: the same text again would rightly be indexed but once.
        self._dice = random.Random(f"traffic {seed}")
        self._said = material.sentences()["en"]
        self._count = 0
        self._again: list[Callable[[httpx.AsyncClient, Server], Coroutine[Any, Any, None]]] = []

    async def drive(self, server: Server) -> None:
        """Call, rate, route, promote and roll back until cancelled, or until the server is gone."""
        auth = {"Authorization": f"Bearer {server.token}"}
        async with httpx.AsyncClient(headers=auth, timeout=20) as client, asyncio.TaskGroup() as on:
            for work in (*[self._calls] * _CALLERS, self._late, self._routes, self._acts):
                on.create_task(self._until_gone(work, client, server))

    async def _until_gone(
        self,
        work: Callable[[httpx.AsyncClient, Server], Coroutine[Any, Any, None]],
        client: httpx.AsyncClient,
        server: Server,
    ) -> None:
        with suppress(*_BROKEN):
            while True:
                await work(client, server)
                await asyncio.sleep(self._dice.uniform(0.0, 0.05))

    def _next(self) -> int:
        self._count += 1
        return self._count

    # --- calls

    async def _calls(self, _: httpx.AsyncClient, server: Server) -> None:
        """Make one typed call; some are rated at once, some hang up."""
        stars = self._dice.choice((None, 1, 4, 5, 5))
        words = iter([self._dice.choice(QUESTIONS), "goodbye"])
        call_id, rated = "", None
        where = server.url.replace("http", "ws", 1) + "/v1/call"
        async with connect(where, compression=None) as socket:
            start = {"type": "start", "mode": "text", "language": "en", "observe": True}
            await socket.send(json.dumps({**start, "caller": f"caller {self._next()}"}))
            async for raw in socket:
                message = json.loads(raw)
                kind = message["type"]
                if kind == "call.started":
                    call_id = message["call_id"]
                    self.told.started[call_id] = message["policy_variant"]
                elif kind == "state" and message["state"] == "listening":
                    said = {"type": "text", "text": next(words, "goodbye")}
                    await socket.send(json.dumps(said))
                elif kind == "state" and message["state"] == "awaiting_rating":
                    rates = {"type": "rating", "stars": stars}
                    await socket.send(json.dumps(rates if stars else {"type": "hangup"}))
                elif kind == "rating":
                    rated = message["stars"]
                elif kind == "reward":
                    self.told.settled[call_id] = (rated, message["value"])
                elif kind == "call.ended":
                    self.told.ended.add(call_id)
                    if "rating_token" in message:
                        self.told.tokens[call_id] = message["rating_token"]

    async def _late(self, client: httpx.AsyncClient, server: Server) -> None:
        """Rate a call after its end; now and then one that was rated so before, which is one."""
        open_ones = [c for c in self.told.tokens if c not in self.told.late]
        if self.told.late and self._dice.random() < 0.2:
            call_id = self._dice.choice(list(self.told.late))
        elif open_ones:
            call_id = self._dice.choice(open_ones)
        else:
            return
        stars = 1 + sum(call_id.encode()) % 5  # the same when it is sent again
        body = {"token": self.told.tokens[call_id], "rating": stars}
        answer = await client.post(f"{server.url}/v1/calls/rating", json=body)
        if answer.is_success:
            self.told.late[call_id] = stars

    # --- routing

    async def _routes(self, client: httpx.AsyncClient, server: Server) -> None:
        """Route a prompt, and reward the decision, or once more one that was rewarded."""
        prompt = self._dice.choice([_GREY, *QUESTIONS])
        answer = await client.post(f"{server.admin}/route", json={"prompt": prompt})
        if not answer.is_success:
            return
        decision = answer.json()["decision_id"]
        self.told.routes[decision] = answer.json()["domain"]
        if self.told.rewards and self._dice.random() < 0.2:
            decision = self._dice.choice(list(self.told.rewards))
        reward = self.told.rewards.get(decision, round(self._dice.uniform(-1.0, 1.0), 3))
        said = {"decision_id": decision, "reward": reward}
        answer = await client.post(f"{server.admin}/update_feedback", json=said)
        if answer.is_success:
            self.told.rewards[decision] = reward

    # --- adapters

    async def _acts(self, client: httpx.AsyncClient, server: Server) -> None:
        """Do what an operator does: by the listener, or beside the server as `tom adapters`."""
        known = await asyncio.to_thread(self._home.registry.known)
        named = [n for n in known.records if "lora" in n]
        if len(named) < _MOST_ADAPTERS:
            await asyncio.to_thread(add_adapter, self._home, self._next())
            return
        name = self._dice.choice(named if self._dice.random() < 0.7 else list(known.records))
        if known.records[name].state is AdapterState.SHADOW and self._dice.random() < 0.5:
            await self._home.db.run(_passes_in_the_shadow, known.records[name].served)
            return
        what = self._act_upon(known.rollouts[name])
        why = f"act {self._next()}"
        if what is None:
            await asyncio.sleep(0.1)
        elif what is What.PASSED or self._dice.random() < 0.3:
            with suppress(TomError):  # the driver may have come before
                happening = Happening(what, why, "operator")
                if await asyncio.to_thread(self._home.registry.happened, name, happening):
                    self.told.acts[why] = name
        else:
            path = "activate_adapter" if what is What.PROMOTED else "deactivate_adapter"
            said = {"adapter": name, "why": why}
            if (await client.post(f"{server.admin}/{path}", json=said)).is_success:
                self.told.acts[why] = name

    def _act_upon(self, rollout: Rollout) -> What | None:
        """Return what an operator would do next, if anything; roll-outs are mostly left alone."""
        for what in (What.PASSED, What.PROMOTED):
            if can(rollout, what) and not (what is What.PASSED and can(rollout, What.PROMOTED)):
                return what
        if can(rollout, What.ROLLED_BACK) and self._dice.random() < 0.1:
            return What.ROLLED_BACK
        return None

    # --- documents

    async def write_documents(self) -> None:
        """Change a document, add one, remove one, and bring the index to that, as `tom kb` does."""
        root = self._opened.root
        paths = sorted(root.rglob("*.md"))
        for path in self._dice.sample(paths, 2):
            path.write_text(self._document(), encoding="utf-8")
        paths[self._dice.randrange(len(paths))].unlink()
        (root / SPACE / "en" / f"new-{self._next()}.md").write_text(self._document(), "utf-8")
        work = await self._opened.ingester.look()
        refused = [o async for o in self._opened.ingester.run(work) if o.error is not None]
        if refused:
            raise RuntimeError(f"{refused[0].id} was not indexed: {refused[0].error}")
        self.told.passes += 1

    def _document(self) -> str:
        return material.document(self._said, self._dice, SECTIONS)


def _passes_in_the_shadow(conn: Connection, served: str) -> None:
    """Let an adapter have as many sound answers as the guard's gate wants, for a life is short."""
    for turn in range(_SHADOW_RESULTS):
        append_shadow(conn, ShadowRow(served, "shadow", turn, 0.9, True))
