"""Training on a GPU: speed, memory, what QLoRA saves, and whether a killed run ends the same.

python -m benchmarks.adapters.gpu            on a CUDA GPU; 8 minutes
python -m benchmarks.adapters.gpu --small    anywhere, in 3 minutes: shows that it works

The base is a Llama with random weights that is made here, so nothing is downloaded, and the losses
say only that it learns. Needs the ``train`` extra, and bitsandbytes for QLoRA; what is missing is
said in the table.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from apps.core.errors import TomError
from apps.rl.adapters.examples import Message, TrainingExample, write_examples
from apps.rl.adapters.training.events import Checkpoint, Evaluated, Finished, Ready, Step
from apps.rl.adapters.training.process import follow, train_command

WARM_UP_STEPS = 3
LARGE = {"hidden": 2048, "layers": 18, "heads": 16, "vocabulary": 32_000, "dtype": "bfloat16"}
SMALL = {"hidden": 128, "layers": 2, "heads": 4, "vocabulary": 1000, "dtype": "float32"}


@dataclass
class Run:
    """What one training showed.

    Attributes:
        name: What was trained.
        parameters: Of base and adapter, in millions (of a base in 4 bits as it is stored).
        trainable: Of the adapter, in millions.
        tokens_s: Median tokens a second after the first steps.
        memory_mb: Most memory in use.
        before: Held-out loss before.
        after: And after.
        seconds: Of the whole process.
        problem: Why there is no result.
    """

    name: str
    parameters: float = 0.0
    trainable: float = 0.0
    tokens_s: float = 0.0
    memory_mb: float = 0.0
    before: float = 0.0
    after: float = 0.0
    seconds: float = 0.0
    problem: str = ""


def examples(count: int, words: int) -> list[TrainingExample]:
    """Return turns whose prompts carry a passage of some length, as the assistant's do."""
    offices = ("registry", "library", "pool", "archive")
    passage = "the office is open every day and answers questions about its hours " * (words // 12)
    return [
        TrainingExample(
            messages=(
                Message(role="system", content=passage),
                Message(role="user", content=f"when is the {offices[n % 4]} open on day {n}"),
            ),
            completion=f"the {offices[n % 4]} is open on day {n} from {n % 12} until {n % 7 + 12}",
            calls=(f"call-{n}",),
        )
        for n in range(count)
    ]


async def trained(name: str, command: Sequence[str], *, kill_at: int = 0) -> Run:
    """Train; with ``kill_at`` the process is killed after that many checkpoints."""
    run, speeds, checkpoints, began = Run(name), [], 0, time.monotonic()
    try:
        async with follow(command) as events:
            async for event in events:
                if isinstance(event, Ready):
                    run.parameters, run.trainable = event.parameters / 1e6, event.trainable / 1e6
                elif isinstance(event, Step):
                    speeds.append(event.tokens_s)
                    run.memory_mb = max(run.memory_mb, event.memory_mb)
                elif isinstance(event, Evaluated):
                    run.before, run.after = (
                        (event.loss, run.after)
                        if event.what == "before"
                        else (run.before, event.loss)
                    )
                elif isinstance(event, Checkpoint):
                    checkpoints += 1
                    if checkpoints == kill_at:
                        os.kill(_child(), 9)
                elif isinstance(event, Finished):
                    run.seconds = time.monotonic() - began
    except TomError as error:
        run.problem = error.message
    run.tokens_s = statistics.median(speeds[WARM_UP_STEPS:] or speeds or [0.0])
    return run


def _child() -> int:
    """Return the one child process, the training."""
    listed = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return int(listed[-1])


def difference(one: Path, other: Path) -> float:
    """Return the largest difference between two adapters' weights, over the largest weight."""
    from safetensors.torch import load_file

    mine, theirs = (load_file(f / "adapter" / "adapter_model.safetensors") for f in (one, other))
    largest = max(float(weight.abs().max()) for weight in mine.values())
    return max(float((mine[name] - theirs[name]).abs().max()) for name in mine) / largest


async def measure(work: Path, small: bool) -> None:
    from tests.train.tiny import make_base

    base = make_base(work / "base", **(SMALL if small else LARGE))  # type: ignore[arg-type]
    count, words = (64, 48) if small else (1600, 400)
    write_examples(work / "turns.jsonl", examples(count, words))
    batch, micro = (16, 8) if small else (32, 8)
    common = [
        f"base.model={base}",
        f"data.train={work / 'turns.jsonl'}",
        *(f"training.{key}={value}" for key, value in {
            "epochs": 1, "batch": batch, "micro_batch": micro, "learning_rate": 0.0005,
            "checkpoint_steps": 1 if small else 10, "threads": int(small),
        }.items()),
    ]  # fmt: skip
    runs = []
    for profile, more in (
        ("lora", []),
        ("dora", []),
        ("qlora", ["training.gradient_checkpointing=false"]),
        ("lora", ["training.gradient_checkpointing=true"]),
    ):
        name = profile + (" with checkpointed activations" if more and profile == "lora" else "")
        out = work / name.replace(" ", "-")
        runs.append(await trained(name, train_command(profile, out, [*common, *more])))
        print(json.dumps(asdict(runs[-1])), flush=True)
    command = train_command("lora", work / "killed", common)
    killed = await trained("lora, killed", command, kill_at=2)
    resumed = await trained("lora, taken up again", command)
    print(json.dumps(asdict(resumed)), flush=True)
    print(table([*runs, resumed]))
    print(f"\nThe killed one: {killed.problem}")
    if not resumed.problem:
        apart = difference(work / "lora", work / "killed")
        print(f"Its adapter and the uninterrupted one's differ by at most {apart:.1e}, relatively.")


def table(runs: Sequence[Run]) -> str:
    """Return the runs as a Markdown table."""
    lines = [
        "| training | M parameters | M trained | tokens/s | MB at most | loss | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        if run.problem:
            lines.append(f"| {run.name} | {run.problem} | | | | | |")
            continue
        lines.append(
            f"| {run.name} | {run.parameters:.1f} | {run.trainable:.2f} | {run.tokens_s:.0f} |"
            f" {run.memory_mb:.0f} | {run.before:.2f} → {run.after:.2f} | {run.seconds:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--small", action="store_true", help="a tiny base, to show that it works")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        asyncio.run(measure(Path(work), arguments.small))


if __name__ == "__main__":
    main()
