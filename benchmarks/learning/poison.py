"""How far false feedback lifts the worst variant: ``python -m benchmarks.learning.poison``.

One call in ten is a cheat's, who wants calls to get the variant that is truly the worst. Each
learner holds the same calls with what the abuse filter (apps/rl/abuse) lets through and with
everything; what reaches the people is counted. docs/abuse.md has the results.
"""

from __future__ import annotations

import argparse
import heapq
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from apps.rl.abuse import Limits, Told
from apps.rl.abuse.memory import Memory
from apps.rl.reward_calc import calc_reward
from apps.rl.simulator import Bots, Scenario
from benchmarks.learning.__main__ import interval
from benchmarks.learning.guarded import Choice, Guarded
from benchmarks.learning.learners import Feedback, Learner, Maker, Seen, Task
from benchmarks.learning.ours import BetaThompson, linear, nig
from benchmarks.learning.run import Course, course
from benchmarks.learning.scenarios import POISONED

ATTACKS: Mapping[str, Scenario] = {
    "nobody": replace(POISONED, name="poison_nobody", bots=Bots()),
    "few": POISONED,
    "many": replace(POISONED, name="poison_many", bots=Bots(share=0.1, accounts=200)),
    "forged": replace(POISONED, name="poison_forged", bots=Bots(share=0.1, accounts=200)),
    "elsewhere": replace(POISONED, name="poison_elsewhere", bots=Bots(share=0.1, accounts=200)),
}
"""``few``: thirty accounts that always say the same, every third time twice. ``many``: two hundred
that say it in ever other words. ``forged``: the same, but each claims to have had the worst
variant. ``elsewhere``: so they do of calls that did not run here, where nobody can know better."""
FORGED = ("forged", "elsewhere")
NOISY = ("many", *FORGED)
LAST = 1000
"""What the end of a run is: its last calls."""


class Deployed(Guarded):
    """The default policy behind the deploy guard, to which feedback may name any variant."""

    def learn(self, feedback: Feedback) -> None:
        """Take in a reward, or what takes its place, as the store would tell it."""
        choice = self._choices[feedback.call.index]
        name = self._names[feedback.variant]
        if name != choice.variant:  # no choice belongs to it
            choice = Choice(name, self._deployment.state.stages[name], {})
        context, revises = feedback.call.context, feedback.revises
        self._deployment.learn(choice, feedback.reward, context=context, revises=revises)


LEARNERS: Mapping[str, Maker] = {
    "tom-beta": BetaThompson,
    "tom-nig": nig,
    "tom-linear": linear,
    "tom-nig, guarded": Deployed,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one run.

    Attributes:
        worst_share: Share of the people's calls that got the truly worst variant.
        worst_at_end: The same of the last calls.
        regret: Cumulative, of the people, in expected logged rewards.
        false_counted: Share of the cheats' events that counted.
        honest_held: Share of the people's events that were held.
        reasons: How often each reason held an event.
    """

    worst_share: float
    worst_at_end: float
    regret: float
    false_counted: float
    honest_held: float
    reasons: Mapping[str, int]


@dataclass(frozen=True, slots=True, order=True)
class _Due:
    at_s: float
    order: int
    feedback: Feedback
    told: Told
    chosen: str | None


class _Inbox:
    """Feedback on its way, and what the filter makes of it."""

    def __init__(self, learner: Learner, limits: Limits | None) -> None:
        self._learner, self._memory = learner, None if limits is None else Memory(limits)
        self._due: list[_Due] = []
        self._counted: dict[str, float] = {}
        self.seen: Counter[tuple[bool, bool]] = Counter()  # (a cheat's, held)
        self.reasons: Counter[str] = Counter()

    def add(self, at_s: float, feedback: Feedback, told: Told, chosen: str | None) -> None:
        heapq.heappush(self._due, _Due(at_s, self._order(), feedback, told, chosen))

    def deliver(self, until_s: float, cheats: np.ndarray) -> None:
        while self._due and self._due[0].at_s <= until_s:
            due = heapq.heappop(self._due)
            self._learn(due, bool(cheats[due.feedback.call.index]))

    def _order(self) -> int:
        return len(self._due) + sum(self.seen.values())

    def _learn(self, due: _Due, cheat: bool) -> None:
        feedback, call = due.feedback, str(due.told.call_ref)
        held, reward = None, feedback.reward
        if self._memory is not None:
            verdict = self._memory.judged(due.told, call_variant=due.chosen)
            held, reward = verdict.held, verdict.reward
        self.seen[cheat, held is not None] += 1
        if held is not None:
            self.reasons[held.value] += 1
            return
        revises = None if feedback.revises is None else self._counted[call]
        self._counted[call] = reward
        self._learner.learn(replace(feedback, reward=reward, revises=revises))


def hold(on: Course, make: Maker, seed: int, attack: str, limits: Limits | None) -> Outcome:
    """Let a learner hold all calls of a world; ``limits`` None lets everything count."""
    world, n = on.world, len(on.calls)
    base = world.ids.index(world.scenario.base)
    task = Task(world.ids, base, world.variants.one_hot, on.features.shape[1], n, seed)
    learner = make(task)
    inbox, cheats = _Inbox(learner, limits), on.calls.hidden.bot
    rng = np.random.default_rng([seed, 7])
    chosen = np.empty(n, np.int64)
    for i in range(n):
        at_s = float(on.calls.at_s[i])
        inbox.deliver(at_s, cheats)
        context = on.calls.context(world.scenario, i)
        call = Seen(i, int(on.calls.subject[i]), on.features[i], context)
        chosen[i] = learner.choose(call)
        noise = rng if cheats[i] and attack in NOISY else None
        claimed = world.bots_target if cheats[i] and attack in FORGED else int(chosen[i])
        for due_s, feedback, told in _events(on, call, claimed, noise):
            unknown = bool(cheats[i]) and attack == "elsewhere"
            inbox.add(due_s, feedback, told, None if unknown else world.ids[chosen[i]])
    worst, people = int(world.population_means.argmin()), ~cheats
    last = people & (np.arange(n) >= n - LAST)
    costs = on.costs[np.arange(n), chosen]
    false = inbox.seen[True, False] + inbox.seen[True, True]
    honest = inbox.seen[False, False] + inbox.seen[False, True]
    return Outcome(
        worst_share=float((chosen[people] == worst).mean()),
        worst_at_end=float((chosen[last] == worst).mean()),
        regret=float(costs[people].sum()),
        false_counted=inbox.seen[True, False] / false if false else 0.0,
        honest_held=inbox.seen[False, True] / honest,
        reasons=dict(inbox.reasons),
    )


def _events(
    on: Course, call: Seen, variant: int, noise: np.random.Generator | None
) -> Iterator[tuple[float, Feedback, Told]]:
    """Yield what a call sends, with its moment; nothing when it was abandoned."""
    outcome = on.outcomes.of(call.index, variant)
    if outcome.reward is None or outcome.reward_at_end is None:
        return
    signals = outcome.signals.model_dump()
    if noise is not None:
        signals = _disguised(signals, noise)
    late = outcome.reward != outcome.reward_at_end
    reward = calc_reward(signals)
    at_end = outcome.reward_at_end if late else reward
    ended_s = float(on.calls.at_s[call.index]) + float(str(signals["duration_sec"]))
    name = on.world.ids[variant]

    def told(moment_s: float, revision: bool, of: Mapping[str, object], value: float) -> Told:
        hour, ref = int(moment_s // 3600), f"c{call.index}"
        return Told(name, value, of, hour, ref, f"s{call.subject}", None, revision)

    first = signals | {"user_rating": None} if late else signals
    for copy in range(1 + outcome.copies):
        feedback = Feedback(f"{call.index}-{copy}", call, variant, at_end)
        yield ended_s, feedback, told(ended_s, False, first, at_end)
    if late:
        late_s = ended_s + outcome.rating_delay_s
        feedback = Feedback(f"{call.index}-rating", call, variant, reward, revises=at_end)
        yield late_s, feedback, told(late_s, True, signals, reward)


def _disguised(signals: Mapping[str, object], rng: np.random.Generator) -> dict[str, object]:
    """Return a cheat's signals in other words: mostly the same praise or blame, as people tell it.

    One in seven knows nothing of a solution, one in three gives a star less (or more), a few had
    to interrupt (or had not), and no two calls are equally long.
    """
    likes = signals["resolution"]
    stars = int(rng.choice([5, 4, 3], p=[0.65, 0.3, 0.05]))
    counts = rng.poisson(0.2 if likes else 2.0, 2)
    return {
        **signals,
        "resolution": None if rng.random() < 1 / 7 else likes,
        "user_rating": stars if likes else 6 - stars,
        "barge_in_count": int(counts[0]),
        "repeats": int(counts[1]),
        "duration_sec": float((110.0 if likes else 230.0) * np.exp(0.25 * rng.normal())),
    }


def compare(
    attack: str, learner: str, seeds: Sequence[int], calls: int | None = None
) -> dict[str, list[Outcome]]:
    """Return the runs with everything counted (``open``) and behind the filter (``filtered``)."""
    scenario = ATTACKS[attack] if calls is None else replace(ATTACKS[attack], calls=calls)
    runs: dict[str, list[Outcome]] = {"open": [], "filtered": []}
    for seed in seeds:
        on = course(scenario, seed)
        for name, limits in (("open", None), ("filtered", Limits())):
            runs[name].append(hold(on, LEARNERS[learner], seed, attack, limits))
    return runs


def row(attack: str, learner: str, name: str, some: Sequence[Outcome]) -> str:
    """Return one row of the table in Markdown."""

    def pm(values: Sequence[float], digits: int = 1) -> str:
        mean, half = interval(values)
        return f"{mean:.{digits}f} ± {half:.{digits}f}"

    columns = [
        pm([100 * o.worst_share for o in some], 2),
        pm([100 * o.worst_at_end for o in some], 2),
        f"{max(100 * o.worst_at_end for o in some):.1f}",
        pm([o.regret for o in some], 0),
        f"{np.mean([100 * o.false_counted for o in some]):.1f}",
        f"{np.mean([100 * o.honest_held for o in some]):.2f}",
    ]
    return f"| {attack} | {learner} | {name} | {' | '.join(columns)} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; see ``--help``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning.poison")
    parser.add_argument("--attacks", nargs="+", choices=list(ATTACKS), default=list(ATTACKS))
    parser.add_argument("--learners", nargs="+", choices=list(LEARNERS), default=list(LEARNERS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--calls", type=int)
    parser.add_argument("--json", type=Path, help="write every run there")
    options = parser.parse_args(arguments)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    kept: dict[str, object] = {}
    print(
        "| attack | learner | feedback | worst, % | worst at the end, % | most, % | regret "
        "| false counted, % | honest held, % |\n|" + "---|" * 9
    )
    for attack in options.attacks:
        for learner in options.learners:
            for name, some in compare(attack, learner, seeds, options.calls).items():
                print(row(attack, learner, name, some), flush=True)
                kept[f"{attack} {learner} {name}"] = [asdict(o) for o in some]
    if options.json:
        options.json.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
