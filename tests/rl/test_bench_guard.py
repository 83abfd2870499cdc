"""The benchmark's arrays do what the guard's own folds do, call by call."""

from collections import Counter

import numpy as np
import pytest

from apps.rl.guard import evidence as folds
from apps.rl.guard.evidence import Evidence
from apps.rl.guard.stages import Stage
from apps.rl.guard.window import full_stages
from apps.rl.propensity import allocate as allocate_one
from apps.rl.variants import GuardRules
from benchmarks.guard import rules as looks
from benchmarks.guard.__main__ import pair
from benchmarks.guard.runs import NEVER, Drawn, Traffic, rewards, run, seats
from benchmarks.guard.traffic import NUMBERS, Arms, Policy, Window, allocate, draw
from benchmarks.learning.scenarios import GUARD_SCENARIOS

RUNS, VARIANTS = 3, 5
NAMES = tuple("abcde")
RULES = GuardRules(base_variant="a", cap_window=40)
STAGES = {number: stage for stage, number in NUMBERS.items()}


class Lively(Policy):
    """A policy without memory, so that it can be asked twice."""

    def chances(self, among, of):
        return self._arms.chances(among)


def test_arrays_allocate_as_the_guard_does():
    rng = np.random.default_rng(0)
    arms, window = Arms.none(RUNS, VARIANTS), Window(RUNS, RULES)
    latest: list[list[str]] = [[] for _ in range(RUNS)]
    kinds = [NUMBERS[s] for s in (Stage.ESTABLISHED, Stage.UNCERTAIN, Stage.NEW)]
    stages = np.zeros((RUNS, VARIANTS), np.int64)
    was_full = 0
    for step in range(150):
        if step % 10 == 0:
            stages[:, 1:] = rng.choice(kinds, (RUNS, VARIANTS - 1))
        shares = allocate(Lively(arms), stages, window, RULES)
        chosen = draw(shares, rng.random(RUNS))
        for run_ in range(RUNS):
            by_name = {n: STAGES[int(s)] for n, s in zip(NAMES, stages[run_], strict=True)}
            one = Arms(*(part[[run_]] for part in (arms.calls, arms.sum, arms.squares)))

            def chances(names, one=one):
                among = np.isin(NAMES, names)[None]
                return dict(zip(NAMES, one.chances(among)[0], strict=True))

            full = full_stages(Counter(latest[run_][: RULES.cap_window - 1]), RULES)
            was_full += bool(full)
            expected = allocate_one(chances, by_name, RULES, full=full)
            assert shares[run_] == pytest.approx([expected[n] for n in NAMES], abs=1e-12)
            assert shares[run_, chosen[run_]] > 0.0
            latest[run_].insert(0, by_name[NAMES[chosen[run_]]].value)
        window.add(stages[np.arange(RUNS), chosen])
        arms.add(np.arange(RUNS), chosen, rng.uniform(-1, 1, RUNS))
    assert was_full > 10


def test_arrays_judge_as_the_guard_does(monkeypatch):
    for module in (looks, folds):
        monkeypatch.setattr(module, "BLOCK", 30)
    rng = np.random.default_rng(1)
    trials = looks.Trials(RUNS, VARIANTS)
    # All variants are known from the start, so that their numbers are those of the arrays.
    begun = {name: folds.Trial(number) for number, name in enumerate(NAMES[1:], 1)}
    evidence = [Evidence("a", begun, VARIANTS - 1) for _ in range(RUNS)]
    rows, found = np.arange(RUNS), {"worse": 0, "good": 0, "turned": 0}
    for step in range(500):
        shares = rng.dirichlet([4, 1, 1, 1, 1], RUNS)
        chosen = draw(shares, rng.random(RUNS))
        bad = (chosen == 4) | ((chosen == 3) & (step > 300))
        reward = np.clip(rng.normal(np.where(bad, -0.8, 0.4), 0.2), -1, 1)
        reward[rng.random(RUNS) < 0.05] = np.nan
        own = np.zeros(shares.shape, np.bool_)
        own[rows, chosen] = True
        changed = trials.add(own, shares, reward)
        worse = trials.surely_worse(changed, 0.05)
        good = looks.surely_not_worse(trials.whole, changed, 0.1, 0.15)
        for i in range(RUNS):
            if not np.isnan(reward[i]):
                logged = dict(zip(NAMES, shares[i].tolist(), strict=True))
                evidence[i] = evidence[i].add(NAMES[chosen[i]], float(reward[i]), logged)
            for k in np.flatnonzero(changed[i]):
                assert worse[i, k] == evidence[i].surely_worse(NAMES[k])
                assert good[i, k] == evidence[i].surely_not_worse(NAMES[k])
                found["worse"] += int(worse[i, k])
                found["good"] += int(good[i, k])
                found["turned"] += int(worse[i, k] and k == 3)
    for i in range(RUNS):
        for k in range(1, VARIANTS):
            trial = evidence[i].trials[NAMES[k]]
            assert trials.block[i, k] == trial.block
            for arrays, one in ((trials.whole, trial.contest), (trials.recent, trial.recent)):
                assert arrays.worse.total[i, k] == pytest.approx(one.worse.total)
                assert arrays.better.spread[i, k] == pytest.approx(one.better.spread)
                assert arrays.calls[i, k] == one.calls
    assert min(found.values()) > 0


class TestRuns:
    def test_innocents_are_left_alone_and_every_window_is_within_the_caps(self):
        drawn = rewards(GUARD_SCENARIOS["identical"], range(3), 800)
        found = run(drawn, Traffic.GUARDED, GuardRules(), seed=0)
        assert (found.at["contest"] == NEVER).all()
        for stage, limit in seats(GuardRules()).items():
            assert 0 < found.most[stage].max() <= limit
        assert found.calls.sum(axis=1).max() <= 800

    def test_a_bad_one_is_found_and_then_gets_no_call_any_more(self):
        rng = np.random.default_rng(0)
        reward = np.stack([rng.normal(mean, 0.3, (3, 900)) for mean in (0.4, -0.5)], axis=-1)
        drawn = Drawn(reward.clip(-1, 1), np.arange(2))
        watched = run(drawn, Traffic.GUARDED, GuardRules(), seed=0)
        found = run(drawn, Traffic.GUARDED, GuardRules(), seed=0, active=True)
        assert (found.own["contest"][:, 1] == watched.own["contest"][:, 1]).all()
        assert (found.own["contest"][:, 1] != NEVER).all()
        assert (found.calls[:, 1] == found.own["contest"][:, 1]).all()
        assert (watched.calls[:, 1] > found.calls[:, 1]).all()

    def test_the_bad_one_of_the_benchmark_is_worse_by_three_tenths(self):
        drawn = rewards(pair(), range(5), 1000)
        base, bad = np.nanmean(drawn.reward, axis=(0, 1))
        assert bad - base == pytest.approx(-0.3, abs=0.02)

    def test_peeking_at_z_blames_innocents(self):
        reward = np.random.default_rng(0).normal(0.2, 0.4, (50, 600, 1)).clip(-1, 1)
        drawn = Drawn(reward, np.zeros(6, np.int64))
        found = run(drawn, Traffic.UNIFORM, GuardRules(), seed=0)
        assert (found.at["z"] != NEVER).any(axis=1).mean() > 0.3
        assert (found.at["contest"] != NEVER).any(axis=1).mean() <= 0.05
