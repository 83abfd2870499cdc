"""Pipecat 1.14 behind Twilio's messages, built as its own examples are, with fake engines.

    BENCH_LINES=lines.json BENCH_TURNS=smart python -m benchmarks.pipecat.pipecat_server 8765

BENCH_TURNS is `silence` (its plain rule: the VAD's 0.2 s, which are six windows or 192 ms) or
`smart` (the default of its documentation: Smart Turn v3, the local model in its own package).
Runs in an environment of its own, which has `pipecat-ai[websocket,silero]` and `uvicorn`.
"""
# mypy: ignore-errors
# Pipecat is not installed where mypy runs.

import asyncio
import os
import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI, WebSocket
from loguru import logger
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import (
    InterimTranscriptionFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMFullResponseStartFrame,
    LLMTextFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSSpeakFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.runner.utils import parse_telephony_websocket
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.services.settings import STTSettings, TTSSettings
from pipecat.services.stt_service import STTService
from pipecat.services.tts_service import TTSService
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.turns.user_start import VADUserTurnStartStrategy
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.utils.time import time_now_iso8601
from pipecat.workers.runner import WorkerRunner

from benchmarks.pipecat.recipe import (
    ANSWER,
    FINAL_DELAY_S,
    GREETING,
    LLM_DELAY_S,
    TTS_DELAY_S,
    Oracle,
    load_lines,
    speech,
)

RATE_HZ = 8000
LINES = load_lines(Path(os.environ["BENCH_LINES"]))
TURNS = os.environ["BENCH_TURNS"]

app = FastAPI()


class OracleStt(STTService):
    """The recogniser: the oracle hears all audio."""

    def __init__(self):
        super().__init__(ttfs_p99_latency=0.0, settings=STTSettings(model=None, language=None))
        self._oracle = Oracle(LINES, RATE_HZ)

    async def run_stt(self, audio):
        """Yield another partial transcript when a word is recognised."""
        if self._oracle.hear(audio):
            yield InterimTranscriptionFrame(self._oracle.partial(), "", time_now_iso8601())

    async def process_frame(self, frame, direction):
        """Finish an utterance when the VAD declares the end of speech."""
        await super().process_frame(frame, direction)
        if isinstance(frame, VADUserStoppedSpeakingFrame):
            self.create_task(self._finish(self._oracle.final()))

    async def _finish(self, text):
        await asyncio.sleep(FINAL_DELAY_S)
        if text:
            await self.push_frame(TranscriptionFrame(text, "", time_now_iso8601(), finalized=True))


class DelayedAnswer(FrameProcessor):
    """The generator: one sentence, after its delay."""

    async def process_frame(self, frame, direction):
        """Answer a context; pass everything else on."""
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        await asyncio.sleep(LLM_DELAY_S)
        await self.push_frame(LLMFullResponseStartFrame())
        await self.push_frame(LLMTextFrame(ANSWER))
        await self.push_frame(LLMFullResponseEndFrame())


class DelayedTts(TTSService):
    """The synthesiser: a tone, after its delay."""

    def __init__(self):
        super().__init__(
            push_start_frame=True,
            push_stop_frames=True,
            sample_rate=RATE_HZ,
            settings=TTSSettings(model=None, voice=None, language=None),
        )

    async def run_tts(self, text, context_id):
        """Yield the tone in chunks of 100 ms."""
        await asyncio.sleep(TTS_DELAY_S)
        for chunk in speech(text, RATE_HZ):
            yield TTSAudioRawFrame(chunk, RATE_HZ, 1, context_id=context_id)


def turn_strategies():
    """Return the peer's plain silence rule, or None for its default."""
    if TURNS == "smart":
        return None
    stop = [SpeechTimeoutUserTurnStopStrategy(user_speech_timeout=0.0)]
    return UserTurnStrategies(start=[VADUserTurnStartStrategy()], stop=stop)


@app.websocket("/twilio")
async def call(websocket: WebSocket):
    """Hold one call."""
    await websocket.accept()
    _, data = await parse_telephony_websocket(websocket)
    serializer = TwilioFrameSerializer(
        stream_sid=data["stream_id"],
        params=TwilioFrameSerializer.InputParams(auto_hang_up=False),
    )
    transport = FastAPIWebsocketTransport(
        websocket=websocket,
        params=FastAPIWebsocketParams(
            audio_in_enabled=True, audio_out_enabled=True, serializer=serializer
        ),
    )
    user, assistant = LLMContextAggregatorPair(
        LLMContext(),
        user_params=LLMUserAggregatorParams(
            vad_analyzer=SileroVADAnalyzer(), user_turn_strategies=turn_strategies()
        ),
    )
    pipeline = Pipeline(
        [
            transport.input(),
            OracleStt(),
            user,
            DelayedAnswer(),
            DelayedTts(),
            transport.output(),
            assistant,
        ]
    )
    worker = PipelineWorker(
        pipeline,
        params=PipelineParams(audio_in_sample_rate=RATE_HZ, audio_out_sample_rate=RATE_HZ),
        enable_rtvi=False,
        idle_timeout_secs=None,
    )

    @transport.event_handler("on_client_connected")
    async def on_connected(transport, client):
        await worker.queue_frame(TTSSpeakFrame(GREETING))

    @transport.event_handler("on_client_disconnected")
    async def on_disconnected(transport, client):
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


if __name__ == "__main__":
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", ws_per_message_deflate=False)
