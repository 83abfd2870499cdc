"""The adapters' own listener: all behind the token, and every act by way of the roll-out."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncGenerator
from dataclasses import replace

import httpx
import numpy as np
import pytest
from adapter_files import add, registry

from apps.core.errors import ConfigError, EngineError
from apps.core.passages import Passage
from apps.core.policy import PolicySlots
from apps.core.resources import resource
from apps.dispatcher.adapter_admin.answering import CallFreeAnswers
from apps.dispatcher.adapter_admin.app import MOST_ANSWERS, create_adapter_app
from apps.dispatcher.adapter_admin.desk import AdminDesk
from apps.dispatcher.profile import load_profiles
from apps.llm.usage import Outcome, Usage
from apps.rl.adapters.rollout.machine import Happening, What
from apps.rl.adapters.rollout.server import FakeLoraServer
from apps.rl.adapters.routing.audit import AuditLog, AuditRules
from apps.rl.adapters.routing.domains import Domain, Routes
from apps.rl.adapters.routing.router import AdapterRouter
from apps.running_admin import _serving
from apps.store.database import open_database
from apps.store.llm_usage import UsageRow

TOKEN = "the operator's token"
ROUTES = Routes(domains={"residents": Domain(keywords={"passport*": 0.9, "home": 0.5})})


class Answers:
    """Answers in two sentences, and remembers by which adapter; may break off."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self.closed = 0
        self.breaks = False
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.all_begun = asyncio.Event()

    async def __call__(
        self, prompt: str, *, profile: str, language: str, adapter: str
    ) -> AsyncGenerator[str, None]:
        if profile == "nobody":
            raise ConfigError("There is no profile 'nobody'.")
        self.asked.append((prompt, language, adapter))
        if len(self.asked) == MOST_ANSWERS:
            self.all_begun.set()
        try:
            yield "A passport costs 37 euros."
            await self.may_end.wait()
            if self.breaks:
                raise EngineError("The answer broke off.")
            yield "It takes two weeks."
        finally:
            self.closed += 1


class Covered:
    """Knows one passage, which covers everything."""

    async def search(self, query, **asked):
        return (Passage("hours", "When?", "We open at 8.", 1.0, "en", "kfz/hours.md#hours"),)


class Billed:
    """Answers from the passage, and books a request."""

    async def stream(self, prompt):
        prompt.account.book(Usage("gpu", "base", Outcome.ANSWERED))
        yield prompt.passages[0].text


async def no_likeness(texts):
    return np.zeros((len(texts), 4), np.float32)


@pytest.fixture
def parts(tmp_path):
    db = open_database(tmp_path / "tom.db")
    known, server, answers = registry(db, tmp_path), FakeLoraServer(), Answers()
    audit = AuditLog(tmp_path / "audit.jsonl", AuditRules(), hash_key=b"k", redact=str)
    router = AdapterRouter(
        ROUTES, db, embed=no_likeness, active=lambda _: "", audit=audit, clock=lambda: 0.0
    )
    desk = AdminDesk(known, server, router, answers, audit, "tiny-base")
    yield desk, server, answers
    db.close()


@pytest.fixture
async def client(parts):
    desk, *_ = parts
    transport = httpx.ASGITransport(app=create_adapter_app(desk, TOKEN))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://adapters", headers=headers
    ) as client:
        yield client


def events(text: str) -> list[tuple[str, dict]]:
    found = []
    for block in filter(None, text.split("\n\n")):
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/health"),
        ("GET", "/status"),
        ("POST", "/load_adapter"),
        ("POST", "/activate_adapter"),
        ("POST", "/deactivate_adapter"),
        ("POST", "/generate"),
        ("POST", "/route"),
        ("POST", "/update_feedback"),
    ],
)
async def test_nothing_is_told_and_nothing_done_without_the_token(client, method, path):
    for header in ("", "Bearer wrong", f"Basic {TOKEN}"):
        answer = await client.request(method, path, headers={"Authorization": header})
        assert answer.status_code == 401
        assert answer.json()["code"] == "forbidden"


async def test_status_shows_every_adapter_and_whether_the_server_has_it(client, parts):
    desk, server, _ = parts
    record = add(desk.registry)
    await client.post("/load_adapter", json={"adapter": record.id})
    told = (await client.get("/status")).json()
    assert told["base_model"] == "tiny-base"
    assert [(a["id"], a["state"], a["loaded"]) for a in told["adapters"]] == [
        (record.id, "trained", True)
    ]
    server.down = True
    assert (await client.get("/status")).json()["server"] == "away"


async def test_the_hash_gate_stands_before_loading(client, parts):
    desk, server, _ = parts
    record = add(desk.registry)
    (desk.registry.root / record.id / "adapter_model.safetensors").write_bytes(b"changed")
    answer = await client.post("/load_adapter", json={"adapter": record.id})
    assert answer.status_code == 409
    assert not server.loaded


async def test_an_adapter_is_activated_only_by_way_of_its_roll_out(client, parts):
    desk, _server, _ = parts
    record = add(desk.registry)
    early = await client.post("/activate_adapter", json={"adapter": record.id})
    assert early.status_code == 409
    assert early.json()["code"] == "illegal_event"
    desk.registry.happened(record.id, Happening(What.PASSED, "Its evaluation was good."))
    answer = await client.post("/activate_adapter", json={"adapter": record.id, "why": "Try it."})
    assert answer.json()["state"] == "loading"  # smoke test, shadow and canary come first
    back = await client.post("/deactivate_adapter", json={"adapter": record.id})
    assert back.json()["state"] == "draining"


async def test_an_adapter_that_nobody_knows_is_an_error_of_its_own(client):
    answer = await client.post("/load_adapter", json={"adapter": "residents/lora-r8-v9"})
    assert (answer.status_code, answer.json()["code"]) == (404, "adapter_unknown")


async def test_an_answer_streams_with_its_decision_first_and_feedback_counts_once(client, parts):
    *_, answers = parts
    asked = {"prompt": "What does a passport cost?"}
    answer = await client.post("/generate", json=asked)
    assert answer.headers["content-type"].startswith("text/event-stream")
    (name, route), *rest = events(answer.text)
    assert (name, route["phase"], route["domain"]) == ("route", "heuristic", "residents")
    assert rest == [
        ("sentence", {"text": "A passport costs 37 euros."}),
        ("sentence", {"text": "It takes two weeks."}),
        ("done", {}),
    ]
    assert answers.closed == 1
    feedback = {"decision_id": route["decision_id"], "rating": 5}
    first = await client.post("/update_feedback", json=feedback)
    again = await client.post("/update_feedback", json=feedback)
    assert (first.json(), again.json()["stored"]) == ({"stored": True, "reward": 1.0}, False)


async def test_an_answer_that_breaks_off_ends_the_stream_with_its_error(client, parts):
    parts[2].breaks = True
    answer = await client.post("/generate", json={"prompt": "home", "adapter": "base"})
    names = [name for name, _ in events(answer.text)]
    assert names == ["route", "sentence", "error"]


async def test_a_whole_answer_is_one_json_where_no_stream_is_wanted(client):
    asked = {"prompt": "home", "adapter": "base", "stream": False}
    told = (await client.post("/generate", json=asked)).json()
    assert told == {"adapter": "base", "text": "A passport costs 37 euros. It takes two weeks."}


async def test_only_an_adapter_that_is_loaded_answers_by_name(client, parts):
    desk, _server, answers = parts
    record = add(desk.registry)
    asked = {"prompt": "home", "adapter": record.id, "stream": False}
    refused = await client.post("/generate", json=asked)
    assert (refused.status_code, refused.json()["code"]) == (409, "not_loaded")
    await client.post("/load_adapter", json={"adapter": record.id})
    assert (await client.post("/generate", json=asked)).status_code == 200
    assert answers.asked[-1][2] == record.served


async def test_a_route_alone_answers_nothing(client, parts):
    told = (await client.post("/route", json={"prompt": "a passport"})).json()
    assert told["domain"] == "residents"
    assert not parts[2].asked


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/generate", b"{"),
        ("/generate", b'{"prompt": ""}'),
        ("/generate", b'{"prompt": "x", "system": "obey"}'),
        ("/route", json.dumps({"prompt": "x" * 4001}).encode()),
        ("/update_feedback", b'{"decision_id": "1", "rating": 3}'),
        ("/update_feedback", json.dumps({"decision_id": "0" * 32}).encode()),
        ("/update_feedback", json.dumps({"decision_id": "0" * 32, "rating": 9}).encode()),
        ("/load_adapter", b"[]"),
    ],
)
async def test_what_is_not_right_is_refused_with_what_is_wrong(client, path, body):
    answer = await client.post(path, content=body)
    assert answer.status_code == 400
    assert answer.json()["code"] == "bad_message"


async def test_feedback_for_no_decision_is_refused(client):
    body = {"decision_id": "0" * 32, "rating": 3}
    answer = await client.post("/update_feedback", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "feedback")


async def test_only_so_many_answers_are_made_at_once_and_the_next_one_is_told(client, parts):
    *_, answers = parts
    answers.may_end.clear()
    asked = {"prompt": "home", "adapter": "base"}
    begun = [asyncio.create_task(client.post("/generate", json=asked)) for _ in range(MOST_ANSWERS)]
    await asyncio.wait_for(answers.all_begun.wait(), timeout=5)
    refused = await client.post("/generate", json=asked)
    assert (refused.status_code, refused.json()["code"]) == (503, "busy")
    answers.may_end.set()
    assert {answer.status_code for answer in await asyncio.gather(*begun)} == {200}
    assert (await client.post("/generate", json=asked)).status_code == 200


async def test_an_adapter_is_loaded_from_where_the_server_sees_it(parts, tmp_path):
    desk, server, _ = parts
    record = add(desk.registry)
    elsewhere = replace(desk, served_root=tmp_path / "mounted")
    await elsewhere.load(record.id)
    assert server.loaded[record.served] == tmp_path / "mounted" / record.id


async def test_the_listener_leaves_signals_to_the_calls_server(parts):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    async with _serving(create_adapter_app(parts[0], TOKEN), "127.0.0.1", 0) as port:
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}) as client:
            told = await client.get(f"http://127.0.0.1:{port}/health")
        assert told.json() == {"status": "alive"}
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


async def test_what_an_answer_without_a_call_costs_is_kept():
    profile = load_profiles(resource("profiles"))["kfz"]
    rows: list[UsageRow] = []
    answers = CallFreeAnswers(
        {"kfz": profile}, "kfz", Covered(), Billed(), PolicySlots(), rows.append
    )
    said = [text async for text in answers("when?", profile="", language="en", adapter="a1")]
    assert said == ["We open at 8."]
    assert [(r.call_ref, r.purpose, r.provider) for r in rows] == [(None, "generate", "gpu")]
