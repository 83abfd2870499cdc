"""A base model with an adapter on it."""

from __future__ import annotations

from typing import Any

from peft import LoraConfig, PeftModel, prepare_model_for_kbit_training
from transformers import set_seed

from apps.core.errors import ConfigError
from apps.rl.adapters.training.config import AdapterConfig, TrainingConfig
from apps.rl.adapters.training.events import Note
from apps.rl.adapters.training.worker.base import Base, Tell


def adapted(base: Base, config: TrainingConfig, tell: Tell) -> tuple[Any, LoraConfig | None]:
    """Return the model to train, and the new adapter's shape; None to go on with the parent's.

    Raises:
        ConfigError: The base has no layer of the names that are to be adapted.
    """
    set_seed(config.training.seed)
    model, adapter = base.model, config.adapter
    if adapter.method == "qlora":
        model = prepare_model_for_kbit_training(
            model, use_gradient_checkpointing=config.training.gradient_checkpointing
        )
    if adapter.parent is None:
        _require_layers(model, adapter)
        return model, _shape(adapter)
    if adapter.parent_mode == "stack":
        merged = PeftModel.from_pretrained(model, adapter.parent).merge_and_unload()
        _require_layers(merged, adapter)
        return merged, _shape(adapter)
    grown = PeftModel.from_pretrained(model, adapter.parent, is_trainable=True)
    shape = grown.peft_config["default"]
    if (shape.r, shape.use_dora) != (adapter.rank, adapter.method == "dora"):
        kind = "DoRA" if shape.use_dora else "LoRA"
        tell(Note(text=f"The parent's shape is kept: {kind} of rank {shape.r}."))
    return grown, None


def _shape(adapter: AdapterConfig) -> LoraConfig:
    modules = adapter.target_modules
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=adapter.rank,
        lora_alpha=adapter.alpha,
        lora_dropout=adapter.dropout,
        target_modules=modules if isinstance(modules, str) else list(modules),
        use_dora=adapter.method == "dora",
        bias="none",
    )


def _require_layers(model: Any, adapter: AdapterConfig) -> None:
    if isinstance(adapter.target_modules, str):
        return
    layers = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    missing = [name for name in adapter.target_modules if name not in layers]
    if missing:
        known = sorted(layer for layer in layers if layer.endswith(("proj", "fc1", "fc2", "dense")))
        raise ConfigError(
            f"The base has no layers called {', '.join(missing)}.",
            hint=f"Set adapter.target_modules; it has {', '.join(known) or 'all-linear'}.",
        )
