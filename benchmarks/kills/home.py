"""One installation, small enough to start in a moment, and kept over all runs of a series."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from apps.core import secrets
from apps.rl.adapters.entry import reserve
from apps.rl.adapters.hashing import base_model_hash, tokenizer_hash
from apps.rl.adapters.record import TrainedAdapter
from apps.rl.adapters.registry import AdapterRegistry
from apps.running_adapters import open_registry
from apps.settings import Settings, read_settings
from apps.store.database import Database, open_database
from benchmarks.ingestion import material
from benchmarks.ports import free_port

SPACE = "kfz"
"""Profile and knowledge space."""
DOCUMENTS, SECTIONS = 12, 2
QUESTIONS = ("when are you open", "where are you", "what does a plate cost", "do you take cards")
_KNOWLEDGE = """---
profile: kfz
language: en
topic: office
---
# The office

## When is the office open? {#hours}

Also asked:
- when are you open
- opening times

The office is open from Monday to Friday, from 8 to 16 o'clock.

## Where is the office? {#address}

Also asked:
- where are you
- how do I get there

The office is in the town hall, on the second floor.

## What does a number plate cost? {#plate}

Also asked:
- what does a plate cost
- price of a plate

A number plate costs 12 euros.

## How can I pay? {#pay}

Also asked:
- do you take cards
- can I pay in cash

You can pay by card or in cash.
"""
_ROUTES = {
    "domains": {
        SPACE: {
            "keywords": {"plate*": 0.9, "office": 0.5, "open": 0.45},
            "examples": ["What does a number plate cost?", "When is the office open?"],
        }
    }
}


@dataclass(frozen=True, slots=True)
class Home:
    """An installation's folder.

    Attributes:
        folder: Where everything of it lies.
        settings: Its settings.
        db: Its store, as the benchmark looks into it.
        registry: Its adapters.
        hash_key: Its hashing key.
        token: Its operator token.
    """

    folder: Path
    settings: Settings
    db: Database
    registry: AdapterRegistry
    hash_key: bytes
    token: str

    @property
    def environment(self) -> dict[str, str]:
        """The settings as a process of its own takes them."""
        names = Settings.model_fields
        return {
            names[field].alias or field.upper(): _as_text(getattr(self.settings, field))
            for field in self.settings.model_fields_set
        }

    def close(self) -> None:
        """Close the store."""
        self.db.close()


def make_home(folder: Path, llm_url: str, seed: int) -> Home:
    """Make an installation.

    Args:
        folder: An empty folder.
        llm_url: Where the language server is.
        seed: Of its documents and chances.
    """
    own, data = folder / "own", folder / "data"
    _write(own / "profiles" / f"{SPACE}.yaml", yaml.safe_dump(_profile()))
    _write(own / "knowledge" / SPACE / "en" / "office.md", _KNOWLEDGE)
    _write(folder / "routes.yaml", yaml.safe_dump(_ROUTES))
    _write(folder / "base" / "config.json", '{"model_type": "none"}')
    _write(folder / "base" / "model.safetensors", "no weights")
    _write(folder / "base" / "tokenizer.json", "{}")
    material.write(own / "documents", DOCUMENTS, seed=seed, sections=SECTIONS)
    base = folder / "base"
    hashes = {"base_model_hash": base_model_hash(base), "tokenizer_hash": tokenizer_hash(base)}
    settings = read_settings(**_settings(folder, llm_url, seed, _trainer(folder, hashes)))
    keys = secrets.load_or_create(data)
    db = open_database(data / "feedback.db", pooled=False)
    registry = open_registry(settings, db, keys.hash_key)
    return Home(folder, settings, db, registry, keys.hash_key, keys.operator_token)


def add_adapter(home: Home, number: int) -> str:
    """Register another adapter, of weights of its own; returns its id."""
    base = home.folder / "base"
    trained = TrainedAdapter(
        domain=(SPACE,),
        method="lora",
        rank=4,
        precision="fp32",
        base_model_hash=base_model_hash(base),
        tokenizer_hash=tokenizer_hash(base),
        dataset_ref=f"round {number}",
    )
    name, folder = reserve(home.registry.root, SPACE, "lora", 4)
    _write(folder / "adapter_config.json", '{"peft_type": "LORA", "r": 4}')
    weights = hashlib.sha256(f"adapter {number}".encode()).hexdigest()
    _write(folder / "adapter_model.safetensors", weights)
    return home.registry.register(name, trained).id


def _settings(folder: Path, llm_url: str, seed: int, trainer: Path) -> dict[str, Any]:
    data = folder / "data"
    return {
        "data_dir": data,
        "rl_feedback_db_path": data / "feedback.db",
        "rl_bandit_state_path": data / "bandit_state.json",
        "rl_candidates_path": data / "candidates.yaml",
        "rl_seed": seed,
        "rl_shadow_share": 1.0,
        "models_dir": folder / "models",
        "profile_dir": folder / "own",
        "profile": SPACE,
        "kb_quality_floor": 0.0,
        "stt_engine": "fake",
        "tts_engine": "fake",
        "calls_per_minute": 0,
        "drain_s": 3.0,
        "log_format": "json",
        "llm_url": llm_url,
        "llm_model": "base",
        "adapter_url": llm_url,
        "adapter_base": folder / "base",
        "adapter_every_s": 0.2,
        "adapter_routes": folder / "routes.yaml",
        "adapter_admin_port": free_port(),
        "adapter_learning": True,
        "adapter_learning_consent": "everybody",
        "adapter_learning_objective": "sft",
        "adapter_learning_samples": 12,
        "adapter_learning_hours": 0.0,
        "adapter_train_python": trainer,
    }


def _trainer(folder: Path, hashes: dict[str, str]) -> Path:
    """Write what stands in for an interpreter with the ``train`` extra; it needs no start-up."""
    program = Path(__file__).with_name("trainer.py")
    shell = f"#!/bin/sh\nexec {sys.executable} -S -E {program} '{json.dumps(hashes)}' \"$@\"\n"
    path = folder / "trainer"
    _write(path, shell)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def _profile() -> dict[str, Any]:
    return {
        "id": SPACE,
        "languages": ["en"],
        "office": {"en": "the office"},
        "greeting": {
            "en": dict.fromkeys(("formal", "friendly", "brief"), "Hello, this is TOM, an AI.")
        },
    }


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def clean_environment() -> None:
    """Take TOM's settings out of this process's environment."""
    for name in list(os.environ):
        if name.startswith(("TOM_", "RL_", "PROMETHEUS_")):
            del os.environ[name]
