"""Runs one command of the training process, and says how it ended."""

from __future__ import annotations

import argparse
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import datasets

from apps.core.errors import ConfigError, TomError
from apps.rl.adapters.training.composites import plan_composite, read_parent
from apps.rl.adapters.training.config import BaseConfig
from apps.rl.adapters.training.events import Failed
from apps.rl.adapters.training.profiles import parse_override, read_config
from apps.rl.adapters.training.worker.compose import compose
from apps.rl.adapters.training.worker.evaluate import evaluate
from apps.rl.adapters.training.worker.export import export_adapter, export_merged
from apps.rl.adapters.training.worker.run import train
from apps.rl.adapters.training.worker.telling import Teller


def main(arguments: argparse.Namespace) -> int:
    """Run a command.

    Returns:
        0 when it is done, 3 when it was asked to stop and can go on later, 1 when it failed.
    """
    # Libraries' warnings to each other; what matters to people is an event.
    warnings.filterwarnings("ignore", category=FutureWarning)
    datasets.disable_caching()
    datasets.disable_progress_bars()
    teller = Teller.on_stdout()
    try:
        return _COMMANDS[arguments.command](arguments, teller)
    except TomError as error:
        teller.tell(Failed(**error.as_dict()))
    except Exception as error:
        # What a library says may quote examples, so it is shown where that was asked for alone.
        if arguments.debug:
            traceback.print_exc()
        teller.tell(
            Failed(
                code="internal",
                message=f"The training broke off: {type(error).__name__}.",
                hint="With --debug its standard error says where.",
            )
        )
    return 1


def _run(arguments: argparse.Namespace, teller: Teller) -> int:
    config = read_config(arguments.config, dict(map(parse_override, arguments.overrides)))
    return train(config, arguments.out, teller, fresh=arguments.fresh)


def _compose(arguments: argparse.Namespace, teller: Teller) -> int:
    named = [_named(word) for word in arguments.parents]
    parents = [read_parent(folder, name) for name, folder in named]
    plan = plan_composite(
        arguments.kind,
        parents,
        weights=_numbers(arguments.weights),
        combination=arguments.combination,
        max_rank=arguments.max_rank,
    )
    held_out = dict(map(_named, arguments.held_out))
    compose(plan, parents, arguments.out, teller.tell, held_out)
    return 0


def _evaluate(arguments: argparse.Namespace, teller: Teller) -> int:
    evaluate(
        BaseConfig(model=arguments.base, chat_template=arguments.chat_template),
        arguments.adapter,
        arguments.data,
        teller.tell,
        max_length=arguments.max_length,
        batch=arguments.batch,
    )
    return 0


def _export(arguments: argparse.Namespace, teller: Teller) -> int:
    told = (arguments.adapter, arguments.out)
    if arguments.merged:
        export_merged(*told, arguments.name, teller.tell)
    else:
        export_adapter(*told, arguments.ollama_base, arguments.name, teller.tell)
    return 0


def _named(word: str) -> tuple[str, Path]:
    """Return name and path of ``NAME=PATH``; the name may be missing."""
    name, sign, path = word.partition("=")
    return (name, Path(path)) if sign else ("", Path(word))


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in text.split(",") if word.strip())
    except ValueError:
        raise ConfigError(f"{text} are no weights.", hint="Write them as 0.7,0.3.") from None


_COMMANDS: dict[str, Callable[[argparse.Namespace, Teller], int]] = {
    "run": _run,
    "compose": _compose,
    "evaluate": _evaluate,
    "export": _export,
}
