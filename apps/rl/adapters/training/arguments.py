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
    _compose(commands.add_parser("compose", help="put adapters of one base together"))
    _evaluate(commands.add_parser("evaluate", help="measure the loss on examples"))
    _export(commands.add_parser("export", help="write an adapter for Ollama, or merged"))
    return parser.parse_args(words)


def _compose(command: argparse.ArgumentParser) -> None:
    command.add_argument("parents", nargs="+", metavar="[NAME=]FOLDER", help="adapters, in order")
    command.add_argument("--kind", required=True, choices=("additive", "weighted", "sequential"))
    command.add_argument("--weights", default="", help="such as 0.7,0.3; equal without")
    command.add_argument("--combination", choices=("cat", "svd", "linear"))
    command.add_argument("--max-rank", type=int, default=16, help="what the server takes")
    command.add_argument("--held-out", action="append", default=[], metavar="NAME=FILE")
    command.add_argument("--out", required=True, type=Path, help="the composite's folder")


def _evaluate(command: argparse.ArgumentParser) -> None:
    command.add_argument("--base", required=True, help="the base's folder")
    command.add_argument("--adapter", type=Path, help="an adapter's folder; the base alone without")
    command.add_argument("--data", required=True, type=Path, help="JSONL of training examples")
    command.add_argument("--chat-template", type=Path)
    command.add_argument("--max-length", type=int, default=1024)
    command.add_argument("--batch", type=int, default=8)


def _export(command: argparse.ArgumentParser) -> None:
    command.add_argument("adapter", type=Path, help="the adapter's folder")
    command.add_argument("--out", required=True, type=Path, help="the export's folder")
    command.add_argument("--name", default="tom", help="the model's name in Ollama")
    kind = command.add_mutually_exclusive_group(required=True)
    kind.add_argument("--ollama-base", help="the same base as Ollama calls it")
    kind.add_argument("--merged", action="store_true", help="merge it into its base")
