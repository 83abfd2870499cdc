"""Starts the engines that were chosen, and tells which of them serve."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from apps.dispatcher.server import EngineStatus
from apps.engines import LANGUAGES, Choice, choose, look, make_generator, make_stt, make_tts
from apps.language_servers import GatewayMetrics
from apps.llm.base import Generator
from apps.llm.gateway.gateway import Gateway
from apps.monitor.metrics import Metrics
from apps.settings import Settings
from apps.voice.stt.base import SpeechToText
from apps.voice.stt.domain import DomainText
from apps.voice.tts.base import TextToSpeech


@dataclass(frozen=True, slots=True)
class RunningEngines:
    """The engines that run, and why these; recognisers and voices by language."""

    choices: Mapping[str, Choice]
    stt: Mapping[str, SpeechToText]
    tts: Mapping[str, TextToSpeech]
    generator: Generator

    @property
    def deaf(self) -> Mapping[str, str]:
        """Why nothing recognises the languages that have no recogniser."""
        choices = self.choices
        return {lang: choices[f"stt.{lang}"].why for lang in LANGUAGES if lang not in self.stt}

    @property
    def gateway(self) -> Gateway | None:
        """The way to the language servers; None where the embedded answerer speaks alone."""
        return self.generator if isinstance(self.generator, Gateway) else None

    @property
    def names(self) -> dict[str, str]:
        """The engine of each role that has one."""
        return {role: c.engine for role, c in self.choices.items() if c.engine is not None}

    def status(self) -> dict[str, EngineStatus]:
        """Return which engine serves each role now; one without an engine is told, too."""
        ready = {f"stt.{lang}": engine.ready for lang, engine in self.stt.items()}
        ready |= {f"tts.{lang}": engine.ready for lang, engine in self.tts.items()}
        return {
            role: EngineStatus(
                choice.engine,
                choice.why,
                required=choice.engine is not None,
                up=ready.get(role, choice.engine is not None),
            )
            for role, choice in self.choices.items()
        }

    def show_in(self, metrics: Metrics) -> None:
        """Show in the metrics whether each role is served."""
        for role, choice in self.choices.items():
            if choice.engine is not None:
                metrics.watch_engine(role, choice.engine, partial(self._serves, role))

    def _serves(self, role: str) -> bool:
        return self.status()[role].up


async def start_engines(
    settings: Settings,
    corpora: Mapping[str, DomainText],
    metrics: Metrics,
    stack: AsyncExitStack,
) -> RunningEngines:
    """Start every engine that is chosen, each once however many languages it serves.

    Args:
        settings: Which to choose, and how they run.
        corpora: What callers are likely to say, by knowledge space.
        metrics: Told of restarts and fallbacks.
        stack: Closes the engines.

    Raises:
        ConfigError: A setting cannot be used.
        EngineUnavailable: An engine that was chosen cannot serve.
    """
    present = look(settings)
    choices = choose(settings, present)
    restarted = metrics.engine_restarted
    stt = {
        name: make_stt(name, settings, present, corpora, restarted)
        for name in _chosen(choices, "stt").values()
    }
    tts = {name: make_tts(name, settings, restarted) for name in _chosen(choices, "tts").values()}
    llm = choices["llm"].engine or "embedded"
    watching = GatewayMetrics(metrics)
    generator = make_generator(llm, settings, watching)
    if isinstance(generator, Gateway):
        watching.show(generator)
    stack.push_async_callback(generator.close)
    engines: list[SpeechToText | TextToSpeech] = [*stt.values(), *tts.values()]
    for engine in engines:
        stack.push_async_callback(engine.close)
    await asyncio.gather(*(engine.start() for engine in engines))
    return RunningEngines(
        choices,
        {lang: stt[name] for lang, name in _chosen(choices, "stt").items()},
        {lang: tts[name] for lang, name in _chosen(choices, "tts").items()},
        generator,
    )


def _chosen(choices: Mapping[str, Choice], kind: str) -> dict[str, str]:
    """Return the engine of each language that has one."""
    engines = {lang: choices[f"{kind}.{lang}"].engine for lang in LANGUAGES}
    return {lang: engine for lang, engine in engines.items() if engine is not None}
