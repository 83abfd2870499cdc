"""The sandbox: simulated callers, the code of live calls, and a store that serves nobody."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from apps.cli.rl import rl_app
from apps.core.errors import StoreError
from apps.core.resources import resource
from apps.main import run_tom
from apps.rl.deploy_guard import DeployGuard, select_variant_for_deployment
from apps.rl.guard.stages import Stage
from apps.rl.policy_bandit import PolicyBandit
from apps.rl.reward_calc import RewardCalculator
from apps.rl.sandbox import EPOCH, Tally, feedback_of
from apps.rl.settle import Settler
from apps.rl.simulator import World
from apps.rl.simulator.office import SCENARIOS, office
from apps.rl.variants import load_catalog
from apps.settings import load_settings, read_settings
from apps.store.database import open_database
from apps.store.decisions import DecisionRow, add_decision, decisions_since
from apps.store.feedback import FeedbackKind, feedback_since
from apps.store.purpose import open_sandbox, refuse_sandbox

SLOTS = load_catalog(resource("policies", "prompt_variants.yaml")).slots


def rl(*args: str) -> Result:
    return CliRunner().invoke(rl_app, args)


def simulate(db: Path, *args: str, calls: int = 40) -> Result:
    result = rl("simulate", "--db", str(db), "--calls", str(calls), *args)
    assert result.exit_code == 0, result.output
    return result


def history(db: Path) -> list[object]:
    with open_database(db, pooled=False).reading() as conn:
        chosen = [(d.call_ref, d.variant, d.propensities) for d in decisions_since(conn, 0)]
        return [*chosen, *((e.event_id, e.reward, e.at_hour) for e in feedback_since(conn, 0))]


@pytest.fixture
def folder(settings_in: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    put = settings_in()
    monkeypatch.delenv("TOM_STORE_URL", raising=False)  # a sandbox is a file
    load_settings.cache_clear()
    return put


def test_the_same_seed_makes_the_same_history_and_another_one_does_not(folder: Path) -> None:
    for name, seed in (("a.db", "7"), ("b.db", "7"), ("c.db", "8")):
        simulate(folder / name, "--seed", seed)
    assert history(folder / "a.db") == history(folder / "b.db")
    assert len(history(folder / "a.db")) >= 80
    rewards = [[row[1] for row in history(folder / n)] for n in ("a.db", "c.db")]  # type: ignore[index]
    assert rewards[0] != rewards[1]


def test_a_sandbox_goes_on_after_the_calls_that_it_holds(folder: Path) -> None:
    simulate(folder / "a.db", calls=30)
    simulate(folder / "a.db", calls=30)
    refs = [row[0] for row in history(folder / "a.db")][:60]  # type: ignore[index]
    assert refs == [f"office_stationary-1-{n}" for n in range(60)]


def test_the_servers_snapshots_are_left_alone_and_the_sandbox_has_its_own(folder: Path) -> None:
    live = PolicyBandit()
    live.update("v1a", 0.5)
    before = live.state_path.read_bytes()
    simulate(folder / "data/rl/sandbox.db")
    shown = rl("--db", str(folder / "data/rl/sandbox.db"), "status", "--json").output
    assert '"pulls": 1,' not in shown.split("v1b")[0]
    assert live.state_path.read_bytes() == before
    assert (folder / "data/rl/sandbox.snapshots/bandit_state.json").exists()
    assert '"pulls": 1,' in rl("status", "--json").output.split("v1b")[0]


def test_what_is_shown_of_a_sandbox_says_that_its_callers_were_simulated(folder: Path) -> None:
    simulate(folder / "s.db")
    assert "This store is a sandbox" in rl("--db", str(folder / "s.db"), "status").output
    assert json.loads(rl("--db", str(folder / "s.db"), "status", "--json").output)["sandbox"]
    rl("--db", str(folder / "s.db"), "report", "--out", str(folder / "page.html"))
    assert "the store is a sandbox" in (folder / "page.html").read_text(encoding="utf-8")
    assert "sandbox" not in rl("status").output


def test_settings_that_point_at_a_sandbox_do_not_mix_the_snapshots_either(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulate(folder / "data/rl/sandbox.db")
    monkeypatch.setenv("RL_FEEDBACK_DB_PATH", str(folder / "data/rl/sandbox.db"))
    load_settings.cache_clear()
    assert rl("status").exit_code == 0
    assert not load_settings().rl_bandit_state_path.exists()


def test_the_server_does_not_start_on_a_sandbox(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_sandbox(folder / "sandbox.db").close()
    monkeypatch.setenv("RL_FEEDBACK_DB_PATH", str(folder / "sandbox.db"))
    load_settings.cache_clear()

    async def start() -> None:
        async with run_tom(read_settings()):
            raise AssertionError("it serves")

    with pytest.raises(StoreError, match="simulated callers"):
        asyncio.run(start())
    with pytest.raises(StoreError, match="simulated callers"):
        select_variant_for_deployment()


def test_a_store_of_callers_is_never_simulated_in_even_an_empty_one(folder: Path) -> None:
    open_database(folder / "live.db").close()
    refused = rl("simulate", "--db", str(folder / "live.db"), "--calls", "5")
    assert refused.exit_code == 1
    assert "is no sandbox" in refused.output
    assert history(folder / "live.db") == []
    refuse_sandbox(open_database(folder / "live.db", pooled=False))


def test_a_candidate_can_be_tried_at_once_and_only_in_the_sandbox(folder: Path) -> None:
    candidates = folder / "data/rl/candidates"
    candidates.mkdir(parents=True)
    (candidates / "c.yaml").write_text(
        "variants:\n  c9:\n    name: Short and warm\n    parameters: {tone: warm, length: short}\n"
    )
    simulate(folder / "a.db", calls=60)
    assert all(row[2].get("c9", 0.0) == 0.0 for row in history(folder / "a.db")[:60])  # type: ignore[index]
    simulate(folder / "b.db", "--try", "c9", "--seed", "3", calls=60)
    assert any(row[2]["c9"] > 0.0 for row in history(folder / "b.db")[:60])  # type: ignore[index]
    assert "tried in the sandbox" in rl("--db", str(folder / "b.db"), "explain", "c9").output
    assert "probability 0.000" in rl("explain", "c9").output
    assert DeployGuard().state.stages["c9"] is Stage.OFFLINE


def test_unknown_scenarios_and_variants_are_named(folder: Path) -> None:
    wrong = rl("simulate", "--db", str(folder / "a.db"), "--scenario", "mars")
    assert (wrong.exit_code, "'mars'" in wrong.output) == (1, True)
    wrong = rl("simulate", "--db", str(folder / "a.db"), "--try", "v9z")
    assert (wrong.exit_code, "'v9z'" in wrong.output) == (1, True)


def test_hours_are_the_simulated_worlds(folder: Path) -> None:
    simulate(folder / "a.db", "--scenario", "late-ratings", calls=60)
    with open_database(folder / "a.db", pooled=False).reading() as conn:
        hours = [e.at_hour for e in feedback_since(conn, 0)]
        kinds = {e.kind for e in feedback_since(conn, 0)}
    assert hours == sorted(h for h in hours if h is not None)
    assert hours[0] is not None
    assert hours[0].date() == EPOCH.date()
    assert FeedbackKind.REVISION in kinds


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_simulated_call_ends_with_the_signals_that_its_world_says(
    name: str, folder: Path
) -> None:
    world = World(office(name, SLOTS, "v1a", 200), seed=2)
    calls = world.calls(200)
    outcomes = world.outcomes(calls)
    settler = Settler(RewardCalculator(), learns=False)
    db = open_sandbox(folder / "s.db")
    with db.transaction() as conn:
        for i in range(len(calls)):
            outcome = outcomes.of(i, i % len(world.ids))
            ref, variant = f"c{i}", world.ids[i % len(world.ids)]
            add_decision(conn, DecisionRow(ref, variant, 1.0, {variant: 1.0}, {}, "", False, 0))
            feedback = feedback_of(outcome, calls.context(world.scenario, i))
            learned = settler.end(conn, ref, feedback)
            if outcome.abandoned:
                assert learned.reward is None
                continue
            late = outcome.rating_delay_s > 0.0
            known = outcome.signals.model_copy(update={"user_rating": None} if late else {})
            assert learned.signals == known
            assert learned.reward is not None
            assert learned.reward.value == pytest.approx(outcome.reward_at_end)
            if late and outcome.signals.user_rating:
                revised = settler.rate(conn, ref, outcome.signals.user_rating, 60.0)
                assert revised.reward is not None
                assert revised.reward.value == pytest.approx(outcome.reward)
    db.close()


def test_regret_is_what_the_best_variants_would_have_had_more() -> None:
    tally = Tally()
    for value in (0.1, 0.1, 0.3, 0.3):
        tally.add("v1a", value, 0.4)
    assert tally.regret == pytest.approx(0.8)
    assert tally.by_part(2) == pytest.approx([0.1, 0.3])


def test_another_policy_file_can_be_tried(folder: Path) -> None:
    file = folder / "two.yaml"
    file.write_text(
        "variants:\n"
        "  a1: {name: One, parameters: {length: medium}}\n"
        "  a2: {name: Two, parameters: {length: short}}\n"
        "deployment:\n  traffic_split:\n    base_variant: a1\n"
    )
    shown = simulate(folder / "a.db", "--policies", str(file)).output
    assert "a2" in shown
    assert "v1a" not in shown
    assert Stage.BASE.value in shown
    assert "v1a" in PolicyBandit().variants  # elsewhere nothing has changed


def test_the_trainer_offers_callers_nothing_that_only_simulated_ones_like(folder: Path) -> None:
    simulate(folder / "a.db", calls=5)
    refused = rl("--db", str(folder / "a.db"), "train")
    assert refused.exit_code == 1
    assert "--out FOLDER" in refused.output
    taken = rl("--db", str(folder / "a.db"), "train", "--out", str(folder / "own"))
    assert taken.exit_code == 0, taken.output
