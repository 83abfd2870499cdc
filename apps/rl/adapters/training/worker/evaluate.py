"""The held-out loss of a base, or of an adapter on it."""

from __future__ import annotations

from pathlib import Path

from peft import PeftModel

from apps.core.errors import ConfigError
from apps.rl.adapters.examples import read_examples
from apps.rl.adapters.training.composites import read_parent
from apps.rl.adapters.training.config import BaseConfig
from apps.rl.adapters.training.tokens import fitting, tokenise
from apps.rl.adapters.training.worker.base import Tell, load_base
from apps.rl.adapters.training.worker.loss import held_out_loss


def evaluate(
    base: BaseConfig,
    adapter: Path | None,
    data: Path,
    tell: Tell,
    *,
    max_length: int,
    batch: int,
) -> None:
    """Tell the loss per answer token on the examples that are worth imitating.

    Args:
        base: The base model.
        adapter: An adapter on it; None for the base alone.
        data: JSONL of training examples.
        tell: Told ``Evaluated``.
        max_length: Longer examples are left out.
        batch: Examples at a time.

    Raises:
        TomError: The base cannot be loaded, the adapter is for another one, or no example is left.
    """
    loaded = load_base(base, tell)
    model, what = loaded.model, "base"
    if adapter is not None:
        parent = read_parent(adapter)
        if parent.record.base_model_hash != loaded.model_hash:
            raise ConfigError(
                f"The adapter in {adapter} is for another base.",
                code="other_base",
                hint="Its record, adapter.json, names the base that it was trained on.",
            )
        model, what = PeftModel.from_pretrained(model, adapter), parent.name
    good = (example for example in read_examples(data) if example.feedback_score > 0)
    tokens = fitting([tokenise(example, loaded.tokenizer) for example in good], max_length)
    if not tokens:
        raise ConfigError(f"{data} holds no example to measure on.")
    tell(held_out_loss(model, tokens, loaded.tokenizer.pad_token_id, batch, what))
