"""A trained adapter as other servers take it: Ollama's layout, or merged into its base.

Ollama's documents (docs/import, docs/modelfile): a ``Modelfile`` with ``FROM`` the same base and
``ADAPTER`` a folder of safetensors, for Llama, Mistral and Gemma; adapters of a quantised base are
advised against. A merged model is a folder of safetensors with its tokenizer, ``FROM .``.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from peft import PeftModel

from apps.core.errors import ConfigError
from apps.rl.adapters.hashing import WEIGHTS
from apps.rl.adapters.record import TRAINED_FILE
from apps.rl.adapters.training.checkpoints import aside
from apps.rl.adapters.training.composites import read_parent
from apps.rl.adapters.training.events import Exported, Note
from apps.rl.adapters.training.worker.base import Tell
from apps.rl.adapters.training.worker.compose import base_of

OLLAMA_ADAPTERS = ("llama", "mistral", "mixtral", "gemma", "gemma2")
"""Model types whose safetensors adapters Ollama says it takes."""


def export_adapter(adapter: Path, out: Path, ollama_base: str, name: str, tell: Tell) -> None:
    """Write an adapter with a Modelfile over a base that Ollama has.

    Args:
        adapter: The finished adapter's folder.
        out: The export's folder.
        ollama_base: The same base as Ollama calls it, or a GGUF file.
        name: The model's name in Ollama.
        tell: Told where it is.

    Raises:
        ConfigError: Ollama takes no such adapter.
    """
    parent = read_parent(adapter)
    if parent.dora:
        raise ConfigError(
            "Ollama loads no DoRA adapters.", hint="Export it merged: --merged.", code="no_export"
        )
    kind = _model_type(Path(parent.record.base_model))
    if kind is not None and kind not in OLLAMA_ADAPTERS:
        raise ConfigError(
            f"Ollama takes no adapters for models of type {kind}.",
            hint="Export it merged: --merged.",
            code="no_export",
        )
    if parent.record.config.get("method") == "qlora":
        text = "It learned over a base in 4 bits; Ollama advises against such adapters."
        tell(Note(text=text))
    with aside(out) as draft:
        for file in (*WEIGHTS, TRAINED_FILE):
            shutil.copyfile(adapter / file, draft / file)
        (draft / "Modelfile").write_text(f"FROM {ollama_base}\nADAPTER .\n", "utf-8")
    tell(Exported(folder=str(out), command=f"ollama create {name}"))


def export_merged(adapter: Path, out: Path, name: str, tell: Tell) -> None:
    """Write the base with the adapter merged in, its tokenizer, and a Modelfile.

    So a DoRA adapter is served, by vLLM as a model of its own. For Ollama on other machines than
    Apple's, llama.cpp's ``convert_hf_to_gguf.py`` makes a GGUF file of the folder first.

    Args:
        adapter: The finished adapter's folder.
        out: The export's folder.
        name: The model's name in Ollama.
        tell: Told where it is.

    Raises:
        TomError: The base cannot be loaded, or has changed since.
    """
    parent = read_parent(adapter)
    base = base_of(parent.record, tell)
    merged: Any = PeftModel.from_pretrained(base.model, adapter).merge_and_unload(safe_merge=True)
    with aside(out) as draft:
        merged.save_pretrained(draft)
        base.tokenizer.save_pretrained(draft)
        shutil.copyfile(adapter / TRAINED_FILE, draft / TRAINED_FILE)
        (draft / "Modelfile").write_text("FROM .\n", "utf-8")
    tell(Exported(folder=str(out), command=f"ollama create {name}"))


def _model_type(base: Path) -> str | None:
    """Return a base's architecture where its folder is here."""
    try:
        found: str = json.loads((base / "config.json").read_text("utf-8"))["model_type"]
        return found
    except (OSError, ValueError, KeyError):
        return None
