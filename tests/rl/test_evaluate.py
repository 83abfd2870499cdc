"""Off-policy evaluation over a real store: what is read, what is judged, and `tom rl evaluate`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from apps.cli.rl import rl_app
from apps.rl.deploy_guard import DeployGuard
from apps.rl.off_policy import Rules
from apps.rl.report.evaluations import CURRENT, FLATTERED, SERVED, current_target, judge
from apps.rl.report.history import History, read
from apps.rl.trainer.calls import HELD, Gathered, Source
from apps.store.decisions import add_decision
from apps.store.feedback import FeedbackKind, append_feedback
from benchmarks.learning.scenarios import SCENARIOS
from tests.rl.deployed_store import serve
from tests.rl.seeded_store import feedback_of, seed_store, simulated_calls

RULES = Rules(replicates=100)
CALLS = simulated_calls(800)


def rl(*args: str) -> Result:
    return CliRunner().invoke(rl_app, args)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    """Return a log in which all variants were tried evenly."""
    db = seed_store(tmp_path_factory.mktemp("evaluate") / "feedback.db", CALLS)
    with db.reading() as conn:
        return read(conn)


def test_every_variant_is_estimated_where_all_were_tried_evenly(history: History) -> None:
    names = list(SCENARIOS["stationary"].variants)
    found = judge(history, names, rules=RULES)
    assert found.calls == len(CALLS)
    for name in names:
        judged = found.of(name)
        assert judged is not None
        plain = np.mean([call.reward for call in CALLS if call.variant == name])
        best = judged.logged.estimate("stabilised DR")
        assert best.delta.low < plain < best.delta.high
    assert found.of(CURRENT) is None


def test_what_was_served_earned_its_mean(history: History) -> None:
    served = judge(history, [], rules=RULES).of(SERVED)
    assert served is not None
    assert served.logged.estimate("IPS").value == pytest.approx(np.mean([c.reward for c in CALLS]))


def test_the_policy_as_it_is_now_is_weighed_by_what_it_would_choose(history: History) -> None:
    found = judge(history, ["v3b"], now=lambda context: {"v3b": 1.0}, rules=RULES)
    current, alone = found.of(CURRENT), found.of("v3b")
    assert current is not None
    assert alone is not None
    assert current.logged.estimates == alone.logged.estimates
    assert current.notes == (FLATTERED,)


def test_what_had_no_chance_then_goes_to_what_had_one(history: History) -> None:
    found = judge(history, [], now=lambda context: {"v3b": 0.5, "c1": 0.5}, rules=RULES)
    current = found.of(CURRENT)
    assert current is not None
    assert current.logged.refusal is None
    assert "50.0% of its choices had no chance" in current.notes[1]


def test_a_variant_that_nobody_was_ever_given_is_refused(history: History) -> None:
    judged = judge(history, ["c1"], rules=RULES).of("c1")
    assert judged is not None
    assert judged.logged.refusal is not None
    assert judged.notes == ("It had no chance in any of these calls.",)


def test_a_policy_is_asked_once_for_each_context() -> None:
    asked = []

    def now(context: dict[str, object]) -> dict[str, float]:
        asked.append(context)
        return {"a": 1.0} if context["language"] == "en" else {"b": 1.0}

    contexts = [{"language": "en"}, {"language": "de"}, {"language": "en"}]
    table = current_target(contexts, ["a", "b"], now)  # type: ignore[arg-type]
    assert table.tolist() == [[1, 0], [0, 1], [1, 0]]
    assert len(asked) == 2


def test_late_ratings_count_and_held_and_unlearned_calls_do_not(tmp_path: Path) -> None:
    db = seed_store(tmp_path / "feedback.db", [])
    late, held, trial = CALLS[:3]
    with db.transaction() as conn:
        for call in (late, held, replace(trial, decision=replace(trial.decision, learns=False))):
            add_decision(conn, call.decision)
            append_feedback(conn, feedback_of(call, held="quality" if call is held else None))
        append_feedback(
            conn,
            feedback_of(
                late,
                event_id="late",
                kind=FeedbackKind.REVISION,
                reward=0.75,
                revises=late.reward,
                rating=5,
            ),
        )
    with db.reading() as conn:
        history = read(conn)
    assert [call.reward for call in history.calls] == [0.75]
    assert [event.rating for event in history.holding(history.calls)] == [5]
    assert history.gathered.left_out[HELD] == 1


def test_calls_whose_probabilities_are_none_are_left_out_and_counted() -> None:
    broken = replace(CALLS[0].decision, propensities={CALLS[0].variant: 0.4}, propensity=0.4)
    gathered = (replace(CALLS[0], decision=broken), *CALLS[1:400])
    events = tuple(feedback_of(call) for call in gathered)
    history = History((), events, Gathered(gathered, {}, Source("a-store", 1, 1)))
    found = judge(history, [], rules=RULES)
    assert (found.calls, found.improper) == (399, 1)


def test_an_empty_store_gives_no_estimates(settings_in: Callable[..., Path]) -> None:
    settings_in(COLUMNS="140")
    result = rl("evaluate")
    assert result.exit_code == 0
    assert "there is nothing to evaluate on" in result.output
    assert json.loads(rl("evaluate", "--json").stdout)["policies"] == {}


def test_the_command_tells_and_corrects(settings_in: Callable[..., Path]) -> None:
    settings_in(COLUMNS="140")
    serve(DeployGuard(rng=np.random.default_rng(0)), 300)
    told = rl("evaluate", "--variant", "v1a")
    assert told.exit_code == 0
    assert "by every estimator" in told.output
    assert "left out" in told.output
    found = json.loads(rl("evaluate", "--current", "--json").stdout)
    assert set(found["policies"]) == {CURRENT, SERVED}
    served = found["policies"][SERVED]
    assert served["corrected"]["estimates"] != served["logged"]["estimates"]
    assert served["logged"]["best"] == "stabilised DR"
    assert found["left_out"][HELD] > 0
    assert rl("evaluate", "--variant", "nobody").exit_code == 1


def test_the_event_that_holds_is_told_under_the_variant_that_served() -> None:
    call = CALLS[0]
    elsewhere = replace(feedback_of(call), variant="another", seq=1)
    by_hand = replace(elsewhere, kind=FeedbackKind.ADMIN, reward=-1.0, seq=2)
    history = History((), (elsewhere, by_hand), Gathered((call,), {}, Source("a-store", 2, 1)))
    (event,) = history.holding(history.calls)
    assert (event.variant, event.reward) == (call.variant, call.reward)
