"""Learners on simulated calls: what reaches them, and how they are measured."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.learning.__main__ import LEARNERS, compare, interval, main, report
from benchmarks.learning.learners import Feedback, Seen, Task
from benchmarks.learning.run import BAD_GAP, course, run
from benchmarks.learning.scenarios import SCENARIOS


class Listener:
    """Always chooses the same variant and remembers what it is told."""

    def __init__(self, variant: int) -> None:
        self.variant = variant
        self.told: list[Feedback] = []
        self.known_at: dict[int, int] = {}

    def choose(self, call: Seen) -> int:
        self.known_at[call.index] = len(self.told)
        return self.variant

    def learn(self, feedback: Feedback) -> None:
        self.told.append(feedback)


def listen(scenario: str, calls: int = 1500, variant: int = 3, seed: int = 1):
    on = course(replace(SCENARIOS[scenario], calls=calls), seed)
    listener = Listener(variant)
    return on, listener, run(on, lambda task: listener, seed)


def test_a_learner_hears_of_a_call_only_after_its_end():
    on, listener, _ = listen("stationary")
    ended = on.calls.at_s + on.outcomes.duration_s[:, 3]
    for call, known in listener.known_at.items():
        heard = [f.call.index for f in listener.told[:known]]
        assert all(ended[i] <= on.calls.at_s[call] for i in heard[-3:])
        assert call not in heard


def test_an_abandoned_call_teaches_nothing_and_all_others_do():
    on, listener, _ = listen("stationary")
    told = {f.call.index for f in listener.told}
    left = set(np.flatnonzero(on.outcomes.abandoned[:, 3]).tolist())
    assert left
    assert not told & left
    assert len(told | left) >= len(on.calls) - 3  # the last calls are not over yet


def test_a_late_rating_revises_the_reward_it_belongs_to():
    on, listener, _ = listen("delayed_missing")
    first = {f.call.index: f.reward for f in listener.told if f.revises is None}
    late = [f for f in listener.told if f.revises is not None]
    assert len(late) > 50
    for feedback in late:
        assert feedback.revises == first[feedback.call.index]
        assert feedback.reward == on.outcomes.reward[feedback.call.index, 3]
    assert len({f.event for f in listener.told}) == len(listener.told)


def test_the_copies_that_bots_send_arrive_as_events_of_their_own():
    on, listener, _ = listen("poisoned")
    events = [f.call.index for f in listener.told]
    twice = {i for i in events if events.count(i) > 1}
    assert twice
    assert all(on.calls.hidden.bot[i] for i in twice)


def test_regret_is_what_the_truth_says_the_choices_cost():
    on, _, found = listen("drift_step", calls=5000)
    truth, means = on.world.truth(on.calls).logged, on.world.means.at(on.calls)
    best = means.argmax(axis=1)
    cost = truth[np.arange(5000), best] - truth[:, 3]
    assert found.regret[-1] == pytest.approx(cost.sum())
    assert found.regret[49] == pytest.approx(cost[:2500].sum())
    bad = means[:, 3] < means.max(axis=1) - BAD_GAP
    assert found.bad_share == pytest.approx(bad.mean())


def test_bots_calls_cost_nothing():
    on, _, _ = listen("poisoned")
    assert not on.costs[on.calls.hidden.bot].any()
    assert not on.bad[on.calls.hidden.bot].any()


@pytest.mark.parametrize("name", LEARNERS)
def test_every_learner_repeats_itself_for_a_seed(name: str):
    on = course(replace(SCENARIOS["delayed_missing"], calls=120), 5)
    one, other = (run(on, LEARNERS[name], 5) for _ in range(2))
    assert np.array_equal(one.regret, other.regret)


def test_learning_pays():
    found = compare("rare_profile", ["tom-beta", "epsilon-greedy", "uniform"], range(3), 3000)
    regret = {name: np.mean([r.regret[-1] for r in some]) for name, some in found.runs.items()}
    assert regret["tom-beta"] < 0.6 * regret["uniform"]
    assert regret["epsilon-greedy"] < 0.6 * regret["uniform"]
    assert np.mean(found.single) < regret["tom-beta"]


def test_the_guard_holds_new_variants_back():
    on = course(replace(SCENARIOS["stationary"], calls=150), 0)
    task = Task(on.world.ids, 0, on.world.variants.one_hot, 1, 150, 0)
    guarded = LEARNERS["tom-guarded"](task)
    chosen = [guarded.choose(Seen(i, 0, np.ones(1))) for i in range(400)]
    assert chosen.count(0) / 400 > 0.8


def test_a_test_is_even_and_then_commits():
    task = Task(("a", "b"), 0, np.eye(2), 1, 10, 0)
    learner = LEARNERS["test-then-commit"](task)
    seen = [Seen(i, 0, np.ones(1)) for i in range(10)]
    assert [learner.choose(seen[0]), learner.choose(seen[1])] == [0, 1]
    learner.learn(Feedback("0", seen[0], 0, 0.2))
    learner.learn(Feedback("1", seen[1], 1, 0.1))
    learner.learn(Feedback("1r", seen[1], 1, 0.3, revises=0.1))
    assert [learner.choose(call) for call in seen[2:]] == [1] * 8


def test_intervals_are_students():
    mean, half = interval([1.0, 2.0, 3.0])
    assert mean == 2.0
    assert half == pytest.approx(4.303 / math.sqrt(3))
    assert math.isnan(interval([1.0])[1])
    assert interval([0.0, 1.0] * 50)[1] == pytest.approx(2.010 * 0.0502519, rel=1e-4)


def test_the_command_prints_a_table_and_keeps_the_curves(capsys, tmp_path):
    kept = tmp_path / "runs.json"
    words = ["--scenario", "opposite", "--seeds", "2", "--calls", "200", "--json", str(kept)]
    assert main([*words, "--learners", "uniform", "tom-beta"]) == 0
    printed = capsys.readouterr().out
    assert "### opposite" in printed
    assert "| uniform |" in printed
    assert "(best single variant)" in printed
    assert '"tom-beta"' in kept.read_text()


def test_a_report_says_how_many_seeds_it_rests_on():
    found = compare("stationary", ["uniform"], range(2), 100)
    assert "| 2 seeds |" in report(found)
