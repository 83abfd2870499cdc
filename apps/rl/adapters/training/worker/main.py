"""Runs one command of the training process, and says how it ended."""

from __future__ import annotations

import argparse
import traceback
import warnings
from collections.abc import Callable

import datasets

from apps.core.errors import TomError
from apps.rl.adapters.training.events import Failed
from apps.rl.adapters.training.profiles import parse_override, read_config
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


_COMMANDS: dict[str, Callable[[argparse.Namespace, Teller], int]] = {"run": _run}
