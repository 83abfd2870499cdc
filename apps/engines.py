"""Which engine serves each role, and why: decided apart from starting any.

Nothing falls back in silence: every choice carries its sentence, which is said at start, on
`/readyz` and by `tom doctor`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from apps.core.errors import ConfigError
from apps.language_servers import make_gateway
from apps.llm.answer import GroundedAnswerer
from apps.llm.base import Generator
from apps.llm.gateway.gateway import Observer
from apps.settings import Settings
from apps.voice.models import english_only, find_piper, find_whisper, multilingual
from apps.voice.stt.base import SpeechToText
from apps.voice.stt.domain import DomainText
from apps.voice.stt.fake import FakeStt
from apps.voice.stt.openai import OpenAiStt
from apps.voice.stt.sphinx import PocketSphinx
from apps.voice.stt.whisper import WhisperStt
from apps.voice.tts.base import TextToSpeech
from apps.voice.tts.espeak import EspeakTts
from apps.voice.tts.fake import FakeTts
from apps.voice.tts.openai import OpenAiTts
from apps.voice.tts.piper import PiperTts, piper_installed

LANGUAGES = ("en", "de")

OnRestart = Callable[[str], None]
Corpora = Mapping[str, DomainText]


@dataclass(frozen=True, slots=True)
class Choice:
    """The engine of one role.

    Attributes:
        role: ``stt.en``, ``stt.de``, ``tts.en``, ``tts.de`` or ``llm``.
        engine: Its name; None when nothing can serve the role.
        why: In a sentence; for None, what to do about it.
    """

    role: str
    engine: str | None
    why: str


@dataclass(frozen=True, slots=True)
class Present:
    """What this machine has.

    Attributes:
        whisper: The folder of Whisper's weights, or None.
        piper: Piper's voice file by language.
        piper_package: Whether piper-tts is installed.
    """

    whisper: Path | None
    piper: Mapping[str, Path]
    piper_package: bool


def look(settings: Settings) -> Present:
    """Look at what weights and packages are here."""
    named = {"en": settings.piper_voice_en, "de": settings.piper_voice_de}
    found = {language: find_piper(settings.models_dir, voice) for language, voice in named.items()}
    return Present(
        whisper=find_whisper(settings.models_dir, settings.whisper_model),
        piper={language: path for language, path in found.items() if path is not None},
        piper_package=piper_installed(),
    )


def choose(settings: Settings, present: Present) -> dict[str, Choice]:
    """Return the choice for every role; pure."""
    choices = [_choose_stt(language, settings, present) for language in LANGUAGES]
    choices += [_choose_tts(language, settings, present) for language in LANGUAGES]
    choices.append(_choose_llm(settings))
    return {choice.role: choice for choice in choices}


def _choose_stt(language: str, settings: Settings, present: Present) -> Choice:
    role, wanted = f"stt.{language}", settings.stt_engine
    if wanted in ("openai", "fake"):
        return Choice(role, wanted, f"TOM_STT_ENGINE={wanted}.")
    weights = f"Whisper's weights {settings.whisper_model!r}"
    hears = language == "en" or not english_only(settings.whisper_model)
    to_pull = settings.whisper_model if hears else multilingual(settings.whisper_model)
    if wanted != "pocketsphinx" and present.whisper is not None and hears:
        return Choice(role, "faster-whisper", f"{weights} are in {present.whisper}.")
    if wanted == "faster-whisper":
        lack = "are missing" if hears else "hear English alone"
        return Choice(role, None, f"{weights} {lack}: tom models pull {to_pull}.")
    if language == "en":
        return Choice(role, "pocketsphinx", "Embedded; it needs no weights and hears English.")
    return Choice(
        role,
        None,
        "The embedded recogniser hears English alone; for spoken German, "
        f"tom models pull {to_pull}.",
    )


def _choose_tts(language: str, settings: Settings, present: Present) -> Choice:
    role, wanted = f"tts.{language}", settings.tts_engine
    if wanted in ("openai", "fake"):
        return Choice(role, wanted, f"TOM_TTS_ENGINE={wanted}.")
    voice = present.piper.get(language)
    if wanted != "espeak" and voice is not None and present.piper_package:
        return Choice(role, "piper", f"The voice {voice.stem} is present.")
    if wanted == "piper":
        missing = "a voice" if present.piper_package else "the package (pip install piper-tts)"
        return Choice(role, None, f"Piper lacks {missing}; tom models pull fetches voices.")
    return Choice(role, "espeak", "Embedded; it needs no voice files.")


def _choose_llm(settings: Settings) -> Choice:
    has_server = settings.llm_url or settings.llm_providers
    if settings.llm_engine == "embedded" or (settings.llm_engine == "auto" and not has_server):
        return Choice("llm", "embedded", "Answers come from the knowledge base alone.")
    if settings.llm_providers:
        return Choice("llm", "openai", "TOM_LLM_PROVIDERS is set; see `tom llm providers`.")
    return Choice("llm", "openai", f"TOM_LLM_URL is set; the model is {settings.llm_model!r}.")


def make_stt(
    name: str, settings: Settings, present: Present, corpora: Corpora, on_restart: OnRestart
) -> SpeechToText:
    """Return a recogniser that has not been started yet.

    Args:
        name: As a `Choice` names it.
        settings: All settings.
        present: What this machine has.
        corpora: What the embedded recogniser learns the words of each profile from.
        on_restart: Told of every process that had to be restarted.
    """
    match name:
        case "pocketsphinx":
            return PocketSphinx(
                corpora,
                cache_dir=settings.cache_folder / "recogniser",
                workers=settings.stt_workers,
                on_restart=on_restart,
            )
        case "faster-whisper":
            assert present.whisper is not None
            return WhisperStt(
                present.whisper, device=settings.whisper_device, on_restart=on_restart
            )
        case "openai":
            return OpenAiStt(
                _url("TOM_STT_URL", settings.stt_url),
                model=settings.stt_model,
                languages=frozenset(LANGUAGES),
                api_key=settings.stt_api_key,
            )
        case _:
            return FakeStt()


def make_tts(name: str, settings: Settings, on_restart: OnRestart) -> TextToSpeech:
    """Return a synthesiser that has not been started yet."""
    match name:
        case "espeak":
            return EspeakTts(workers=settings.tts_workers, on_restart=on_restart)
        case "piper":
            voices = {"en": settings.piper_voice_en, "de": settings.piper_voice_de}
            return PiperTts(
                settings.models_dir, voices, workers=settings.tts_workers, on_restart=on_restart
            )
        case "openai":
            return OpenAiTts(
                _url("TOM_TTS_URL", settings.tts_url),
                model=settings.tts_model,
                voices=dict.fromkeys(LANGUAGES, settings.tts_voice),
                api_key=settings.tts_api_key,
            )
        case _:
            return FakeTts()


def make_generator(name: str, settings: Settings, observer: Observer | None = None) -> Generator:
    """Return the generator: the embedded one, or a gateway with that one behind its servers.

    Args:
        name: As a `Choice` names it.
        settings: All settings.
        observer: Watches the gateway.

    Raises:
        ConfigError: The list of providers cannot be used.
    """
    return GroundedAnswerer() if name == "embedded" else make_gateway(settings, observer)


def _url(name: str, value: str) -> str:
    if not value:
        raise ConfigError(f"The engine needs {name}, which is not set.", hint=f"Set {name}.")
    return value
