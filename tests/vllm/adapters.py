"""Trains an adapter as TOM does: in a process of its own, which has torch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from apps.rl.adapters.examples import TrainingExample, write_examples
from apps.rl.adapters.record import TrainedAdapter
from apps.rl.adapters.training.events import Evaluated, Finished, Step
from apps.rl.adapters.training.process import follow, train_command
from tests.vllm.turns import Turns

LEARNING_RATE = 2e-3
EPOCHS = 3
RANK = 8


@dataclass(frozen=True)
class Trained:
    """A finished training.

    Attributes:
        folder: The adapter's files.
        adapter: What the training says of it.
        before: Held-out loss of the base, in nats per token of the answers.
        after: The same with the adapter.
        steps: How many steps it took.
        seconds: How long.
    """

    folder: Path
    adapter: TrainedAdapter
    before: float
    after: float
    steps: int
    seconds: float

    @property
    def fall(self) -> float:
        """By which share the held-out loss fell."""
        return 1 - self.after / self.before


async def train(python: Path, base: Path, turns: Turns, folder: Path) -> Trained:
    """Train on the rated turns, and measure on those that neither base nor adapter has seen."""
    rated, held_out = folder / "rated.jsonl", folder / "held-out.jsonl"
    write_examples(rated, turns.rated)
    write_examples(held_out, turns.held_out)
    overrides = (
        "domain=[kfz]",
        f"base.model={base}",
        f"adapter.rank={RANK}",
        f"adapter.alpha={2 * RANK}",
        f"data.train={rated}",
        f"data.validation={held_out}",
        "data.max_length=2048",
        f"training.learning_rate={LEARNING_RATE}",
        f"training.epochs={EPOCHS}",
        "training.batch=8",
        "training.micro_batch=4",
        "training.precision=float32",
        "training.threads=1",
    )
    began, steps = time.monotonic(), 0
    losses: dict[str, float] = {}
    arguments = train_command("lora", folder / "run", overrides)
    async with follow(arguments, python=str(python), debug=True) as events:
        async for event in events:
            match event:
                case Evaluated():
                    losses[event.what] = event.loss
                case Step():
                    steps = event.step
                case Finished():
                    seconds = time.monotonic() - began
                    return Trained(
                        Path(event.folder),
                        event.adapter,
                        losses["before"],
                        losses["after"],
                        steps,
                        seconds,
                    )
    raise AssertionError("the training ended without an adapter")


async def loss_on(
    python: Path, base: Path, examples: Sequence[TrainingExample], file: Path, adapter: Path | None
) -> float:
    """Measure the loss of a base, or of an adapter over it, in nats per token of the answers."""
    write_examples(file, examples)
    arguments = ["evaluate", "--base", str(base), "--data", str(file), "--max-length", "2048"]
    arguments += ["--adapter", str(adapter)] if adapter else []
    async with follow(arguments, python=str(python)) as events:
        async for event in events:
            if isinstance(event, Evaluated):
                return event.loss
    raise AssertionError("the evaluation ended without a loss")
