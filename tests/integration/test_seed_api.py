"""The module-level API as a script uses it: each test in a process of its own, in an empty folder.

These functions read the settings by themselves, so the folder and the environment are all they get.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]

Script = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Script:
    """Return a function that runs a script in the test's folder and returns what it printed."""

    def run_script(script: str, **settings: str) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", script],
            cwd=tmp_path,
            env={**_environment(), **settings},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout

    return run_script


def _environment() -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("TOM_", "RL_", "PROM"))}
    return {**inherited, "PYTHONPATH": str(CHECKOUT)}


def tables(folder: Path) -> dict[str, int]:
    """How many rows each table of what a call leaves has."""
    import sqlite3

    with sqlite3.connect(folder / "data" / "rl" / "feedback.db") as conn:
        names = ("decisions", "feedback_events", "calls")
        return {n: conn.execute(f"SELECT count(*) FROM {n}").fetchone()[0] for n in names}


def test_feedback_is_none_and_nothing_is_stored_where_nobody_is_on_the_line(run, tmp_path) -> None:
    printed = run("""
import asyncio
from apps.dispatcher.closing import ask_feedback

session_context = {
    "policy_variant": "v1a",
    "profile": "kfz",
    "duration_sec": 120,
    "barge_in_count": 1,
    "repeats": 0,
}

async def main():
    print(await ask_feedback("call_123", session_context))

asyncio.run(main())
""")
    assert printed == "None\n"
    assert not (tmp_path / "data").exists()


def test_a_session_gets_its_policy_from_the_bandit(run, tmp_path) -> None:
    printed = run("""
import asyncio
from apps.dispatcher.rt_fsm import create_call_session

async def main():
    context = {"profile": "kfz", "time_of_day": "morning"}
    first = await create_call_session("call_456", "kfz")
    second = await create_call_session("call_457", "kfz", context)
    for session in (first, second):
        print(session.policy_variant, session.decision.propensity, session.state.value)

asyncio.run(main())
""")
    for line in printed.splitlines():
        variant, propensity, state = line.split()
        assert variant in VARIANTS
        assert 0 < float(propensity) <= 1
        assert state == "idle"
    assert tables(tmp_path) == {"decisions": 2, "feedback_events": 0, "calls": 0}


def test_the_reward_follows_the_formula(run) -> None:
    printed = run("""
from apps.rl.reward_calc import calc_reward

signals = {"resolution": True, "user_rating": 4, "barge_in_count": 1, "duration_sec": 120}
print(float(calc_reward(signals)))
""")
    expected = 0.6 + 0.2 * (4 - 3) / 2 - 0.1 / 3 + min(0.2, (180 - 120) / 180)
    assert float(printed) == pytest.approx(expected)


def test_a_reward_updates_the_bandit_for_good(run, tmp_path) -> None:
    run("""
from apps.rl.policy_bandit import update_policy_reward

update_policy_reward("v1a", 0.7)
""")
    run("""
from apps.rl.policy_bandit import update_policy_reward

update_policy_reward("v1a", -0.1)
""")
    state = json.loads((tmp_path / "data" / "rl" / "bandit_state.json").read_text())
    arm = state["variants"]["v1a"]
    assert arm["pulls"] == 2
    assert arm["alpha"] + arm["beta"] == pytest.approx(4.0)
    assert arm["alpha"] == pytest.approx(1 + (1.7 + 0.9) / 2)
    assert tables(tmp_path)["feedback_events"] == 2


def test_deployment_selects_a_variant_that_calls_may_get(run) -> None:
    printed = run("""
from apps.rl.deploy_guard import select_variant_for_deployment

print(select_variant_for_deployment({"profile": "kfz"}))
""")
    assert printed.strip() in VARIANTS


def test_variants_are_loaded_and_added_as_the_deployment_does_it(run) -> None:
    printed = run(
        f"""
from apps.rl.policy_bandit import PolicyBandit, PolicyVariant
from apps.rl.deploy_guard import DeployGuard
import yaml

with open({str(CHECKOUT / "docs" / "policies" / "prompt_variants.yaml")!r}) as f:
    data = yaml.safe_load(f)

bandit = PolicyBandit()
for variant_id, variant_data in data["variants"].items():
    bandit.add_variant(PolicyVariant(
        id=variant_id,
        name=variant_data["name"],
        parameters=variant_data["parameters"],
    ))

guard = DeployGuard()
for variant_id in data["variants"].keys():
    guard.add_variant_to_deployment(variant_id)
print(*sorted(guard.status()))
"""
    )
    assert tuple(printed.split()) == VARIANTS


WORKFLOW = """
import asyncio
from apps.dispatcher.rt_fsm import create_call_session, handle_call_event, CallEvent
from apps.dispatcher.closing import ask_feedback

async def test_rl_workflow():
    session = await create_call_session("test_call", "kfz")
    print(session.policy_variant)
    await handle_call_event("test_call", CallEvent.INCOMING_CALL)
    await handle_call_event("test_call", CallEvent.CALL_ANSWERED)
    await handle_call_event("test_call", CallEvent.CALL_ENDED)
    rating = await ask_feedback("test_call", {
        "policy_variant": session.policy_variant,
        "profile": "kfz",
        "duration_sec": 120,
    })
    print(rating)

asyncio.run(test_rl_workflow())
"""


def test_the_whole_workflow_runs_and_an_unanswered_call_is_counted_not_rewarded(
    run, tmp_path
) -> None:
    variant, rating = run(WORKFLOW).split()
    assert variant in VARIANTS
    assert rating == "None"
    assert tables(tmp_path) == {"decisions": 1, "feedback_events": 1, "calls": 0}
    status = run("""
from apps.rl.policy_bandit import PolicyBandit
print(sum(arm.pulls for arm in PolicyBandit().state.arms.values()))
""")
    assert status == "0\n"


def test_the_workflow_gets_the_base_variant_where_learning_is_off(run, tmp_path) -> None:
    assert run(WORKFLOW, RL_ENABLED="false").split() == ["v1a", "None"]


def test_an_event_that_does_not_fit_raises_and_changes_nothing(run) -> None:
    printed = run("""
import asyncio
from apps.core.errors import IllegalEvent, UnknownCall
from apps.dispatcher.rt_fsm import create_call_session, handle_call_event, CallEvent

async def main():
    session = await create_call_session("call_1", "kfz")
    try:
        await handle_call_event("call_1", CallEvent.CALL_ANSWERED)
    except IllegalEvent as error:
        print(error.code, session.state.value)
    try:
        await create_call_session("call_1", "kfz")
    except IllegalEvent as error:
        print(error.code)
    try:
        await handle_call_event("call_2", CallEvent.INCOMING_CALL)
    except UnknownCall as error:
        print(error.code)

asyncio.run(main())
""")
    assert printed.split() == ["illegal_event", "idle", "call_exists", "unknown_call"]


VARIANTS = ("v1a", "v1b", "v1c", "v1d", "v2a", "v2b", "v2c", "v2d", "v3a", "v3b", "v3c", "v3d")
