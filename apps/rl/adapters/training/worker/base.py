"""The base model and its tokenizer: loaded with patience, and with another base in reserve."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from apps.core.errors import ConfigError, EngineUnavailable, TomError, TrainingFailed
from apps.rl.adapters.hashing import base_model_hash, tokenizer_hash
from apps.rl.adapters.training.backoff import waits, worth_retrying
from apps.rl.adapters.training.config import BaseConfig, BaseRef, Precision
from apps.rl.adapters.training.events import Loading, Note, TrainingEvent
from apps.rl.adapters.training.tokens import reserved_tokens, safe_pad

Tell = Callable[[TrainingEvent], None]

_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
_HUB_FILES = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")


@dataclass(frozen=True)
class Base:
    """A loaded base.

    Attributes:
        model: The network.
        tokenizer: With a pad token that is safe.
        ref: Which one it is; the fallback's where that was loaded.
        folder: Where its files lie.
        model_hash: Of its weights and configuration.
        tokenizer_hash: Of its tokenizer, before the pad was made safe.
    """

    model: Any
    tokenizer: Any
    ref: BaseRef
    folder: Path
    model_hash: str
    tokenizer_hash: str


def device() -> torch.device:
    """Return the first CUDA GPU, or the CPU."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


def device_name() -> str:
    """Return the GPU's name, or ``cpu``."""
    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu"


def precision_of(wanted: Precision) -> Precision:
    """Return what to compute in.

    Raises:
        ConfigError: The machine does not compute in what is wanted.
    """
    cuda = torch.cuda.is_available()
    if wanted == "auto":
        return "bfloat16" if cuda and torch.cuda.is_bf16_supported() else "float32"
    if wanted == "float16" and not cuda:
        raise ConfigError(
            "float16 cannot be trained in on a CPU.",
            hint="Set training.precision to bfloat16, float32 or auto.",
        )
    return wanted


def require_qlora() -> None:
    """Refuse QLoRA where it cannot be had.

    Raises:
        EngineUnavailable: There is no CUDA GPU, or no bitsandbytes.
    """
    missing = [] if torch.cuda.is_available() else ["a CUDA GPU"]
    if importlib.util.find_spec("bitsandbytes") is None:
        missing.append("the package bitsandbytes")
    if missing:
        raise EngineUnavailable(
            f"QLoRA needs {' and '.join(missing)}, which this machine lacks.",
            hint="Use adapter.method: lora here, or train on a GPU machine with "
            "`pip install bitsandbytes`.",
        )


def load_base(
    config: BaseConfig, tell: Tell, *, precision: Precision = "auto", four_bit: bool = False
) -> Base:
    """Load the base, or the fallback where that fails.

    Args:
        config: Which, and how.
        tell: Told of tries and fallbacks.
        precision: Of the arithmetic.
        four_bit: Whether its weights are kept in 4 bits (NF4), as QLoRA has them.

    Raises:
        TomError: Neither can be loaded, the tokenizer cannot be used, or the machine cannot do it.
    """
    if four_bit:
        require_qlora()
    how = _How(config, precision_of(precision), four_bit, tell)
    try:
        return _load(config, how)
    except (OSError, ValueError, RuntimeError, ImportError, TomError) as error:
        if config.fallback is None:
            raise _failure(config, error) from error
        text = f"{config.model} cannot be loaded ({_first_line(error)}); the fallback is tried."
        tell(Note(text=text))
    try:
        return _load(config.fallback, how)
    except (OSError, ValueError, RuntimeError, ImportError, TomError) as error:
        raise _failure(config.fallback, error) from error


def load_tokenizer(folder: Path, template: Path | None, tell: Tell) -> Any:
    """Return a tokenizer with a safe pad token and a chat template.

    Raises:
        ConfigError: It has no chat template and none is given, or no token can be a safe pad.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if template is not None:
        tokenizer.chat_template = _text(template)
    if not tokenizer.chat_template:
        raise ConfigError(
            f"The tokenizer of {folder.name} has no chat template.",
            hint="Give base.chat_template the Jinja file that the server is started with.",
        )
    in_use = [tokenizer.bos_token, tokenizer.eos_token, tokenizer.unk_token]
    special = [
        token for _, token in sorted(tokenizer.added_tokens_decoder.items()) if token.special
    ]
    free = reserved_tokens([token.content for token in special], in_use, tokenizer.chat_template)
    pad = safe_pad(tokenizer.pad_token, tokenizer.eos_token, tokenizer.unk_token, free)
    if pad.token != tokenizer.pad_token:
        tell(Note(text=f"Batches are filled up with {pad.token}: {pad.why}."))
        tokenizer.pad_token = pad.token
    return tokenizer


@dataclass(frozen=True)
class _How:
    config: BaseConfig
    precision: Precision
    four_bit: bool
    tell: Tell


def _load(ref: BaseRef, how: _How) -> Base:
    folder = _patiently(lambda: _folder(ref), ref, how)
    tokenizer = load_tokenizer(folder, how.config.chat_template, how.tell)
    model = _patiently(lambda: _model(folder, how), ref, how)
    model.config.pad_token_id = tokenizer.pad_token_id
    return Base(
        model=model,
        tokenizer=tokenizer,
        ref=ref,
        folder=folder,
        model_hash=base_model_hash(folder),
        tokenizer_hash=tokenizer_hash(folder),
    )


def _patiently(load: Callable[[], Any], ref: BaseRef, how: _How) -> Any:
    pauses = waits(how.config.attempts, how.config.backoff_s)
    attempt = 1
    while True:
        how.tell(Loading(model=ref.model, attempt=attempt))
        try:
            return load()
        except Exception as error:
            pause = next(pauses, None) if worth_retrying(error) else None
            if pause is None:
                raise
            how.tell(Note(text=f"{_first_line(error)} Another try in {pause:g} s."))
            time.sleep(pause)
            attempt += 1


def _folder(ref: BaseRef) -> Path:
    if ref.folder is not None:
        if not ref.folder.is_dir():
            raise FileNotFoundError(f"There is no folder {ref.folder}.")
        return ref.folder
    found = snapshot_download(ref.model, revision=ref.revision, allow_patterns=list(_HUB_FILES))
    return Path(found)


def _model(folder: Path, how: _How) -> Any:
    attention = how.config.attention
    if attention == "flash_attention_2" and importlib.util.find_spec("flash_attn") is None:
        how.tell(Note(text="flash_attn is not installed, so attention is computed by sdpa."))
        attention = "sdpa"
    dtype = _DTYPES[how.precision]
    options: dict[str, Any] = {"dtype": dtype, "attn_implementation": attention}
    if how.four_bit:
        options["device_map"] = {"": 0}
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    # Pickled weights could run code, and a server's hash gate reads safetensors.
    model = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, **options)
    return model if "device_map" in options else model.to(device())


def _failure(ref: BaseRef, error: Exception) -> TomError:
    if isinstance(error, TomError):
        return error
    return TrainingFailed(
        f"The base model {ref.model} cannot be loaded: {_first_line(error)}",
        code="base_model",
        hint="A folder must hold config.json, *.safetensors and the tokenizer's files.",
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
