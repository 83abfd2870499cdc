"""Adapters are loaded, unloaded and watched on a vLLM server: one that answers as it does."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.errors import EngineError, EngineUnavailable
from apps.llm.lora import LoraClient, ServedAdapter, ServerLoad, read_load

NAME = "kfz-lora-r8-v1-0a1b2c3d4e5f"
OTHER = "kfz-lora-r8-v2-5f4e3d2c1b0a"
FOLDER = Path("/adapters/kfz/lora-r8-v1")


@dataclass
class FakeVllm:
    """As much of vLLM as its adapters need; it answers word for word as vLLM 0.32 does.

    Attributes:
        loaded: Paths by name.
        updating: Whether adapters may be loaded at run time.
        key: The key that it wants.
        broken: What the engine says of an adapter that it cannot load.
        beaten: Another client loads the same adapter first, once.
        dead: Whether its engine has died.
        metrics: What it says of itself.
        asked: What it was asked to do.
    """

    loaded: dict[str, str] = field(default_factory=dict)
    updating: bool = True
    key: str = ""
    broken: str = ""
    beaten: bool = False
    dead: bool = False
    metrics: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)

    def answer(self, request: httpx.Request) -> httpx.Response:
        if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
            return httpx.Response(401, json={"error": "Unauthorized"})
        match request.url.path:
            case "/v1/models":
                return httpx.Response(200, json={"object": "list", "data": self.models()})
            case "/health":
                return httpx.Response(503 if self.dead else 200)
            case "/metrics":
                return httpx.Response(200, text=self.metrics)
            case "/v1/load_lora_adapter" if self.updating:
                return self.load(**json.loads(request.content))
            case "/v1/unload_lora_adapter" if self.updating:
                return self.unload(**json.loads(request.content))
        return httpx.Response(404, json={"detail": "Not Found"})

    def models(self) -> list[dict[str, object]]:
        base = {"id": "base", "object": "model", "root": "/models/base", "parent": None}
        adapters = [
            {"id": name, "object": "model", "root": path, "parent": "base"}
            for name, path in self.loaded.items()
        ]
        return [base, *adapters]

    def load(self, lora_name: str, lora_path: str) -> httpx.Response:
        self.asked.append(("load", lora_name))
        if self.beaten:
            self.loaded[lora_name], self.beaten = lora_path, False
        if lora_name in self.loaded:
            return refusal(400, f"The lora adapter '{lora_name}' has already been loaded.")
        if self.broken:
            return refusal(500, self.broken)
        self.loaded[lora_name] = lora_path
        return httpx.Response(200, text=f"Success: LoRA adapter '{lora_name}' added successfully.")

    def unload(self, lora_name: str) -> httpx.Response:
        self.asked.append(("unload", lora_name))
        if self.loaded.pop(lora_name, None) is None:
            return refusal(404, f"The lora adapter '{lora_name}' cannot be found.")
        return httpx.Response(200, text="Success")


def refusal(status: int, message: str) -> httpx.Response:
    error = {"message": message, "type": "Error", "param": None, "code": status}
    return httpx.Response(status, json={"error": error})


def client(vllm: FakeVllm, url: str = "http://vllm:8000", api_key: str = "") -> LoraClient:
    return LoraClient(url, api_key=api_key, transport=httpx.MockTransport(vllm.answer))


@pytest.mark.parametrize("url", ["http://vllm:8000", "http://vllm:8000/v1", "http://vllm:8000/v1/"])
async def test_what_was_loaded_is_served_with_its_parent_until_it_is_unloaded(url: str) -> None:
    lora = client(FakeVllm(), url)
    await lora.load(NAME, FOLDER)
    assert await lora.adapters() == (ServedAdapter(NAME, "base", str(FOLDER)),)
    assert await lora.served() == {NAME}
    await lora.unload(NAME)
    assert await lora.adapters() == ()


async def test_loading_and_unloading_again_changes_nothing() -> None:
    vllm = FakeVllm()
    lora = client(vllm)
    for _ in range(2):
        await lora.load(NAME, FOLDER)
    for _ in range(2):
        await lora.unload(NAME)
    assert vllm.asked == [("load", NAME), ("unload", NAME), ("unload", NAME)]


async def test_a_name_never_gets_other_weights() -> None:
    vllm = FakeVllm()
    lora = client(vllm)
    await lora.load(NAME, FOLDER)
    with pytest.raises(EngineError, match="other weights") as caught:
        await lora.load(NAME, Path("/adapters/kfz/lora-r8-v2"))
    assert caught.value.code == "lora_conflict"
    assert vllm.loaded == {NAME: str(FOLDER)}


async def test_who_loads_at_the_same_time_as_another_has_what_they_wanted() -> None:
    vllm = FakeVllm(beaten=True)
    await client(vllm).load(NAME, FOLDER)
    assert vllm.loaded == {NAME: str(FOLDER)}


@pytest.mark.parametrize("name", ["", "../x", "a b", "kfz/lora-r8-v1", "-x", "x" * 201, "x\n", "ü"])
async def test_what_cannot_be_a_served_name_is_not_sent(name: str) -> None:
    vllm = FakeVllm()
    with pytest.raises(EngineError) as caught:
        await client(vllm).load(name, FOLDER)
    assert caught.value.code == "lora_name"
    assert vllm.asked == []


async def test_a_refusal_says_why() -> None:
    vllm = FakeVllm(broken="LoRA rank 64 is greater than max_lora_rank\n16.")
    with pytest.raises(EngineError, match="rank 64 is greater than max_lora_rank 16") as caught:
        await client(vllm).load(NAME, FOLDER)
    assert (caught.value.code, bool(caught.value.hint)) == ("lora_refused", True)
    assert not isinstance(caught.value, EngineUnavailable)


async def test_a_dead_engine_is_not_the_adapters_fault() -> None:
    vllm = FakeVllm(broken="EngineCore encountered an issue.", dead=True)
    with pytest.raises(EngineUnavailable) as caught:
        await client(vllm).load(NAME, FOLDER)
    assert caught.value.code == "lora_unreachable"


async def test_a_server_that_may_not_load_at_run_time_is_told_apart() -> None:
    lora = client(FakeVllm(updating=False))
    for attempt in (lora.load(NAME, FOLDER), lora.unload(NAME)):
        with pytest.raises(EngineUnavailable) as caught:
            await attempt
        assert caught.value.code == "lora_disabled"
        assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" in caught.value.hint


async def test_the_key_is_sent_and_a_wrong_one_is_said() -> None:
    vllm = FakeVllm(key="secret")
    await client(vllm, api_key="secret").load(NAME, FOLDER)
    with pytest.raises(EngineUnavailable) as caught:
        await client(vllm, api_key="guess").adapters()
    assert caught.value.code == "lora_key"
    assert "guess" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("failure", [httpx.ConnectError("no"), httpx.ReadTimeout("late")])
async def test_a_server_that_is_away_is_unavailable(failure: httpx.HTTPError) -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise failure

    lora = LoraClient("http://vllm:8000", transport=httpx.MockTransport(away))
    for attempt in (lora.load(NAME, FOLDER), lora.unload(NAME), lora.adapters(), lora.running()):
        with pytest.raises(EngineUnavailable) as caught:
            await attempt
        assert caught.value.code == "lora_unreachable"
    await lora.close()


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"data": [{}]}', "\xff"])
async def test_a_list_that_is_none_is_an_error(body: str) -> None:
    reply = httpx.MockTransport(lambda _: httpx.Response(200, text=body))
    with pytest.raises(EngineError) as caught:
        await LoraClient("http://vllm:8000", transport=reply).adapters()
    assert caught.value.code == "lora_protocol"


# --- who is at work, from the metrics


def metrics(running: int, waiting: int, *sets: tuple[str, str, float], engines: int = 1) -> str:
    lines = ["# TYPE vllm:num_requests_running gauge"]
    lines += [
        f'vllm:num_requests_running{{engine="{n}",model_name="base"}} {running / engines}'
        for n in range(engines)
    ]
    lines += ["# TYPE vllm:num_requests_waiting gauge"]
    lines += [f'vllm:num_requests_waiting{{engine="0",model_name="base"}} {waiting}.0']
    lines += ["# TYPE vllm:lora_requests_info gauge"]
    lines += [
        f'vllm:lora_requests_info{{max_lora="2",running_lora_adapters="{run}",'
        f'waiting_lora_adapters="{wait}"}} {stamp}'
        for run, wait, stamp in sets
    ]
    return "\n".join(lines) + "\n"


def test_the_newest_note_says_which_adapters_are_in_use() -> None:
    seen = metrics(2, 1, ("old", "", 10.0), (NAME, OTHER, 12.5), ("", "", 11.0))
    assert read_load(seen) == ServerLoad(2, 1, frozenset({NAME, OTHER}))


def test_an_idle_server_uses_none_whatever_it_noted_last() -> None:
    assert read_load(metrics(0, 0, (NAME, "", 12.5))) == ServerLoad(0, 0, frozenset())


def test_notes_of_several_engines_count_together() -> None:
    notes = ((NAME, "", 12.5), (OTHER, "", 12.1), ("old", "", 3.0))
    assert read_load(metrics(2, 0, *notes, engines=2)).adapters == {NAME, OTHER}
    assert read_load(metrics(2, 0, *notes)).adapters == {NAME}


async def test_the_client_asks_the_server_for_its_metrics() -> None:
    lora = client(FakeVllm(metrics=metrics(1, 0, (f"{NAME},{OTHER}", "", 12.5))))
    assert await lora.running() == {NAME, OTHER}
    assert (await lora.server_load()).running == 1


async def test_another_servers_metrics_are_an_error() -> None:
    for text in ("", "up 1\n", "no metrics at all {"):
        with pytest.raises(EngineError) as caught:
            await client(FakeVllm(metrics=text)).running()
        assert caught.value.code == "lora_protocol"


@given(st.text(max_size=200))
def test_no_metrics_text_does_more_than_be_refused(text: str) -> None:
    try:
        found = read_load(text)
    except ValueError:
        return
    assert found.running >= 0
