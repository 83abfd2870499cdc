"""What a training is told: the base, the adapter's shape, the data, and the steps."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from apps.rl.adapters.record import ANY_DOMAIN, Domain

Shape = Literal["lora", "qlora", "dora"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]
Objective = Literal["sft", "kto"]

_COMMIT = re.compile(r"[0-9a-f]{40}")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BaseRef(_Part):
    """A model to start from.

    Attributes:
        model: A folder, or a hub's name such as ``org/model``.
        revision: The commit of a hub's model, 40 hexadecimal digits; a branch can move.
    """

    model: str = Field(min_length=1)
    revision: str | None = None

    @property
    def folder(self) -> Path | None:
        """The folder that ``model`` names, or None where it is a hub's name."""
        path = Path(self.model).expanduser()
        return path if path.is_absolute() or self.model.startswith(".") or path.is_dir() else None

    @model_validator(mode="after")
    def _pinned(self) -> BaseRef:
        if self.folder is None and not _COMMIT.fullmatch(self.revision or ""):
            raise ValueError(
                f"{self.model} is a hub's name, so 'revision' must be a commit of 40 hexadecimal"
                " digits; a folder is named by an absolute path or by one that begins with a dot"
            )
        return self


class BaseConfig(BaseRef):
    """The base model and how it is loaded.

    Attributes:
        fallback: Another base where this one cannot be loaded; its hash goes into the record.
        chat_template: A Jinja file instead of the tokenizer's own, as the server is started with.
        attention: Kernel; ``flash_attention_2`` gives way to ``sdpa`` where it is missing, and
            the log says so.
        attempts: How often loading is tried.
        backoff_s: Wait before the second try, in seconds; doubled before each further one.
    """

    fallback: BaseRef | None = None
    chat_template: Path | None = None
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"
    attempts: int = Field(4, ge=1, le=10)
    backoff_s: float = Field(1.0, ge=0.0, le=60.0)


class AdapterConfig(_Part):
    """The adapter's shape.

    Attributes:
        method: ``lora``; ``qlora`` over a base in 4 bits (CUDA and bitsandbytes); ``dora``.
        rank: Of the update matrices.
        alpha: The update is scaled by ``alpha / rank``.
        dropout: On the adapter's input while it learns.
        target_modules: The layers that get one, by the end of their name, or ``all-linear``.
        parent: The folder of another adapter of the same base to go on from.
        parent_id: That adapter's id in the registry; without it its hash stands in the record.
        parent_mode: ``continue`` trains the parent's own matrices on; ``stack`` merges the parent
            into the base for the training and learns new matrices over it.
    """

    method: Shape = "lora"
    rank: int = Field(16, ge=1, le=256)
    alpha: float = Field(32.0, gt=0.0)
    dropout: float = Field(0.05, ge=0.0, lt=1.0)
    target_modules: tuple[str, ...] | Literal["all-linear"] = (
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    )  # fmt: skip
    parent: Path | None = None
    parent_id: str = ""
    parent_mode: Literal["continue", "stack"] = "continue"

    @model_validator(mode="after")
    def _servable(self) -> AdapterConfig:
        if self.target_modules == ():
            raise ValueError("'target_modules' names no layer")
        taken = {"lm_head", "embed_tokens"} & set(self.target_modules)
        if taken and self.target_modules != "all-linear":
            raise ValueError(
                f"{', '.join(sorted(taken))} cannot be adapted: servers do not load such adapters"
            )
        return self


class DataConfig(_Part):
    """What is learned from.

    Attributes:
        train: JSONL of training examples.
        sources: JSONL of knowledge (``Source``) that ``processor`` makes examples of.
        processor: A name in ``processors.py``, or ``package.module:function``.
        validation: JSONL of held-out examples; none of ``train`` is held out then.
        validation_fraction: Share of calls that is held out; 0 for none.
        max_length: Tokens of prompt and answer together; longer ones are left out and counted.
        minimum_score: Examples with a lower ``feedback_score`` are not imitated.
        kto_margin: For KTO: a score of at least this is wanted, of at most minus this is not;
            between them the example says nothing.
    """

    train: Path | None = None
    sources: Path | None = None
    processor: str = "questions"
    validation: Path | None = None
    validation_fraction: float = Field(0.1, ge=0.0, le=0.5)
    max_length: int = Field(1024, ge=16, le=131_072)
    minimum_score: float = Field(0.0, ge=-1.0, le=1.0)
    kto_margin: float = Field(0.2, gt=0.0, le=1.0)

    @model_validator(mode="after")
    def _something(self) -> DataConfig:
        if self.train is None and self.sources is None:
            raise ValueError("neither 'train' nor 'sources' is said: what is to be learned?")
        return self


class StepsConfig(_Part):
    """How it learns.

    Attributes:
        objective: ``sft`` imitates good answers; ``kto`` learns from good and bad ratings.
        epochs: Passes over the data.
        learning_rate: Peak.
        schedule: Course of the learning rate after the warm-up.
        warmup_ratio: Share of the steps with a rising rate.
        batch: Examples per step, whatever the memory: see ``micro_batch``.
        micro_batch: Examples at a time on the device; halved when memory runs out, while the
            steps stay the same by accumulation.
        weight_decay: AdamW's.
        max_grad_norm: Gradients are clipped to it.
        gradient_checkpointing: Compute activations anew instead of keeping them.
        precision: Of the arithmetic; ``auto`` is bfloat16 on a GPU that has it, else float32.
        seed: Of the split, the order, the adapter's first values and the dropout.
        checkpoint_steps: A checkpoint after every so many steps.
        keep_checkpoints: So many of the newest are kept.
        empty_cache_steps: The GPU's cache is emptied after every so many steps.
        threads: Threads of the CPU; 0 for the library's own choice.
        kto_beta: How strongly KTO holds to the base.
    """

    objective: Objective = "sft"
    epochs: float = Field(3.0, gt=0.0, le=100.0)
    learning_rate: float = Field(1e-4, gt=0.0, le=0.1)
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    warmup_ratio: float = Field(0.03, ge=0.0, lt=1.0)
    batch: int = Field(16, ge=1, le=4096)
    micro_batch: int = Field(4, ge=1, le=512)
    weight_decay: float = Field(0.0, ge=0.0, le=1.0)
    max_grad_norm: float = Field(1.0, gt=0.0)
    gradient_checkpointing: bool = False
    precision: Precision = "auto"
    seed: int = Field(0, ge=0, lt=2**31)
    checkpoint_steps: int = Field(50, ge=1)
    keep_checkpoints: int = Field(2, ge=1)
    empty_cache_steps: int = Field(100, ge=1)
    threads: int = Field(0, ge=0, le=256)
    kto_beta: float = Field(0.1, gt=0.0)

    @model_validator(mode="after")
    def _fits(self) -> StepsConfig:
        if self.batch % self.micro_batch:
            raise ValueError(
                f"'batch' ({self.batch}) must be a multiple of 'micro_batch' ({self.micro_batch})"
            )
        if self.objective == "kto" and self.micro_batch < 2:
            raise ValueError("KTO compares answers within a micro batch: it needs at least 2")
        return self


class TrainingConfig(_Part):
    """One training, whole.

    Attributes:
        domain: The profiles whose calls the adapter is for.
        base: The model under it.
        adapter: Its shape.
        data: What it learns from.
        training: How.
    """

    domain: tuple[Domain, ...] = Field((ANY_DOMAIN,), min_length=1)
    base: BaseConfig
    adapter: AdapterConfig = AdapterConfig()
    data: DataConfig
    training: StepsConfig = StepsConfig()

    @model_validator(mode="after")
    def _possible(self) -> TrainingConfig:
        if self.adapter.parent_mode == "stack" and self.adapter.method == "qlora":
            raise ValueError("a parent cannot be merged into a base in 4 bits: use 'continue'")
        if self.adapter.method == "qlora" and self.training.precision == "float32":
            raise ValueError("QLoRA computes in 16 bits: set 'precision' to bfloat16 or auto")
        return self

    def digest(self) -> str:
        """Return the SHA-256 of all that changes the outcome, in hexadecimal.

        How often checkpoints are made and how loading is tried may differ between a run and its
        resume; the rest may not.
        """
        fields = self.model_dump(mode="json")
        for part, names in _INDIFFERENT.items():
            for name in names:
                del fields[part][name]
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


_INDIFFERENT = {
    "base": ("attempts", "backoff_s"),
    "training": ("checkpoint_steps", "keep_checkpoints", "empty_cache_steps", "threads"),
}
