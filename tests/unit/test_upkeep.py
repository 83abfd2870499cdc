"""What a server does beside its calls: background tasks and letting go of what is too old."""

import asyncio
import os
import time
from pathlib import Path

import structlog

from apps.core.errors import StoreError
from apps.dispatcher.recordings import purge_recordings, recording_of
from apps.dispatcher.upkeep import SWEEP_EVERY_S, Background, keep_retention
from apps.store.letting_go import Kept
from tests.virtual_time import run_virtual


class SweptDb:
    """Counts the sweeps; the first ones fail."""

    def __init__(self, failures=0):
        self.failures, self.cutoffs = failures, []

    async def run(self, function, cutoff):
        self.cutoffs.append(cutoff)
        if len(self.cutoffs) <= self.failures:
            raise StoreError("The disk is full.")
        return Kept(calls=2, feedback=1)


def sweep(db, hours, recordings=Path("no such folder")):
    async def scenario():
        async with Background() as tasks:
            tasks.start(keep_retention(db, 30, recordings))
            await asyncio.sleep(hours * SWEEP_EVERY_S + 1)

    with structlog.testing.capture_logs() as logs:
        run_virtual(scenario())
    return [line["event"] for line in logs]


def test_retention_is_kept_at_the_start_and_every_hour():
    db = SweptDb()
    assert sweep(db, hours=3) == ["retention"] * 4
    assert all(cutoff.minute == 0 for cutoff in db.cutoffs)


def test_a_sweep_that_fails_is_logged_and_tried_again():
    db = SweptDb(failures=1)
    assert sweep(db, hours=1) == ["retention_failed", "retention"]


def test_recordings_go_with_their_calls(tmp_path):
    old, new = recording_of(tmp_path, "old"), recording_of(tmp_path, "new")
    for path in (old, new):
        path.write_bytes(b"RIFF")
    month_ago = time.time() - 31 * 86_400
    os.utime(old, (month_ago, month_ago))
    sweep(SweptDb(), hours=0, recordings=tmp_path)
    assert (old.exists(), new.exists()) == (False, True)
    assert purge_recordings(tmp_path, 0) == 1
    assert purge_recordings(tmp_path / "none", 0) == 0


def test_background_tasks_end_with_the_server_even_the_broken_ones():
    async def broken():
        raise ZeroDivisionError

    async def endless():
        await asyncio.sleep(1e9)

    async def scenario():
        async with Background() as tasks:
            tasks.start(broken())
            tasks.start(endless())
            await asyncio.sleep(1)
        return len(asyncio.all_tasks())

    assert run_virtual(scenario()) == 1
