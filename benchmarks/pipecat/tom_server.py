"""TOM behind Twilio's messages: the whole of it, but for engines that cost nothing.

Policy, store, event log, retrieval, turn-taking, Silero VAD, playout and metrics are those of
`tom serve`. Settings come from the environment; the caller's lines from BENCH_LINES.

    BENCH_LINES=lines.json python -m benchmarks.pipecat.tom_server 8765
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import uvicorn

from apps.cli.fair_protocols import FairHttp, FairWebSocket
from apps.core.audio import duration_ms
from apps.core.loop import new_event_loop
from apps.llm.prompt import Prompt
from apps.main import run_tom
from apps.monitor.logs import configure_logging
from apps.settings import read_settings
from apps.voice.stt.base import ListenOptions, OnPartial, Transcript
from apps.voice.stt.fake import FakeStt
from apps.voice.tts.base import SpeechStyle
from apps.voice.tts.fake import FakeTts
from benchmarks.pipecat.recipe import (
    ANSWER,
    FINAL_DELAY_S,
    LLM_DELAY_S,
    TTS_DELAY_S,
    WORD_DELAY_MS,
    Line,
    Oracle,
    load_lines,
    speech,
)

RATE_HZ = 16_000


class OracleUtterance:
    """One utterance, heard by the call's oracle."""

    def __init__(self, oracle: Oracle, on_partial: OnPartial | None) -> None:
        self._oracle, self._on_partial = oracle, on_partial
        self._over = False
        self._fed_ms = 0.0
        oracle.skipped()

    def feed(self, pcm: bytes) -> None:
        """Take audio; another word brings a partial transcript."""
        if self._over:
            return
        self._fed_ms += duration_ms(pcm)
        if self._oracle.hear(pcm) and self._on_partial is not None:
            text, until_ms = self._oracle.partial(), max(0.0, self._fed_ms - WORD_DELAY_MS)
            self._on_partial(Transcript(text, 0.9, is_final=False, until_ms=until_ms))

    async def finish(self) -> Transcript:
        """Return what was said, after the recogniser's delay."""
        self._over = True
        text = self._oracle.final()
        await asyncio.sleep(FINAL_DELAY_S)
        return Transcript(text, 0.9 if text else 0.0, is_final=True)

    def cancel(self) -> None:
        """Forget the utterance."""
        self._over = True


class OracleStt(FakeStt):
    """The recogniser of one call."""

    def __init__(self, lines: Sequence[Line]) -> None:
        super().__init__()
        self._oracle = Oracle(lines, RATE_HZ)

    def listen(  # type: ignore[override]
        self, options: ListenOptions, on_partial: OnPartial | None = None
    ) -> OracleUtterance:
        """Open one utterance."""
        return OracleUtterance(self._oracle, on_partial)


class PerCall(Mapping[str, OracleStt]):
    """A new recogniser for every call that asks for its language's."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = lines

    def __getitem__(self, language: str) -> OracleStt:
        return OracleStt(self._lines)

    def __iter__(self) -> Iterator[str]:
        return iter(("de", "en"))

    def __len__(self) -> int:
        return 2


class DelayedTts(FakeTts):
    """The synthesiser: a tone, after its delay."""

    async def synthesise(self, text: str, style: SpeechStyle) -> AsyncGenerator[bytes, None]:
        """Yield the tone in chunks of 100 ms."""
        await asyncio.sleep(TTS_DELAY_S)
        for chunk in speech(text, RATE_HZ):
            yield chunk


class DelayedAnswer:
    """The generator: one sentence, after its delay."""

    name = "fake"

    async def stream(self, prompt: Prompt) -> AsyncGenerator[str, None]:
        """Yield the answer."""
        await asyncio.sleep(LLM_DELAY_S)
        yield ANSWER

    async def close(self) -> None:
        """Do nothing: there is nothing to free."""


async def serve(port: int) -> None:
    """Serve until killed."""
    settings = read_settings()
    configure_logging(settings.log_level, settings.log_format)
    tts = DelayedTts()
    async with run_tom(settings) as tom:
        tom.switchboard.services = replace(
            tom.switchboard.services,
            stt=PerCall(load_lines(Path(os.environ["BENCH_LINES"]))),
            tts={"de": tts, "en": tts},
            generator=DelayedAnswer(),
        )
        config = uvicorn.Config(
            tom.app,
            port=port,
            http=FairHttp,
            ws=FairWebSocket,
            ws_per_message_deflate=False,
            log_config=None,
            access_log=False,
            lifespan="off",
        )
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))
