"""What a training says while it runs: one JSON line each, on its standard output."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from apps.rl.adapters.record import TrainedAdapter


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Loading(_Event):
    """The base model is being loaded."""

    event: Literal["loading"] = "loading"
    model: str
    attempt: int = 1


class Note(_Event):
    """Something that is done otherwise than it was asked for, and why."""

    event: Literal["note"] = "note"
    text: str


class Ready(_Event):
    """Everything is loaded; the steps begin.

    Attributes:
        examples: Learned from.
        held_out: Measured on alone.
        left_out: Read, and neither: their scores say nothing here.
        too_long: Left out of either side for their length.
        steps: Of the whole training.
        micro_batch: Examples at a time on the device.
        accumulation: So many of them make a step.
        device: ``cpu`` or the GPU's name.
        precision: Of the arithmetic.
        trainable: Parameters of the adapter.
        parameters: Parameters of base and adapter.
    """

    event: Literal["ready"] = "ready"
    examples: int
    held_out: int
    left_out: int
    too_long: int
    steps: int
    micro_batch: int
    accumulation: int
    device: str
    precision: str
    trainable: int
    parameters: int


class Resumed(_Event):
    """It goes on from a checkpoint."""

    event: Literal["resumed"] = "resumed"
    step: int


class Step(_Event):
    """One step is done.

    Attributes:
        step: Its number, from 1.
        steps: Of how many.
        loss: Of its examples, per token.
        learning_rate: It was made with.
        tokens_s: Tokens a second since the step before.
        memory_mb: Most memory that was in use: the GPU's, or the process's.
    """

    event: Literal["step"] = "step"
    step: int
    steps: int
    loss: float
    learning_rate: float
    tokens_s: float
    memory_mb: float


class Checkpoint(_Event):
    """A checkpoint is whole and on the disk."""

    event: Literal["checkpoint"] = "checkpoint"
    step: int


class Torn(_Event):
    """A checkpoint that is not whole was passed over and removed."""

    event: Literal["torn"] = "torn"
    name: str


class LessMemory(_Event):
    """Memory ran out; it goes on with fewer examples at a time and as many a step."""

    event: Literal["less_memory"] = "less_memory"
    micro_batch: int


class Evaluated(_Event):
    """Loss and perplexity per token on examples that are not learned from.

    Attributes:
        what: ``before`` or ``after`` the training, or the name of what was evaluated.
        loss: Mean negative log-likelihood of the answers' tokens, in nats.
        perplexity: Its exponential.
        examples: How many.
        tokens: How many of their answers'.
    """

    event: Literal["evaluated"] = "evaluated"
    what: str
    loss: float
    perplexity: float
    examples: int
    tokens: int


class Stopped(_Event):
    """It was asked to stop, and did so at a checkpoint."""

    event: Literal["stopped"] = "stopped"
    step: int


class Finished(_Event):
    """The adapter lies in its folder, whole."""

    event: Literal["finished"] = "finished"
    folder: str
    adapter: TrainedAdapter


class LossRow(_Event):
    """Losses per token on one held-out set.

    Attributes:
        held_out: Whose set it is.
        tokens: Of its answers.
        base: Without an adapter.
        parents: With each adapter alone, by name.
        composite: With the composite.
    """

    held_out: str
    tokens: int
    base: float
    parents: dict[str, float]
    composite: float


class Composed(_Event):
    """A composite lies in its folder, whole; this report lies beside it.

    Attributes:
        folder: Where.
        adapter: Its record.
        combination: The arithmetic: ``cat``, ``svd`` or ``linear``.
        relative_error: What it lost against the weighted sum of its parents, by norm.
        conflicts: Layers whose updates work against each other, the worst first.
        cosines: Between the parents' updates, by layer; the lowest of all pairs.
        losses: On each parent's held-out set.
    """

    event: Literal["composed"] = "composed"
    folder: str
    adapter: TrainedAdapter
    combination: str
    relative_error: float
    conflicts: tuple[str, ...]
    cosines: dict[str, float]
    losses: tuple[LossRow, ...]


class Exported(_Event):
    """A folder for another server lies ready.

    Attributes:
        folder: Where.
        command: What to run there.
    """

    event: Literal["exported"] = "exported"
    folder: str
    command: str


class Failed(_Event):
    """It ended without an adapter."""

    event: Literal["failed"] = "failed"
    code: str
    message: str
    hint: str = ""


TrainingEvent = Annotated[
    Loading | Note | Ready | Resumed | Step | Checkpoint | Torn | LessMemory | Evaluated
    | Stopped | Finished | Composed | Exported | Failed,
    Field(discriminator="event"),
]  # fmt: skip

_EVENTS: TypeAdapter[TrainingEvent] = TypeAdapter(TrainingEvent)


def read_event(line: str | bytes) -> TrainingEvent:
    """Return what a line says.

    Raises:
        ValidationError: It is no event.
    """
    return _EVENTS.validate_json(line)
