"""False alarms of what looks beside the rewards: breakers, sample ratio, budget; the real folds."""

from __future__ import annotations

import numpy as np

from apps.rl.guard.breakers import Breakers
from apps.rl.guard.budget import Budget
from apps.rl.guard.mismatch import Mismatch
from apps.rl.simulator import Scenario
from benchmarks.guard.runs import rewards


def alarms(scenario: Scenario, runs: int, calls: int) -> bool:
    """Print how often they speak where nothing is wrong; return whether that is rare enough.

    A third of the calls go to the variants other than the base, so that there is much to look at.
    Every abandoned call is a hang-up.
    """
    names = list(scenario.variants)
    shares = np.full(len(names), 1.0 / 3.0 / (len(names) - 1))
    shares[0] = 2.0 / 3.0
    logged = dict(zip(names, map(float, shares), strict=True))
    drawn = rewards(scenario, range(1000, 1000 + runs), calls).reward[:, :, 0]
    tripped = mismatched = exhausted = 0
    for number, reward in enumerate(drawn):
        chosen = np.random.default_rng(number).choice(len(names), calls, p=shares)
        breakers, budget, mismatch = Breakers(names[0]), Budget(), Mismatch()
        trip = alarm = False
        spent = 0
        for r, variant in zip(reward, chosen, strict=True):
            name, gone = names[variant], bool(np.isnan(r))
            breakers = breakers.add(name, ("hang_up",) if gone else ())
            trip |= gone and breakers.tripped(name) is not None
            mismatch = mismatch.add(name, logged)
            alarm |= mismatch.alarm() is not None
            if not gone:
                budget = budget.add(float(r), base=variant == 0)
                spent += budget.exhausted
        tripped += trip
        mismatched += alarm
        exhausted += spent > 0
    print(f"\n### Nothing is wrong: {runs} runs of {calls:,} calls\n")
    print(f"A breaker has tripped in {tripped}, the sample ratio has been doubted in {mismatched},")
    print(f"the budget of regret has been exhausted in {exhausted}.", flush=True)
    return tripped <= 0.01 * runs and mismatched <= 0.01 * runs and exhausted <= 0.05 * runs
