"""The comparison of learners: what it runs without other libraries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.learning import bundled, kept, pages
from benchmarks.learning.learners import Feedback, Learner, Seen, Task
from benchmarks.learning.ours import Disjoint
from benchmarks.learning.peers.tensorzero import TrackAndStop, proportions
from benchmarks.learning.results import beside, told
from benchmarks.learning.roster import SIMULATED, Entry
from benchmarks.learning.run import Run, course, run
from benchmarks.learning.scenarios import STATIONARY

OWN = [name for name in SIMULATED if name.startswith("tom-")]
PLAIN = ["tensorzero", "ab-then-commit", "epsilon-greedy", "uniform"]
SHORT = course(replace(STATIONARY, calls=300), seed=1)


@pytest.mark.parametrize("name", OWN + PLAIN)
def test_everybody_holds_calls_and_never_beats_the_best_by_more_than_it_can_know(name: str) -> None:
    made = run(SHORT, SIMULATED[name].make, seed=1)
    assert made.regret[-1] > 0.0
    assert 0.0 <= made.worst_share <= made.bad_share <= 1.0


def test_our_learners_cost_less_than_choosing_by_chance() -> None:
    chance = run(SHORT, SIMULATED["uniform"].make, seed=1).regret[-1]
    for name in ("tom-nig", "tom-linear", "tom-linear-ucb"):
        assert run(SHORT, SIMULATED[name].make, seed=1).regret[-1] < 0.8 * chance


def _taught(learner: Learner, rewards: np.ndarray, rounds: int) -> list[int]:
    """Let a learner choose among arms whose rewards are these means and a little noise."""
    rng, chosen = np.random.default_rng(0), []
    for i in range(rounds):
        call = Seen(i, i, np.ones(1))
        arm = learner.choose(call)
        chosen.append(arm)
        learner.learn(Feedback(f"{i}", call, arm, float(rewards[arm] + rng.normal(0.0, 0.1))))
    return chosen


def test_track_and_stop_stops_at_the_best_and_stays_there() -> None:
    learner = TrackAndStop(Task(["a", "b", "c"], 0, np.zeros((3, 0)), 1, 400, seed=1))
    chosen = _taught(learner, np.array([0.1, 0.4, 0.2]), 400)
    assert learner.winner == 1
    assert set(chosen[-200:]) == {1}
    assert min(chosen.count(arm) for arm in range(3)) >= 10


def test_track_and_stop_does_not_stop_while_two_are_alike() -> None:
    learner = TrackAndStop(Task(["a", "b"], 0, np.zeros((2, 0)), 1, 200, seed=1))
    _taught(learner, np.array([0.2, 0.2]), 200)
    assert learner.winner == -1


def test_proportions_make_the_hardest_rival_as_easy_to_tell_as_can_be() -> None:
    variances, gaps, leader = np.array([0.2, 0.1, 0.3, 0.2]), np.array([0.1, 0.3, 0.2]), 1

    def slowest(shares: np.ndarray) -> float:
        rivals = np.delete(variances / shares, leader)
        return float((gaps**2 / (2 * (variances[leader] / shares[leader] + rivals))).min())

    found = proportions(variances, gaps, leader)
    assert found.sum() == pytest.approx(1.0)
    others = np.random.default_rng(0).dirichlet(np.ones(4), 5000)
    assert slowest(found) >= max(slowest(shares) for shares in others) * 0.999


def test_two_equal_arms_are_drawn_in_equal_shares() -> None:
    assert proportions(np.array([0.2, 0.2]), np.array([0.1]), 0) == pytest.approx(
        [0.5, 0.5], abs=0.01
    )


def test_the_linear_policy_over_plain_features_learns_to_name_classes() -> None:
    rng = np.random.default_rng(3)
    features = np.column_stack([np.ones(600), rng.normal(size=(600, 2))])
    rows = bundled.Rows(features, (features[:, 1] > 0).astype(np.int64), 2)
    made = bundled.run_rows(rows, Disjoint, seed=0)
    assert made.regret[-1] - made.regret[49] < 0.2 * 300  # chance errs in half of the other 300


def test_runs_are_kept_and_not_made_again(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(kept.SCENARIOS, "stationary", replace(STATIONARY, calls=50))  # type: ignore[index]
    entries = {"uniform": SIMULATED["uniform"]}
    said: list[str] = []
    first = kept.runs("stationary", entries, [5], folder=tmp_path, tell=said.append)
    again = kept.runs("stationary", entries, [5], folder=tmp_path, tell=said.append)
    assert len(said) == 1
    assert not kept.runs("stationary", entries, [6], folder=tmp_path, make=False)
    assert np.array_equal(first["uniform"][0].regret, again["uniform"][0].regret)


def test_other_parameters_are_other_runs() -> None:
    where = "benchmarks.learning.learners:EpsilonGreedy"
    one, other = (
        Entry(where, ("benchmarks/learning/learners.py",), {"epsilon": e}) for e in (0.1, 0.2)
    )
    assert one.fingerprint() != other.fingerprint()


def _run(regret: float) -> Run:
    return Run(np.linspace(0, regret, 100), regret, 0.1, 0.01, 1.0, 1.0)


def test_ours_are_held_against_the_best_of_the_others() -> None:
    runs = {
        "tom-a": [_run(90.0), _run(92.0), _run(91.0)],
        "tom-b": [_run(80.0), _run(82.0), _run(81.0)],
        "peer": [_run(100.0), _run(101.0), _run(102.0)],
        "weak": [_run(200.0), _run(201.0), _run(202.0)],
    }
    found = beside(runs, ["tom-a", "tom-b"])
    assert (found["ours"][0], found["peer"][0], found["apart"]) == ("tom-b", "peer", True)
    assert found["ratio"] == pytest.approx(81 / 101, abs=1e-3)
    assert found["difference"][0] == pytest.approx(-20.0)


def test_tables_say_means_and_intervals() -> None:
    part = {
        "machine": {},
        "seeds": [1000, 2],
        "w": {"by": {"tom-a": told([_run(90.0), _run(92.0)])}, "single": [5, 1]},
    }
    table = pages.by_world(part, "regret", 0)
    assert "| tom-a | 91 ± 13 |" in table
    assert "| (best single variant) | 5 ± 1 |" in table
    assert "| tom-a | 91 ± 13 (2 runs) |" in pages.by_world(part | {"seeds": [0, 3]}, "regret", 0)
