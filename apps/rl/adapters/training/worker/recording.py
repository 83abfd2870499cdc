"""What is written down about a trained adapter."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from apps.rl.adapters.hashing import adapter_files, weights_hash
from apps.rl.adapters.record import Method, TrainedAdapter
from apps.rl.adapters.training.composites import stacked_hash
from apps.rl.adapters.training.config import TrainingConfig
from apps.rl.adapters.training.dataset import TrainingData
from apps.rl.adapters.training.worker.base import Base, precision_of

_LOCKED = (
    *("torch", "transformers", "peft", "trl", "accelerate", "tokenizers", "safetensors"),
    *("datasets", "bitsandbytes", "numpy"),
)


def trained(
    config: TrainingConfig, data: TrainingData, base: Base, rank: int, metrics: dict[str, float]
) -> TrainedAdapter:
    """Return the record of a training's outcome."""
    method: Method = "kto" if config.training.objective == "kto" else config.adapter.method
    parent = config.adapter.parent
    base_hash = base.model_hash
    if parent is not None and config.adapter.parent_mode == "stack":
        base_hash = stacked_hash(base.model_hash, adapter_hash(parent))
    return TrainedAdapter(
        domain=config.domain,
        method=method,
        rank=rank,
        precision=precision_of(config.training.precision),
        base_model=base.ref.model,
        base_model_hash=base_hash,
        tokenizer_hash=base.tokenizer_hash,
        metrics=metrics,
        dataset_ref=data.reference,
        dataset_sha256=data.sha256,
        calls=data.calls,
        parents=() if parent is None else (config.adapter.parent_id or adapter_hash(parent),),
        environment=environment(),
        config=_facts(config, base),
    )


def adapter_hash(folder: Path | None) -> str:
    """Return the hash of an adapter's files; empty for none.

    Raises:
        ConfigError: There is no adapter in the folder.
    """
    return "" if folder is None else weights_hash(adapter_files(folder))


def environment() -> dict[str, str]:
    """Return the versions of what a training rests on, by package."""
    found = {}
    for name in _LOCKED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _facts(config: TrainingConfig, base: Base) -> dict[str, str | int | float | bool | None]:
    adapter, data, training = config.adapter, config.data, config.training
    modules = adapter.target_modules
    return {
        "digest": config.digest(),
        "objective": training.objective,
        "method": adapter.method,
        "alpha": adapter.alpha,
        "dropout": adapter.dropout,
        "target_modules": modules if isinstance(modules, str) else ",".join(modules),
        "epochs": training.epochs,
        "learning_rate": training.learning_rate,
        "schedule": training.schedule,
        "batch": training.batch,
        "seed": training.seed,
        "max_length": data.max_length,
        "validation": str(data.validation or ""),
        "validation_fraction": data.validation_fraction,
        "minimum_score": data.minimum_score,
        "kto_margin": data.kto_margin,
        "parent_mode": adapter.parent_mode if adapter.parent else "",
        "base_revision": base.ref.revision,
        "chat_template": str(config.base.chat_template or ""),
    }
