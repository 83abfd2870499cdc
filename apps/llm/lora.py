"""Loads and unloads LoRA adapters on a vLLM server while it serves, and sees who uses them.

The server must have been started with ``--enable-lora`` and with
``VLLM_ALLOW_RUNTIME_LORA_UPDATING=True`` (docs/vllm.md). A served name stands for the same weights
for ever: a reload under the same name could reuse prefix-cache blocks of the old ones, so a name
that the server has from another path is refused, never replaced.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from pydantic import BaseModel, ValidationError

from apps.core.errors import EngineError, EngineUnavailable

_SERVED_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_ENGINES_APART_S = 1.0
"""Several engines of one server note whom they serve one after another, within this time."""
_URL_HINT = "Check the server's URL, and that it runs."


@dataclass(frozen=True, slots=True)
class ServedAdapter:
    """An adapter that the server has loaded.

    Attributes:
        name: The name under which it is asked for, e.g. ``kfz-lora-r16-v3-0a1b2c3d4e5f``.
        parent: The base model's name at that server.
        path: The folder that it was loaded from, as the server sees it.
    """

    name: str
    parent: str
    path: str


@dataclass(frozen=True, slots=True)
class ServerLoad:
    """What a server is doing.

    Attributes:
        running: Answers being generated.
        waiting: Requests that wait for room.
        adapters: The adapters that either of them use.
    """

    running: int
    waiting: int
    adapters: frozenset[str]


class _Model(BaseModel):
    id: str
    root: str | None = None
    parent: str | None = None


class _Models(BaseModel):
    data: tuple[_Model, ...]


class LoraClient:
    """One vLLM server's adapters; ``load`` and ``unload`` may be repeated without harm.

    Args:
        url: The server's base URL, with or without ``/v1``.
        api_key: Sent as a bearer token when not empty.
        answer_s: Deadline of a question about the server's state.
        load_s: Deadline of a load: the weights are read from the disk meanwhile.
        transport: Replaces the network, in tests.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str = "",
        answer_s: float = 5.0,
        load_s: float = 120.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = url.rstrip("/").removesuffix("/v1")
        self._load_s = load_s
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx.Timeout(answer_s),
            transport=transport,
        )

    async def load(self, name: str, path: Path) -> None:
        """Load an adapter, and return when it serves; one that is loaded already is no error.

        Args:
            name: The name under which it is served from now on.
            path: Its folder, as the server sees it.

        Raises:
            EngineUnavailable: The server cannot be reached.
            EngineError: The name is none, it is another adapter's, or the server refuses the
                adapter (another base, a larger rank than ``--max-lora-rank``, no such folder).
        """
        if not _SERVED_NAME.fullmatch(name):
            raise EngineError(
                f"{name[:80]!r} cannot be a served name.",
                hint="Served names look like kfz-lora-r16-v3-0a1b2c3d4e5f.",
                code="lora_name",
            )
        if await self._has(name, path):
            return
        body = {"lora_name": name, "lora_path": str(path)}
        response = await self._post("/v1/load_lora_adapter", body)
        # Two that load at once: the later one is refused, though what it wants is there.
        if response.is_success or (_reason(response) and await self._has(name, path)):
            return
        if response.status_code >= 500:  # the adapter is to blame only where the engine is well
            await self._get("/health")
        raise _refusal(response, f"The server does not load {name}")

    async def unload(self, name: str) -> None:
        """Take a name from the server; one that it does not have is no error.

        Requests under way keep the weights until they end; new ones are refused from now on.

        Raises:
            EngineUnavailable: The server cannot be reached.
            EngineError: It refuses.
        """
        response = await self._post("/v1/unload_lora_adapter", {"lora_name": name})
        if response.is_success or (response.status_code == 404 and _reason(response)):
            return
        raise _refusal(response, f"The server does not unload {name}")

    async def adapters(self) -> tuple[ServedAdapter, ...]:
        """Return the adapters that are loaded now.

        Raises:
            EngineUnavailable: The server cannot be reached.
            EngineError: It does not say what it serves.
        """
        response = await self._get("/v1/models")
        try:
            models = _Models.model_validate_json(response.content).data
        except ValidationError as error:
            raise EngineError(
                "The server's list of models cannot be read.", hint=_URL_HINT, code="lora_protocol"
            ) from error
        return tuple(
            ServedAdapter(model.id, model.parent, model.root or "")
            for model in models
            if model.parent is not None
        )

    async def served(self) -> frozenset[str]:
        """Return the names of the adapters that are loaded now; see ``adapters``."""
        return frozenset(adapter.name for adapter in await self.adapters())

    async def server_load(self) -> ServerLoad:
        """Return what the server is doing now.

        Raises:
            EngineUnavailable: The server cannot be reached.
            EngineError: Its metrics are none of vLLM's.
        """
        response = await self._get("/metrics")
        try:
            return read_load(response.text)
        except ValueError as error:
            raise EngineError(
                "The server's metrics are not vLLM's.",
                hint="Adapters need a vLLM server; check the URL.",
                code="lora_protocol",
            ) from error

    async def running(self) -> frozenset[str]:
        """Return the names of the adapters in use; see ``server_load``."""
        return (await self.server_load()).adapters

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def _has(self, name: str, path: Path) -> bool:
        """Tell whether the server has this adapter by this name.

        Raises:
            EngineError: It has something else by this name.
        """
        for adapter in await self.adapters():
            if adapter.name == name:
                if adapter.path == str(path):
                    return True
                raise EngineError(
                    f"The server has other weights by the name {name}.",
                    hint="A served name is never given to other weights: register a new version.",
                    code="lora_conflict",
                )
        return False

    async def _get(self, path: str) -> httpx.Response:
        try:
            response = await self._client.get(self._url + path)
        except httpx.HTTPError as error:
            raise _unreachable() from error
        if not response.is_success:
            raise _refusal(response, f"The server does not answer {path}")
        return response

    async def _post(self, path: str, body: dict[str, str]) -> httpx.Response:
        try:
            return await self._client.post(self._url + path, json=body, timeout=self._load_s)
        except httpx.HTTPError as error:
            raise _unreachable() from error


def read_load(metrics: str) -> ServerLoad:
    """Read vLLM's metrics in Prometheus' text format.

    ``vllm:lora_requests_info`` has a series for each set of adapters that was ever in use at once;
    its value is when that was last so, in seconds, and an idle server does not note that nothing
    is in use any more.

    Raises:
        ValueError: They cannot be read, or are not vLLM's.
    """
    running, waiting, engines, sets = 0.0, 0.0, 0, list[Sample]()
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            match sample.name:
                case "vllm:num_requests_running":
                    running += sample.value
                    engines += 1
                case "vllm:num_requests_waiting":
                    waiting += sample.value
                case "vllm:lora_requests_info":
                    sets.append(sample)
    if not engines:
        raise ValueError("there is no vllm:num_requests_running")
    busy = running + waiting > 0
    apart_s = _ENGINES_APART_S if engines > 1 else 0.0
    return ServerLoad(int(running), int(waiting), _in_use(sets, apart_s) if busy else frozenset())


def _in_use(sets: Iterable[Sample], apart_s: float) -> frozenset[str]:
    """Return the adapters of the newest series."""
    stamped = [(sample.value, sample.labels) for sample in sets]
    newest = max((stamp for stamp, _ in stamped), default=0.0)
    return frozenset(
        name
        for stamp, labels in stamped
        if stamp >= newest - apart_s
        for key in ("running_lora_adapters", "waiting_lora_adapters")
        for name in labels.get(key, "").split(",")
        if name
    )


def _reason(response: httpx.Response) -> str:
    """Return why vLLM refused something; empty when the answer is not one of vLLM's refusals."""
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return ""


def _unreachable() -> EngineUnavailable:
    return EngineUnavailable(
        "The language server cannot be reached.", hint=_URL_HINT, code="lora_unreachable"
    )


def _refusal(response: httpx.Response, sentence: str) -> EngineError:
    """Return the error for an answer other than success."""
    status, reason = response.status_code, _reason(response)
    if status in (401, 403):
        return EngineUnavailable(
            "The language server wants another key.",
            hint="Check the server's API key.",
            code="lora_key",
        )
    if status in (404, 405) and not reason:
        return EngineUnavailable(
            "The language server cannot load adapters while it serves.",
            hint="Start vLLM with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True.",
            code="lora_disabled",
        )
    if status in (502, 503, 504):  # vLLM says 503 of itself when its engine has died
        return _unreachable()
    why = f": {' '.join(reason.split())[:300]}" if reason else f": HTTP {status}."
    return EngineError(
        sentence + why,
        hint="docs/vllm.md says what a server takes: its base, its ranks, and folders it can read.",
        code="lora_refused",
    )
