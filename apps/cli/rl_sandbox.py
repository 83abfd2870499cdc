"""`tom rl simulate`: simulated callers teach a sandbox, which serves nobody."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from apps.cli.parts import errors_told
from apps.core.errors import ConfigError
from apps.rl.defaults import settings_catalog, settings_limits, settings_policy, state_path_beside
from apps.rl.deploy_guard import DeployGuard
from apps.rl.guard.stages import Stage
from apps.rl.policy_bandit import PolicyBandit
from apps.rl.sandbox import Rehearsal, Tally
from apps.rl.simulator import Scenario, World
from apps.rl.simulator.office import SCENARIOS, office
from apps.settings import Settings, load_settings
from apps.store.database import Database
from apps.store.purpose import open_sandbox

_TRIED = "tried in the sandbox."

Calls = Annotated[int, typer.Option(min=1, help="How many calls.")]
ScenarioName = Annotated[str, typer.Option("--scenario", help=f"{', '.join(SCENARIOS)}.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the callers and of all choices.")]
Db = Annotated[
    Path | None,
    typer.Option("--db", help="The sandbox's file; rl/sandbox.db in the data folder by default."),
]
Policies = Annotated[
    Path | None, typer.Option(help="Another policy file than RL_POLICIES_PATH, to be tried.")
]
Try = Annotated[
    list[str] | None,
    typer.Option("--try", help="A candidate that is to get calls at once; may be repeated."),
]


def register(app: typer.Typer) -> None:
    """Add the command to `tom rl`."""
    app.command()(simulate)


def simulate(
    calls: Calls = 2000,
    scenario: ScenarioName = "stationary",
    seed: Seed = 1,
    db: Db = None,
    policies: Policies = None,
    tried: Try = None,
) -> None:
    """Let simulated callers teach a sandbox by the code of live calls: no caller is touched.

    A sandbox that is there goes on after the calls that it holds. The server refuses to start on
    one; all other `tom rl` commands look at it with `tom rl --db FILE ...`.
    """
    console = Console()
    with errors_told(console):
        if scenario not in SCENARIOS:
            raise ConfigError(
                f"There is no scenario {scenario!r}.", hint=f"Try {', '.join(SCENARIOS)}."
            )
        settings = load_settings()
        if policies is not None:
            settings = settings.model_copy(update={"rl_policies_path": policies})
        path = db or settings.data_dir / "rl" / "sandbox.db"
        with closing(open_sandbox(path)) as store:
            guard = _guard(settings, store, path, seed)
            for candidate in tried or []:
                _promote(guard, candidate)
            world = World(_scenario(guard, scenario, calls), seed)
            rehearsal = Rehearsal(
                guard,
                world,
                seed,
                limits=settings_limits(settings),
                reward_window_s=settings.rl_reward_window_s,
            )
            with Progress(console=console, transient=True) as progress:
                task = progress.add_task(f"{scenario}, seed {seed}", total=calls)
                for held in rehearsal.hold(calls):
                    progress.advance(task, held)
            _tell(console, guard, world, rehearsal.tally)
        console.print(f"\nLook at it: tom rl --db {escape(str(path))} status", soft_wrap=True)


def _guard(settings: Settings, store: Database, path: Path, seed: int) -> DeployGuard:
    catalog = settings_catalog(settings)
    bandit = PolicyBandit(
        store,
        catalog=catalog,
        policy=settings_policy(settings, catalog.prior),
        state_path=state_path_beside(path),
    )
    # What was drawn before is not drawn again where a sandbox goes on.
    return DeployGuard(bandit, rng=np.random.default_rng([seed, bandit.state.last_seq]))


def _promote(guard: DeployGuard, candidate: str) -> None:
    guard.bandit.check_variant(candidate)
    while guard.state.stages[candidate] in (Stage.OFFLINE, Stage.SHADOW):
        guard.promote(candidate, _TRIED, force=True)


def _scenario(guard: DeployGuard, name: str, calls: int) -> Scenario:
    """Return the scenario with every variant that may get calls."""
    waiting = (Stage.OFFLINE, Stage.SHADOW)
    slots = {
        variant: guard.bandit.variants[variant].slots
        for variant, stage in guard.state.stages.items()
        if stage not in waiting
    }
    return office(name, slots, guard.rules.base_variant, calls)


def _tell(console: Console, guard: DeployGuard, world: World, tally: Tally) -> None:
    known = guard.status()
    table = Table("variant", "stage", box=None)
    for column in ("calls", "mean reward seen", "true mean"):
        table.add_column(column, justify="right")
    for name, true in zip(world.ids, world.population_means, strict=True):
        seen = known[name].mean_reward
        calls, told = tally.calls[name], "" if seen is None else f"{seen:+.2f}"
        table.add_row(name, known[name].stage.value, str(calls), told, f"{true:+.2f}")
    console.print(table)
    parts = ", ".join(f"{mean:+.3f}" for mean in tally.by_part())
    best = float(np.mean(tally.best)) if tally.best else 0.0
    console.print(
        f"\nExpected reward of a call, by quarters of the run: {parts}. With the best variant for "
        f"each profile and language it would be {best:+.3f}; regret {tally.regret:.0f}.",
        soft_wrap=True,
    )
    for what, counts in (("held", tally.held), ("guard's acts", tally.acts)):
        told = ", ".join(f"{name} {count}" for name, count in counts.most_common()) or "none"
        console.print(f"{what}: {told}", soft_wrap=True)
