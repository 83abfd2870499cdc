"""TRL's trainers, with checkpoints that are whole and words for every step."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback, Trainer, TrainerCallback
from trl import KTOConfig, KTOTrainer, SFTConfig, SFTTrainer

from apps.core.errors import TrainingFailed
from apps.rl.adapters.examples import TrainingExample
from apps.rl.adapters.training import events
from apps.rl.adapters.training.checkpoints import Checkpoints
from apps.rl.adapters.training.config import StepsConfig
from apps.rl.adapters.training.dataset import kto_weights
from apps.rl.adapters.training.tokens import Tokens
from apps.rl.adapters.training.worker.base import precision_of
from apps.rl.adapters.training.worker.memory import let_go, peak_mb
from apps.rl.adapters.training.worker.telling import Teller


@dataclass(frozen=True)
class Steps:
    """How many steps a training has.

    Attributes:
        total: All of them.
        warmup: With a rising learning rate.
        micro_batch: Examples at a time.
        accumulation: So many of them a step.
    """

    total: int
    warmup: int
    micro_batch: int
    accumulation: int


@dataclass(frozen=True)
class Setup:
    """What is trained, and who is told.

    Attributes:
        model: The base, or a PEFT model to go on with.
        shape: The new adapter's LoraConfig; None to go on with the model's own.
        tokenizer: With a safe pad token.
        checkpoints: Where to.
        teller: Whom to tell.
    """

    model: Any
    shape: Any
    tokenizer: Any
    checkpoints: Checkpoints
    teller: Teller


def plan_steps(config: StepsConfig, examples: int, micro_batch: int) -> Steps:
    """Return the steps for so many examples; the last of an epoch may be smaller."""
    total = max(1, math.ceil(math.ceil(examples / config.batch) * config.epochs))
    return Steps(
        total=total,
        warmup=math.ceil(total * config.warmup_ratio),
        micro_batch=micro_batch,
        accumulation=config.batch // micro_batch,
    )


class _Whole:
    """Mixed into a trainer: its checkpoints are written aside and given their place whole."""

    checkpoints: Checkpoints
    teller: Teller
    _aside: Path | None = None

    def _get_output_dir(self, trial: Any = None) -> str:
        # Asked for at the end of a run too, that may have begun with all steps done.
        return str(self._aside or self.checkpoints.path(0))

    def _save_checkpoint(self, model: Any, trial: Any = None) -> None:
        step: int = self.state.global_step  # type: ignore[attr-defined]
        if self.checkpoints.path(step).exists():
            return
        written: AbstractContextManager[Path] = self.checkpoints.written(step)
        with written as draft:
            self._aside = draft
            # TRL's own adds a model card, which says nothing here.
            Trainer._save_checkpoint(self, model, trial)
            for path in (draft / f"checkpoint-{step}").iterdir():
                path.rename(draft / path.name)
            (draft / f"checkpoint-{step}").rmdir()
        self.teller.tell(events.Checkpoint(step=step))


class _Sft(_Whole, SFTTrainer):  # type: ignore[misc]
    pass


class _Kto(_Whole, KTOTrainer):  # type: ignore[misc]
    pass


class _Course(TrainerCallback):  # type: ignore[misc]
    """Tells each step, keeps the GPU's cache small, and stops at a checkpoint when asked to."""

    def __init__(self, teller: Teller, empty_cache_steps: int) -> None:
        self._teller = teller
        self._empty = empty_cache_steps
        self._tokens = 0.0
        self._since_s = time.perf_counter()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if not logs or "loss" not in logs:
            return
        if not math.isfinite(logs["loss"]):
            raise TrainingFailed(
                f"The loss is no number any more after step {state.global_step}.",
                code="diverged",
                hint="Lower training.learning_rate, or compute in bfloat16 or float32.",
            )
        now_s, tokens = time.perf_counter(), float(logs.get("num_tokens", 0.0))
        self._teller.tell(
            events.Step(
                step=state.global_step,
                steps=state.max_steps,
                loss=logs["loss"],
                learning_rate=logs.get("learning_rate", 0.0),
                tokens_s=max(tokens - self._tokens, 0.0) / max(now_s - self._since_s, 1e-9),
                memory_mb=peak_mb(),
            )
        )
        self._since_s, self._tokens = now_s, tokens

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step % self._empty == 0:
            let_go()
        if self._teller.stop:
            control.should_save = True
            control.should_training_stop = True


def sft_trainer(
    config: StepsConfig,
    steps: Steps,
    tokens: Sequence[Tokens],
    setup: Setup,
) -> Any:
    """Return a trainer that imitates the answers.

    Args:
        config: How it learns.
        steps: How many.
        tokens: The examples.
        setup: What is trained, and who is told.
    """
    rows = [{"input_ids": list(t.input_ids), "labels": list(t.labels)} for t in tokens]
    arguments = SFTConfig(
        **_arguments(config, steps),
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    return _made(_Sft, arguments, rows, config, setup)


def kto_trainer(
    config: StepsConfig,
    steps: Steps,
    examples: Sequence[TrainingExample],
    setup: Setup,
) -> Any:
    """Return a trainer that learns from good and bad ratings; see ``sft_trainer``.

    Args:
        config: How it learns.
        steps: How many.
        examples: In an order that mixes good and bad; KTO takes them as they come.
        setup: What is trained, and who is told.
    """
    rows = [
        {
            "prompt": [message.model_dump() for message in example.messages],
            "completion": [{"role": "assistant", "content": example.completion}],
            "label": example.feedback_score > 0,
        }
        for example in examples
    ]
    wanted, unwanted = kto_weights(examples)
    arguments = KTOConfig(
        **_arguments(config, steps),
        max_length=None,
        beta=config.kto_beta,
        desirable_weight=wanted,
        undesirable_weight=unwanted,
    )
    return _made(_Kto, arguments, rows, config, setup)


def _arguments(config: StepsConfig, steps: Steps) -> dict[str, Any]:
    precision = precision_of(config.precision)
    return {
        "output_dir": "unused",  # see _Whole
        "max_steps": steps.total,
        "per_device_train_batch_size": steps.micro_batch,
        "gradient_accumulation_steps": steps.accumulation,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": config.schedule,
        "warmup_steps": steps.warmup,
        "weight_decay": config.weight_decay,
        "max_grad_norm": config.max_grad_norm,
        "gradient_checkpointing": config.gradient_checkpointing,
        "bf16": precision == "bfloat16",
        "fp16": precision == "float16",
        "use_cpu": not torch.cuda.is_available(),
        "dataloader_pin_memory": torch.cuda.is_available(),
        "seed": config.seed,
        "data_seed": config.seed,
        "save_strategy": "steps",
        "save_steps": config.checkpoint_steps,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "report_to": [],
        "disable_tqdm": True,
        "log_level": "error",
    }


def _made(
    kind: type[Any], arguments: Any, rows: list[dict[str, Any]], config: StepsConfig, setup: Setup
) -> Any:
    trainer = kind(
        model=setup.model,
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=setup.tokenizer,
        peft_config=setup.shape,
        callbacks=[_Course(setup.teller, config.empty_cache_steps)],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.checkpoints = setup.checkpoints
    trainer.teller = setup.teller
    return trainer
