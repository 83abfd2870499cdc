"""What `tom adapters` has the training process do, with its progress shown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from apps.core.errors import TrainingFailed
from apps.core.plural import plural
from apps.rl.adapters.training.events import (
    Checkpoint,
    Composed,
    Evaluated,
    Exported,
    Finished,
    LessMemory,
    Loading,
    Note,
    Ready,
    Resumed,
    Step,
    Stopped,
    TrainingEvent,
)
from apps.rl.adapters.training.process import follow

Result = Finished | Composed | Evaluated | Exported | Stopped


async def worked(
    arguments: Sequence[str], console: Console, *, python: Path | None, what: str
) -> list[Result]:
    """Run the training process, show what it says, and return what came of it.

    Args:
        arguments: The process's own.
        console: Where progress is shown; on a terminal that is none, lines alone.
        python: An interpreter that has the ``train`` extra; this one when None.
        what: What is done, for the bar.

    Raises:
        EngineUnavailable: The ``train`` extra is not installed.
        TrainingFailed: It ended without a result.
    """
    results: list[Result] = []
    with _bar(console) as bar:
        task = bar.add_task(what, total=None, loss="")
        show = _Shown(bar, console, lambda **changes: bar.update(task, **changes))
        async with follow(arguments, python=str(python) if python else None) as events:
            async for event in events:
                show.take(event)
                if isinstance(event, Result):
                    results.append(event)
    return results


def run(
    arguments: Sequence[str], console: Console, *, python: Path | None, what: str
) -> list[Result]:
    """Do the same from outside of an event loop; see ``worked``."""
    return asyncio.run(worked(arguments, console, python=python, what=what))


def finished(results: Sequence[Result]) -> Finished | None:
    """Return the adapter that a training made; None when it was stopped before.

    Raises:
        TrainingFailed: It said neither.
    """
    for result in reversed(results):
        if isinstance(result, Finished):
            return result
        if isinstance(result, Stopped):
            return None
    raise TrainingFailed("The training process said nothing of an adapter.", code="training_died")


class _Shown:
    """Shows the events of one process."""

    def __init__(self, bar: Progress, console: Console, update: Callable[..., None]) -> None:
        self._bar, self._console, self._update = bar, console, update

    def take(self, event: TrainingEvent) -> None:
        """Show an event; lines stand above the bar."""
        match event:
            case Step():
                self._update(total=event.steps, completed=event.step, loss=f"loss {event.loss:.3f}")
            case Ready():
                self._update(total=event.steps)
                self._say(
                    f"{plural(event.examples, 'example')}, {event.held_out} held out, "
                    f"on {event.device} in {event.precision}; "
                    f"{event.trainable:,} of {event.parameters:,} parameters "
                    "are learned."
                )
            case Loading():
                again = f" (try {event.attempt})" if event.attempt > 1 else ""
                self._say(f"Loading {event.model}{again}")
            case Resumed():
                self._say(f"Going on from step {event.step}.")
            case LessMemory():
                self._say(
                    f"Memory ran out: {plural(event.micro_batch, 'example')} at a time from now on."
                )
            case Checkpoint():
                self._update(loss=f"checkpoint {event.step}")
            case Note():
                self._say(event.text)
            case Evaluated():
                self._say(
                    f"{event.what}: loss {event.loss:.4f}, perplexity {event.perplexity:.2f} over "
                    f"{plural(event.examples, 'example')}."
                )
            case Stopped():
                self._say(f"Stopped at step {event.step}. The same command goes on from there.")

    def _say(self, text: str) -> None:
        self._bar.console.print(escape(text), soft_wrap=True)


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
