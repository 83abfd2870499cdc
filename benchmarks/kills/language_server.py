"""Stands in for vLLM: chat, and LoRA adapters that are loaded and unloaded while it serves.

It outlives the servers that are killed, so that they find adapters which others had loaded.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.responses import Response

_PIECES = ("The office ", "is open from Monday ", "to Friday.")


def _app() -> FastAPI:
    app = FastAPI()
    loaded: dict[str, str] = {}

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, __: Exception) -> Response:
        return Response(status_code=499)  # whoever asked was killed meanwhile

    @app.get("/v1/models")
    async def models() -> object:
        adapters = [{"id": n, "parent": "base", "root": p} for n, p in loaded.items()]
        return {"object": "list", "data": [{"id": "base"}, *adapters]}

    @app.get("/health")
    async def health() -> object:
        return {}

    @app.get("/metrics")
    async def metrics() -> Response:
        return PlainTextResponse("vllm:num_requests_running 0\nvllm:num_requests_waiting 0\n")

    @app.post("/v1/load_lora_adapter")
    async def load(request: Request) -> Response:
        asked = await request.json()
        if asked["lora_name"] in loaded:
            return _refused(400, "The adapter is loaded already.")
        loaded[asked["lora_name"]] = asked["lora_path"]
        return PlainTextResponse("Success")

    @app.post("/v1/unload_lora_adapter")
    async def unload(request: Request) -> Response:
        asked = await request.json()
        if loaded.pop(asked["lora_name"], None) is None:
            return _refused(404, "The adapter cannot be found.")
        return PlainTextResponse("Success")

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        asked = await request.json()
        if asked["model"] != "base" and asked["model"] not in loaded:
            return _refused(404, "The model does not exist.")
        return StreamingResponse(_stream(), media_type="text/event-stream")

    return app


async def _stream() -> AsyncGenerator[str, None]:
    for piece in _PIECES:
        yield f"data: {json.dumps({'choices': [{'delta': {'content': piece}}]})}\n\n"
        await asyncio.sleep(0.01)
    yield "data: [DONE]\n\n"


def _refused(status: int, why: str) -> JSONResponse:
    return JSONResponse({"error": {"message": why, "code": status}}, status_code=status)


class _Quiet(uvicorn.Server):
    """uvicorn without signals."""

    def install_signal_handlers(self) -> None:
        """Install none."""


@asynccontextmanager
async def language_server() -> AsyncGenerator[str, None]:
    """Serve for as long as the block lasts; yields the URL."""
    config = uvicorn.Config(
        _app(), host="127.0.0.1", port=0, log_config=None, access_log=False, lifespan="off"
    )
    listener = config.bind_socket()
    server = _Quiet(config)
    task = asyncio.create_task(server.serve([listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        with suppress(asyncio.CancelledError):
            await task
        listener.close()
