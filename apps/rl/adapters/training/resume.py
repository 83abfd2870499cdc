"""Whether a run goes on, begins, or has nothing to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from apps.core.files import write_whole


class RunState(BaseModel):
    """What a run must remember besides its checkpoints, in ``run.json``.

    Attributes:
        config: Digest of the configuration.
        data: SHA-256 of the examples.
        base: Hash of the base model's files.
        tokenizer: Hash of the tokenizer's.
        parent: Hash of the parent adapter's; empty without one.
        micro_batch: Examples at a time, as memory allowed.
        before: Held-out losses before the first step, by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: str
    data: str
    base: str
    tokenizer: str
    parent: str = ""
    micro_batch: int
    before: dict[str, float] = {}

    def same_run(self, other: RunState) -> bool:
        """Whether both describe the same training."""
        return self._identity() == other._identity()

    def differences(self, other: RunState) -> tuple[str, ...]:
        """Return the names of what differs, of those things that make a run what it is."""
        mine, theirs = self._identity(), other._identity()
        return tuple(name for name in mine if mine[name] != theirs[name])

    def _identity(self) -> dict[str, str]:
        names = ("config", "data", "base", "tokenizer", "parent")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Begin:
    """From the first step."""


@dataclass(frozen=True)
class GoOn:
    """From a checkpoint.

    Attributes:
        step: Steps that are done.
    """

    step: int


@dataclass(frozen=True)
class Done:
    """The adapter is there already."""


@dataclass(frozen=True)
class Refuse:
    """The folder holds another training.

    Attributes:
        differences: What is not the same.
    """

    differences: tuple[str, ...]


Decision = Begin | GoOn | Done | Refuse


def decide(
    left: RunState | None, now: RunState, newest: int | None, finished: bool, fresh: bool
) -> Decision:
    """Decide how a run starts.

    Args:
        left: What an earlier run left behind, if any.
        now: This run.
        newest: The step of the newest whole checkpoint, if any.
        finished: Whether a whole adapter lies in the folder.
        fresh: Whether to begin anew whatever is there.
    """
    if fresh or left is None:
        return Begin()
    if not left.same_run(now):
        return Refuse(left.differences(now))
    if finished:
        return Done()
    return Begin() if newest is None else GoOn(newest)


def read_state(path: Path) -> RunState | None:
    """Return what a run left; None where there is nothing, or nothing that can be read."""
    try:
        return RunState.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def write_state(path: Path, state: RunState) -> None:
    """Keep a run's state, whole.

    Raises:
        OSError: It cannot be written.
    """
    write_whole(path, state.model_dump_json(indent=1) + "\n")


def smaller_micro_batch(micro_batch: int, batch: int, least: int) -> int | None:
    """Return how many examples at a time to try after memory ran out.

    Args:
        micro_batch: What was too many.
        batch: Examples of a step, which stay the same.
        least: Fewer are no use.

    Returns:
        The largest divisor of ``batch`` that is at most half, or None below ``least``.
    """
    fitting = (size for size in range(micro_batch // 2, least - 1, -1) if batch % size == 0)
    return next(fitting, None)
