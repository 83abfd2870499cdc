"""Trainings in forked children: torch is imported once, and each child can be killed."""

from __future__ import annotations

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from apps.core.errors import TomError
from apps.rl.adapters.training.config import TrainingConfig
from apps.rl.adapters.training.events import Failed, TrainingEvent, read_event
from apps.rl.adapters.training.worker.run import train
from apps.rl.adapters.training.worker.telling import Teller

torch.set_num_threads(1)

CHECKPOINTS = {"checkpoint_steps": 1, "keep_checkpoints": 2}


def config(folder: Path, data: Path, **parts: dict[str, Any]) -> TrainingConfig:
    """Return a small training: some eight steps, a checkpoint after each."""
    told = {
        "base": {"model": str(folder)},
        "adapter": {"rank": 4, "alpha": 8, "dropout": 0.1},
        "data": {"train": str(data), "max_length": 96},
        "training": {
            **CHECKPOINTS,
            **{"epochs": 2, "batch": 16, "micro_batch": 8, "learning_rate": 0.01, "threads": 1},
        },
    }
    for part, values in parts.items():
        told[part] = {**told.get(part, {}), **values}
    return TrainingConfig.model_validate(told)


class Child:
    """One training in a process of its own."""

    def __init__(self, told: TrainingConfig, out: Path, **options: Any) -> None:
        here, there = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(here)
            os._exit(_train(told, out, there, options))
        os.close(there)
        self._lines = os.fdopen(here, "rb")
        self.status: int | None = None

    def events(self) -> Iterator[TrainingEvent]:
        """What it says, until it ends."""
        for line in self._lines:
            if line.endswith(b"\n"):
                yield read_event(line)

    def ended(self) -> list[TrainingEvent]:
        """Wait for its end; returns all that it said."""
        said = list(self.events())
        self.wait()
        return said

    def kill(self, number: int = signal.SIGKILL) -> None:
        os.kill(self.pid, number)

    def wait(self) -> int:
        if self.status is None:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status


def command(*words: object) -> dict[str, TrainingEvent]:
    """Run a command of the training process; returns what it said, the last of each kind."""
    here, there = os.pipe()

    def work() -> None:
        from apps.rl.adapters.training.arguments import parse
        from apps.rl.adapters.training.worker import main

        os.close(here)
        os.dup2(there, 1)
        main.main(parse([str(word) for word in words]))

    with os.fdopen(here, "rb") as lines:
        pid = _forked(work)
        os.close(there)
        said = [read_event(line) for line in lines]
    os.waitpid(pid, 0)
    return {event.event: event for event in said}


def in_child(work: Callable[[], Any]) -> int:
    """Do something in a forked child; returns its exit status."""
    return os.waitstatus_to_exitcode(os.waitpid(_forked(work), 0)[1])


def _forked(work: Callable[[], Any]) -> int:
    pid = os.fork()
    if pid == 0:
        warnings.simplefilter("ignore")
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        sys.stdout.flush()
        os._exit(0)
    return pid


def _train(told: TrainingConfig, out: Path, pipe: int, options: dict[str, Any]) -> int:
    # As worker/main.py has it: what libraries say to each other is no error of ours.
    warnings.simplefilter("ignore")
    prepare = options.pop("prepare", None)
    try:
        teller = Teller(os.fdopen(pipe, "w"))
        signal.signal(signal.SIGTERM, teller.asked)
        if prepare is not None:
            prepare()
        return train(told, out, teller, **options)
    except TomError as error:
        teller.tell(Failed(**error.as_dict()))
    except BaseException:
        traceback.print_exc()
    sys.stderr.flush()
    return 1
