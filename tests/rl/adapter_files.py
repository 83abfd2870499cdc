"""Adapters for tests: files as PEFT writes them, without anything in them that learns."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from apps.rl.adapters.entry import reserve
from apps.rl.adapters.gate import Base
from apps.rl.adapters.record import AdapterRecord, TrainedAdapter
from apps.rl.adapters.registry import AdapterRegistry
from apps.store.database import Database

BASE = Base("b" * 64, "c" * 64)
SECRET = b"the installation's hashing key"


def registry(db: Database, folder: Path, base: Base | None = BASE) -> AdapterRegistry:
    return AdapterRegistry(
        db,
        folder / "adapters",
        folder / "metadata" / "adapter_registry.json",
        SECRET,
        base,
    )


def trained(**changes: object) -> TrainedAdapter:
    said = {
        "domain": ("residents",),
        "method": "lora",
        "rank": 16,
        "precision": "fp32",
        "base_model_hash": BASE.model_hash,
        "tokenizer_hash": BASE.tokenizer_hash,
        "metrics": {"loss_dev": 2.5},
        "dataset_ref": "data/training/residents.jsonl",
        "dataset_sha256": "d" * 64,
    }
    return TrainedAdapter.model_validate(said | changes)


def write_adapter(folder: Path, weights: bytes = b"weights") -> None:
    """Write files that look like an adapter's."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 16}))
    head = json.dumps({"w": {"dtype": "U8", "shape": [len(weights)]}}).encode()
    (folder / "adapter_model.safetensors").write_bytes(head + weights)


def add(known: AdapterRegistry, seed: str = "first", **changes: object) -> AdapterRecord:
    """Register a new adapter; another seed makes other weights."""
    said = trained(**changes)
    name, folder = reserve(known.root, said.domain[0], said.method, said.rank)
    write_adapter(folder, hashlib.sha256(seed.encode()).digest())
    return known.register(name, said)
