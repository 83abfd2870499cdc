"""A Piper worker without Piper: it replies what it was asked, as text instead of PCM."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from apps.voice.workers.serve import ReplyStream, serve


class FakePiperWorker:
    name = "piper"
    version = "fake"

    def load(self) -> Mapping[str, Any]:
        return {"voices": sys.argv[1:]}

    def open(self, stream: ReplyStream, header: Mapping[str, Any], payload: bytes) -> None:
        stream.reply(payload=b"")
        stream.reply(payload=json.dumps(header).encode())


if __name__ == "__main__":
    raise SystemExit(serve(FakePiperWorker()))
