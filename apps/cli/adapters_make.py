"""`tom adapters train|eval|compose`: what takes the training process, or a language server."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from apps.cli.adapters_golden import ask, golden_prompts, require_server, serving
from apps.cli.adapters_parts import AdapterId, registry_of
from apps.cli.adapters_training import finished, run
from apps.cli.parts import errors_told
from apps.core.errors import ConfigError
from apps.rl.adapters.entry import adopt
from apps.rl.adapters.gate import check_files
from apps.rl.adapters.golden import GoldenResult, counted, share_passed
from apps.rl.adapters.record import AdapterRecord
from apps.rl.adapters.registry import AdapterRegistry
from apps.rl.adapters.rollout.machine import Happening, What
from apps.rl.adapters.training.events import Composed, Evaluated
from apps.rl.adapters.training.process import require_train_extra, train_command
from apps.settings import Settings, load_settings

Python = Annotated[
    Path | None,
    typer.Option(
        "--python", exists=True, dir_okay=False,
        help="An interpreter that has the extra `train`; this one if left out.",
    ),
]  # fmt: skip
Base = Annotated[
    Path | None, typer.Option("--base", help="The base model's folder; TOM_ADAPTER_BASE.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to `tom adapters`."""
    app.command()(train)
    app.command("eval")(evaluate)
    app.command()(compose)


def train(
    config: Annotated[
        str, typer.Argument(help="lora, qlora, dora, kto, ... (configs/), or a YAML file.")
    ],
    domain: Annotated[
        list[str] | None,
        typer.Option("--domain", "-d", help="The profile it is for; may be repeated."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", exists=True, dir_okay=False, help="JSONL of training examples."),
    ] = None,
    base: Base = None,
    values: Annotated[
        list[str] | None,
        typer.Option("--set", help="Another value: training.learning_rate=5e-6; repeatable."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The run's folder, with its checkpoints; found by its name."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin anew, whatever an earlier run has left.")
    ] = False,
    python: Python = None,
) -> None:
    """Train an adapter in a process of its own, and enter it into the registry.

    Ctrl+C stops at a checkpoint; the same command goes on from there. Needs the extra `train`.
    """
    console = Console()
    with errors_told(console):
        if python is None:
            require_train_extra()
        settings = load_settings()
        registry = registry_of(settings)
        domains = domain or [settings.profile]
        folder = out or settings.data_dir / "training" / f"{Path(config).stem}-{domains[0]}"
        said = _overrides(domains, data, base or settings.adapter_base)
        arguments = train_command(config, folder, [*said, *(values or [])], fresh=fresh)
        found = finished(run(arguments, console, python=python, what=f"Training {config}"))
        if found is None:
            console.print("Stopped; nothing was entered. The same command goes on from there.")
            raise typer.Exit(130)
        record = adopt(registry, Path(found.folder), found.adapter, f"trained by {config}")
    _entered(console, record)


def compose(
    parents: Annotated[list[str], typer.Argument(help="Two adapters or more, in order.")],
    kind: Annotated[str, typer.Option("--kind", help="additive, weighted or sequential.")],
    weights: Annotated[str, typer.Option(help="Such as 0.7,0.3; equal if left out.")] = "",
    combination: Annotated[
        str, typer.Option(help="The arithmetic: cat, svd or linear; chosen if left out.")
    ] = "",
    max_rank: Annotated[
        int, typer.Option(min=1, help="The highest rank that the server takes.")
    ] = 16,
    out: Annotated[Path | None, typer.Option("--out", help="Where it is made.")] = None,
    python: Python = None,
) -> None:
    """Put adapters of one base together, check and evaluate the result, and register it."""
    console = Console()
    with errors_told(console):
        if python is None:
            require_train_extra()
        settings = load_settings()
        registry = registry_of(settings)
        if len(parents) < 2:
            raise ConfigError("A composite needs two adapters or more.")
        records = [registry.record(name) for name in parents]
        folders = [f"{r.id}={check_files(r, registry.root)}" for r in records]
        name = "+".join(r.served for r in records)[:120]
        folder = out or settings.data_dir / "training" / f"{kind}-{name}"
        arguments = ["compose", *folders, "--kind", kind, "--out", str(folder)]
        arguments += ["--max-rank", str(max_rank)]
        arguments += ["--weights", weights] if weights else []
        arguments += ["--combination", combination] if combination else []
        results = run(arguments, console, python=python, what="Composing")
        made = next((r for r in results if isinstance(r, Composed)), None)
        if made is None:
            raise ConfigError("The training process said nothing of a composite.")
        record = adopt(registry, Path(made.folder), made.adapter, f"{kind} of {', '.join(parents)}")
    _report(console, made)
    _entered(console, record)


def evaluate(
    adapter: AdapterId,
    data: Annotated[
        Path | None,
        typer.Option("--data", exists=True, dir_okay=False, help="JSONL of held-out examples."),
    ] = None,
    loss: Annotated[bool, typer.Option(help="Measure the held-out loss beside the base's.")] = True,
    golden: Annotated[
        bool, typer.Option(help="Ask the golden prompts by the language server.")
    ] = True,
    max_loss: Annotated[
        float, typer.Option(min=0.0, help="It may have this times the base's loss.")
    ] = 1.0,
    pass_rate: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of golden prompts that must pass.")
    ] = 0.9,
    questions: Annotated[
        int, typer.Option(min=0, help="Of the knowledge base's own, so many are asked.")
    ] = 60,
    file: Annotated[
        Path | None, typer.Option("--golden-file", exists=True, help="Other golden prompts.")
    ] = None,
    base: Base = None,
    python: Python = None,
) -> None:
    """Evaluate an adapter on held-out examples and golden prompts; exit with 1 if it fails.

    What it passes is kept in the registry, and opens the way to `tom adapters promote`.
    """
    console = Console()
    with errors_told(console):
        if not (loss or golden):
            raise ConfigError("Nothing is left to evaluate.", hint="Leave one of the two in.")
        settings = load_settings()
        registry = registry_of(settings)
        record = registry.record(adapter)
        found = _Found()
        if loss:
            where = base or settings.adapter_base
            found.losses(_losses(console, registry, record, where, data, python), max_loss)
        if golden:
            results = asyncio.run(_golden(console, settings, registry, record, file, questions))
            found.golden(results, pass_rate)
        what = What.FAILED if found.wrong else What.PASSED
        happening = Happening(what, found.sentence, "operator")
        registry.happened(record.id, happening, {"metrics": found.metrics})
    console.print(f"{record.id}: {escape(found.sentence)}", soft_wrap=True)
    if found.wrong:
        raise typer.Exit(1)


@dataclass(slots=True)
class _Found:
    """What an evaluation came to."""

    metrics: dict[str, float] = field(default_factory=dict)
    right: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def losses(self, measured: dict[str, float], most: float) -> None:
        """Take the held-out losses; the adapter's may be so many times the base's."""
        mine, bases = measured["loss_dev"], measured["loss_base"]
        self.metrics |= measured
        told = f"held-out loss {mine:.4f}, the base's {bases:.4f}"
        (self.wrong if mine > most * bases else self.right).append(told)

    def golden(self, results: list[GoldenResult], least: float) -> None:
        """Take the golden prompts' results; this share of them must pass."""
        share = share_passed(results)
        self.metrics |= {"golden_passed": share, "golden_asked": float(len(results))}
        told = f"{share:.0%} of {len(results)} golden prompts passed"
        if share < least:
            reasons = ", ".join(f"{name} {count}" for name, count in counted(results).items())
            self.wrong.append(f"{told} (failed: {reasons})")
        else:
            self.right.append(told)

    @property
    def sentence(self) -> str:
        """Return what came of it, in a sentence."""
        if self.wrong:
            return f"It failed: {'; '.join(self.wrong)}."
        return f"It passed: {'; '.join(self.right)}."


def _overrides(domains: list[str], data: Path | None, base: Path | None) -> list[str]:
    said = [f"domain=[{', '.join(domains)}]"]
    said += [f"data.train={data}"] if data else []
    return said + ([f"base.model={base}"] if base else [])


def _losses(
    console: Console,
    registry: AdapterRegistry,
    record: AdapterRecord,
    base: Path | None,
    data: Path | None,
    python: Path | None,
) -> dict[str, float]:
    """Return the held-out loss of the base and of an adapter on it, in nats per token."""
    if python is None:
        require_train_extra()
    if data is None or base is None:
        missing = "--data HELD-OUT.jsonl" if data is None else "--base FOLDER (or TOM_ADAPTER_BASE)"
        raise ConfigError(f"The loss needs {missing}.", hint="Or leave it out: --no-loss.")
    folder = check_files(record, registry.root)
    arguments = ["evaluate", "--base", str(base), "--data", str(data)]
    found: list[float] = []
    for extra, what in (([], "Base"), (["--adapter", str(folder)], "Adapter")):
        results = run([*arguments, *extra], console, python=python, what=what)
        found += [r.loss for r in results if isinstance(r, Evaluated)][-1:]
    return {"loss_base": found[0], "loss_dev": found[1]}


async def _golden(
    console: Console,
    settings: Settings,
    registry: AdapterRegistry,
    record: AdapterRecord,
    file: Path | None,
    most: int,
) -> list[GoldenResult]:
    require_server(settings)
    asked = await golden_prompts(settings, record, file, most)
    if not asked:
        raise ConfigError("No golden prompt is left: retrieval finds none of their entries.")
    columns = (TextColumn("Golden prompts"), BarColumn(), MofNCompleteColumn())
    async with serving(settings, registry, record) as generator:
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("", total=len(asked))
            return await ask(generator, asked, lambda _: bar.advance(task))


def _report(console: Console, made: Composed) -> None:
    console.print(
        f"By {made.combination}; it differs from the sum of its parts by "
        f"{made.relative_error:.1%} in norm."
    )
    if made.conflicts:
        console.print(f"Layers that disagree: {', '.join(made.conflicts[:5])}", soft_wrap=True)
    for row in made.losses:
        parts = ", ".join(f"{name} {value:.4f}" for name, value in row.parents.items())
        console.print(
            f"On what {row.held_out} held out: base {row.base:.4f}, {parts}, "
            f"composite {row.composite:.4f}",
            soft_wrap=True,
        )


def _entered(console: Console, record: AdapterRecord) -> None:
    console.print(f"Entered as [bold]{record.id}[/], served as {record.served}.", soft_wrap=True)
    console.print(f"Next: tom adapters eval {record.id} --data HELD-OUT.jsonl", soft_wrap=True)
