"""The whole loop, spoken: simulated callers ask, listen, and say a rating that fits their taste.

Each caller is one of the simulator's (apps/rl/simulator), so what they like is known; their calls
are real ones, spoken to a real server over the WebSocket door. What they said is then compared with
what the server's store has learned.

    python -m benchmarks.spoken_loop --calls 24 --at-once 3
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from apps.cli.caller import Caller, Line
from apps.cli.own_server import own_server
from apps.core import secrets
from apps.core.errors import TomError
from apps.core.ids import keyed_hash
from apps.rl.policy_bandit import PolicyBandit
from apps.rl.sandbox import Tally
from apps.rl.variants import load_catalog
from apps.settings import read_settings
from apps.store.database import Database, open_database
from apps.store.decisions import DecisionRow, load_decision
from apps.store.feedback import FeedbackRow, feedback_of_call
from benchmarks.spoken_raters import VOICES, Raters, raters, write_policies

STAGGER_S, LONGEST_S = 1.7, 240.0


@dataclass
class Spoken:
    """One call, as its caller knows it.

    Attributes:
        number: Which of the world's calls it is.
        events: What the server told, in order.
        said: The stars that were spoken; None before the question came.
        error: Why the call was not held.
    """

    number: int
    events: list[Mapping[str, Any]] = field(default_factory=list)
    said: int | None = None
    error: str = ""

    def of(self, kind: str) -> list[Mapping[str, Any]]:
        """Return the events of one kind."""
        return [event for event in self.events if event["type"] == kind]

    @property
    def started(self) -> Mapping[str, Any] | None:
        """Return the call's first event; None where it was not taken."""
        return next(iter(self.of("call.started")), None)

    @property
    def heard(self) -> int | None:
        """Return the stars as understood."""
        return next((event["stars"] for event in self.of("rating")), None)


async def hold(address: str, people: Raters, number: int) -> Spoken:
    """Hold one call: questions, a goodbye, and the rating that the variant deserves."""
    spoken, voice = Spoken(number), VOICES[number % len(VOICES)]
    lines = [Line(samples) for samples in people.asked[number]]
    start = {"language": "en", "caller": f"simulated-{people.subjects[number]}"}

    def on_event(event: dict[str, Any]) -> None:
        spoken.events.append(event)
        if event["type"] == "call.started":
            variant = people.world.ids.index(event["policy_variant"])
            spoken.said = int(people.felt[number, variant])
            caller.rating = people.ratings[voice, spoken.said]

    caller = Caller(address, lines, people.ratings[voice, 3], start, on_event)
    try:
        async with asyncio.timeout(LONGEST_S):
            await caller.call()
    except (TomError, TimeoutError) as error:
        spoken.error = str(error) or "it did not end"
    if caller.refused is not None:
        spoken.error = caller.refused.message
    return spoken


async def drive(people: Raters, calls: int, at_once: int, folder: Path, seed: int) -> list[Spoken]:
    """Hold all calls on a server of their own, so many at once, in the order of the world."""
    environment = {
        "TOM_DATA_DIR": str(folder),
        "TOM_CACHE_DIR": str(read_settings().cache_folder.absolute()),
        "TOM_ORIGIN": "demo",
        "TOM_MAX_CALLS": str(at_once),
        "TOM_STT_ENGINE": "pocketsphinx",
        "TOM_TTS_ENGINE": "espeak",
        "TOM_LLM_ENGINE": "embedded",
        "TOM_PROFILE": "kfz",
        "RL_ENABLED": "true",
        "RL_FEEDBACK_DB_PATH": str(folder / "feedback.db"),
        "RL_BANDIT_STATE_PATH": str(folder / "bandit_state.json"),
        "RL_CANDIDATES_PATH": str(folder / "candidates"),
        "RL_POLICIES_PATH": str(write_policies(folder)),
        "RL_SEED": str(seed),
    }
    lines = asyncio.Semaphore(at_once)

    async with own_server(environment, folder / "server.log") as address:

        async def one(number: int) -> Spoken:
            await asyncio.sleep(number * STAGGER_S)
            async with lines:
                spoken = await hold(address, people, number)
            began = spoken.started or {}
            variant = began.get("policy_variant", spoken.error)
            print(f"  {number:3} {variant}  {spoken.said} said, {spoken.heard} heard", flush=True)
            return spoken

        return list(await asyncio.gather(*map(one, range(calls))))


@dataclass(frozen=True)
class Stored:
    """What the server's store holds of one call."""

    decision: DecisionRow | None
    events: Sequence[FeedbackRow]


def stored_of(db: Database, folder: Path, spoken: Sequence[Spoken]) -> list[Stored]:
    """Return what is stored of each call, in their order."""
    key = secrets.load_or_create(folder).hash_key
    found = []
    with db.reading() as conn:
        for call in spoken:
            ref = keyed_hash((call.started or {}).get("call_id", ""), key)
            found.append(Stored(load_decision(conn, ref), feedback_of_call(conn, ref)))
    return found


def check(
    spoken: Sequence[Spoken], kept: Sequence[Stored], db: Database, folder: Path
) -> list[str]:
    """Return what is not as it must be; a rating that was misheard is a figure, no failure."""
    wrong = []
    for call, stored in zip(spoken, kept, strict=True):
        name, began, chosen = f"call {call.number}", call.started, stored.decision
        if began is None or chosen is None:
            wrong.append(f"{name}: {call.error or 'no decision is stored'}")
            continue
        if chosen.variant != began["policy_variant"] or chosen.propensity != began["propensity"]:
            wrong.append(f"{name}: another choice is stored than was told")
        if abs(sum(chosen.propensities.values()) - 1.0) > 1e-9 or not 0.0 < chosen.propensity <= 1:
            wrong.append(f"{name}: its propensities are none")
        if [event.rating for event in stored.events] != [call.heard]:
            wrong.append(f"{name}: {call.heard} was heard, and something else is stored")
        if [event.variant for event in stored.events] != [chosen.variant]:
            wrong.append(f"{name}: its feedback is about another variant")
    counted = [e for s in kept for e in s.events if e.reward is not None and e.held is None]
    catalog = load_catalog(folder / "policies.yaml")
    bandit = PolicyBandit(db, catalog=catalog, state_path=folder / "rebuilt.json")
    for name, arm in bandit.arms.items():
        rewards = [e.reward for e in counted if e.variant == name and e.reward is not None]
        if arm.pulls != len(rewards) or (
            rewards and not np.isclose(arm.mean_reward or 0.0, np.mean(rewards))
        ):
            wrong.append(f"the posterior of {name} is not that of its {len(rewards)} rewards")
    if not counted:
        wrong.append("nothing was learned")
    return wrong


def report(people: Raters, spoken: Sequence[Spoken], kept: Sequence[Stored]) -> None:
    """Print the figures."""
    tally, rated = Tally(), [call for call in spoken if call.said is not None]
    for call in rated:
        began = call.started or {}
        means, variant = people.means[call.number], began["policy_variant"]
        value = float(means[people.world.ids.index(variant)])
        tally.add(variant, value, float(means.max()))
    asked = [call for call in rated if call.of("rating.asked")]
    right = sum(call.heard == call.said for call in asked)
    events = [event for stored in kept for event in stored.events]
    print(f"\n{len(spoken)} calls; {platform.machine()}, {os.cpu_count()} cores", end=", ")
    print(
        f"Python {platform.python_version()}\n\nvariant  calls  mean reward  true mean  stars said"
    )
    for name, true in zip(people.world.ids, people.world.population_means, strict=True):
        rewards = [e.reward for e in events if e.variant == name and e.reward is not None]
        stars = [c.said for c in rated if (c.started or {})["policy_variant"] == name and c.said]
        seen = f"{np.mean(rewards):+11.2f}" if rewards else " " * 11
        mean = f"{np.mean(stars):10.1f}" if stars else ""
        print(f"{name:7}  {tally.calls[name]:5}  {seen}  {true:+9.2f}  {mean}")
    parts = tally.by_part(2)
    print(f"\nexpected reward of the variants served, first half: {parts[0]:+.3f}", end="")
    print(f", second half: {parts[-1]:+.3f}; best variant: {np.mean(tally.best):+.3f}")
    print(f"ratings asked for: {len(asked)}; understood as they were said: {right}")
    pairs = Counter((c.said, c.heard) for c in asked if c.said != c.heard)
    for (said, heard), count in pairs.items():
        print(f"  {said} said, {heard or 'none'} heard: {count}")
    held = Counter(event.held for event in events if event.held)
    print(f"feedback events: {len(events)}; held: {dict(held) or 'none'}")
    latencies = [event["ms"] for call in spoken for event in call.of("turn.latency")]
    if latencies:
        p50, p95 = np.percentile(latencies, [50, 95])
        print(f"voice to voice, {len(latencies)} answers: p50 {p50:.0f} ms, p95 {p95:.0f} ms")


def main() -> int:
    """Hold the calls, print the figures, and say what is not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spoken_loop")
    parser.add_argument("--calls", type=int, default=24)
    parser.add_argument("--at-once", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    people = raters(options.calls, options.seed)
    with tempfile.TemporaryDirectory(prefix="tom-spoken-") as name:
        folder = Path(name)
        spoken = asyncio.run(drive(people, options.calls, options.at_once, folder, options.seed))
        db = open_database(folder / "feedback.db")
        kept = stored_of(db, folder, spoken)
        wrong = check(spoken, kept, db, folder)
        db.close()
    report(people, spoken, kept)
    for sentence in wrong:
        print(f"WRONG: {sentence}")
    print(f"\n{time.monotonic() - began:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
