"""One training from beginning to end: load, measure, train, measure again, hand over."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from transformers.utils import logging as transformers_logging

from apps.core.errors import ConfigError, TrainingFailed
from apps.rl.adapters.examples import TrainingExample
from apps.rl.adapters.record import TRAINED_FILE, TrainedAdapter
from apps.rl.adapters.training import events, resume
from apps.rl.adapters.training.checkpoints import Checkpoints, alone, aside, whole
from apps.rl.adapters.training.config import TrainingConfig
from apps.rl.adapters.training.dataset import TrainingData, load_data, mixed
from apps.rl.adapters.training.tokens import Tokens, fitting, tokenise
from apps.rl.adapters.training.worker.adapted import adapted
from apps.rl.adapters.training.worker.base import Base, device_name, load_base, precision_of
from apps.rl.adapters.training.worker.loss import held_out_loss
from apps.rl.adapters.training.worker.memory import let_go, out_of_memory
from apps.rl.adapters.training.worker.recording import adapter_hash, trained
from apps.rl.adapters.training.worker.telling import Teller
from apps.rl.adapters.training.worker.trainers import Setup, kto_trainer, plan_steps, sft_trainer

ADAPTER = "adapter"
"""The finished adapter's folder, in the run's."""


@dataclass(frozen=True)
class Prepared:
    """What one attempt at the training works with."""

    base: Base
    model: Any
    shape: LoraConfig | None
    learned: tuple[TrainingExample, ...]
    tokens: tuple[Tokens, ...]
    held: tuple[Tokens, ...]
    unwanted: tuple[Tokens, ...]
    too_long: int


def train(config: TrainingConfig, out: Path, teller: Teller, *, fresh: bool = False) -> int:
    """Train an adapter into ``out/adapter``, going on from where an earlier run was killed.

    Args:
        config: What to do.
        out: The run's folder: state, checkpoints, and in the end the adapter.
        teller: Whom to tell.
        fresh: Begin anew whatever lies there.

    Returns:
        0 with the adapter in its place; 3 when it was asked to stop and can go on later.

    Raises:
        TomError: It cannot be done.
    """
    transformers_logging.set_verbosity_error()
    if config.training.threads:
        torch.set_num_threads(config.training.threads)
    started_s = time.monotonic()
    data = load_data(config.data, config.training.objective, config.training.seed)
    with alone(out):
        while True:
            run = _Run(config, out, teller, data, started_s, fresh)
            try:
                return run.go()
            except Exception as error:
                if not out_of_memory(error):
                    raise
                smaller = run.with_less_memory(error)
            del run
            fresh = False
            let_go()
            teller.tell(events.LessMemory(micro_batch=smaller))


class _Run:
    def __init__(
        self,
        config: TrainingConfig,
        out: Path,
        teller: Teller,
        data: TrainingData,
        started_s: float,
        fresh: bool,
    ) -> None:
        self._config = config
        self._out = out
        self._teller = teller
        self._data = data
        self._started_s = started_s
        self._fresh = fresh
        self._state: resume.RunState | None = None
        self._checkpoints = Checkpoints(
            out / "checkpoints",
            config.training.keep_checkpoints,
            lambda name: teller.tell(events.Torn(name=name)),
        )

    def go(self) -> int:
        base = load_base(
            self._config.base,
            self._teller.tell,
            precision=self._config.training.precision,
            four_bit=self._config.adapter.method == "qlora",
        )
        decision, state = self._decide(base)
        if isinstance(decision, resume.Done):
            return self._hand_over()
        prepared = self._prepare(base)
        state = self._begin(prepared, decision, state)
        trainer = self._trainer(prepared, state)
        at = decision.step if isinstance(decision, resume.GoOn) else None
        if at is not None:
            self._teller.tell(events.Resumed(step=at))
        trainer.train(
            resume_from_checkpoint=None if at is None else str(self._checkpoints.path(at))
        )
        if trainer.state.global_step < trainer.state.max_steps:
            self._teller.tell(events.Stopped(step=trainer.state.global_step))
            return 3
        self._finish(trainer, prepared, state)
        return self._hand_over()

    def with_less_memory(self, error: Exception) -> int:
        """Note that fewer examples fit at a time; raises when no fewer can be tried."""
        training = self._config.training
        least = 2 if training.objective == "kto" else 1
        now = self._state.micro_batch if self._state else training.micro_batch
        smaller = resume.smaller_micro_batch(now, training.batch, least)
        if smaller is None or self._state is None:
            raise TrainingFailed(
                f"Memory ran out with {now} examples at a time.",
                code="out_of_memory",
                hint="Lower data.max_length, set training.gradient_checkpointing, use qlora on a "
                "GPU, or take a smaller base.",
            ) from error
        resume.write_state(
            self._state_path, self._state.model_copy(update={"micro_batch": smaller})
        )
        return smaller

    @property
    def _state_path(self) -> Path:
        return self._out / "run.json"

    @property
    def _adapter(self) -> Path:
        return self._out / ADAPTER

    def _decide(self, base: Base) -> tuple[resume.Decision, resume.RunState]:
        left = resume.read_state(self._state_path)
        now = resume.RunState(
            config=self._config.digest(),
            data=self._data.sha256,
            base=base.model_hash,
            tokenizer=base.tokenizer_hash,
            parent=adapter_hash(self._config.adapter.parent),
            micro_batch=self._config.training.micro_batch,
        )
        newest = None if left is None or self._fresh else self._checkpoints.newest()
        decision = resume.decide(left, now, newest, whole(self._adapter), self._fresh)
        if isinstance(decision, resume.Refuse):
            raise ConfigError(
                f"{self._out} holds another training: {', '.join(decision.differences)} differ.",
                code="other_run",
                hint="Give another folder, or --fresh to begin anew in this one.",
            )
        return decision, now if left is None or self._fresh else left

    def _prepare(self, base: Base) -> Prepared:
        held = [(e, tokenise(e, base.tokenizer)) for e in self._data.held_out]
        learned = [(e, tokenise(e, base.tokenizer)) for e in self._data.train]
        longest = self._config.data.max_length
        fits = [(e, t) for e, t in learned if fitting([t], longest)]
        held_fits = [(e, t) for e, t in held if fitting([t], longest)]
        if not fits:
            raise ConfigError(
                f"All {len(learned)} examples are longer than {longest} tokens.",
                hint="Raise data.max_length.",
            )
        if too_long := len(learned) + len(held) - len(fits) - len(held_fits):
            text = f"{too_long} examples are left out: they are longer than {longest} tokens."
            self._teller.tell(events.Note(text=text))
        if self._config.training.objective == "kto":
            fits = mixed(fits, self._config.training.seed, self._config.training.micro_batch)
        model, shape = adapted(base, self._config, self._teller.tell)
        return Prepared(
            base=base,
            model=model,
            shape=shape,
            learned=tuple(example for example, _ in fits),
            tokens=tuple(tokens for _, tokens in fits),
            held=tuple(tokens for example, tokens in held_fits if example.feedback_score > 0),
            unwanted=tuple(tokens for example, tokens in held_fits if example.feedback_score <= 0),
            too_long=too_long,
        )

    def _begin(
        self, prepared: Prepared, decision: resume.Decision, state: resume.RunState
    ) -> resume.RunState:
        if isinstance(decision, resume.Begin):
            self._checkpoints.clear()
            before = self._measure(prepared.model, prepared, state.micro_batch, "before")
            state = state.model_copy(update={"before": before})
            resume.write_state(self._state_path, state)
        self._state = state
        return state

    def _trainer(self, prepared: Prepared, state: resume.RunState) -> Any:
        training = self._config.training
        steps = plan_steps(training, len(prepared.tokens), state.micro_batch)
        setup = Setup(
            prepared.model,
            prepared.shape,
            prepared.base.tokenizer,
            self._checkpoints,
            self._teller,
        )
        if training.objective == "kto":
            trainer = kto_trainer(training, steps, prepared.learned, setup)
        else:
            trainer = sft_trainer(training, steps, prepared.tokens, setup)
        trainable = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
        self._teller.tell(
            events.Ready(
                examples=len(prepared.tokens),
                held_out=len(prepared.held),
                left_out=self._data.left_out,
                too_long=prepared.too_long,
                steps=steps.total,
                micro_batch=steps.micro_batch,
                accumulation=steps.accumulation,
                device=device_name(),
                precision=precision_of(training.precision),
                trainable=trainable,
                parameters=sum(p.numel() for p in trainer.model.parameters()),
            )
        )
        return trainer

    def _finish(self, trainer: Any, prepared: Prepared, state: resume.RunState) -> None:
        model = trainer.accelerator.unwrap_model(trainer.model)
        model.set_adapter("default")
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
        metrics = {"train_loss": sum(losses) / max(len(losses), 1)}
        after = self._measure(model, prepared, state.micro_batch, "after")
        metrics |= {f"{name}_before": value for name, value in state.before.items()} | after
        if "loss_dev" in after:
            metrics |= {"ppl_dev": math.exp(after["loss_dev"]), "held_out": len(prepared.held)}
        metrics |= {
            "examples": float(len(prepared.tokens)),
            "steps": float(trainer.state.global_step),
            "seconds": time.monotonic() - self._started_s,
        }
        with aside(self._adapter) as draft:
            model.save_pretrained(draft, selected_adapters=["default"])
            (draft / "README.md").unlink(missing_ok=True)
            rank = model.peft_config["default"].r
            record = trained(self._config, self._data, prepared.base, rank, metrics)
            (draft / TRAINED_FILE).write_text(record.model_dump_json(indent=1) + "\n", "utf-8")

    def _measure(self, model: Any, prepared: Prepared, batch: int, what: str) -> dict[str, float]:
        """Return the held-out losses: of answers to imitate, and under KTO of unwanted ones."""
        pad, found = prepared.base.tokenizer.pad_token_id, {}
        if prepared.held:
            good = held_out_loss(model, prepared.held, pad, batch, what)
            self._teller.tell(good)
            found["loss_dev"] = good.loss
        if prepared.unwanted:
            bad = held_out_loss(model, prepared.unwanted, pad, batch, f"{what}, unwanted")
            self._teller.tell(bad)
            found["loss_unwanted_dev"] = bad.loss
        return found

    def _hand_over(self) -> int:
        text = (self._adapter / TRAINED_FILE).read_bytes()
        record = TrainedAdapter.model_validate_json(text)
        self._teller.tell(events.Finished(folder=str(self._adapter), adapter=record))
        self._checkpoints.clear()
        return 0
