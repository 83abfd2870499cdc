"""The training process's command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Return what the process is told; ends it with a message where that cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m apps.rl.adapters.training",
        description="Train adapters; says what happens as JSON lines (docs/adapters-training.md).",
    )
    parser.add_argument("--debug", action="store_true", help="say on standard error what broke")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="train an adapter, or go on with a killed training")
    run.add_argument("--config", required=True, help="a profile's name, or a YAML file")
    run.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    run.add_argument("--out", required=True, type=Path, help="the run's folder")
    run.add_argument("--fresh", action="store_true", help="begin anew whatever lies there")
    return parser.parse_args(words)
