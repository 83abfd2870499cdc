"""Calls of a killed server are closed by the next one, and nobody else's are."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from apps.core.clock import utc_hour, utc_now
from apps.core.events import LogRecord
from apps.store.adapters import open_calls_with
from apps.store.calls import CallRow, append_events, close_call, load_call, open_call
from apps.store.database import Database, open_database
from apps.store.decisions import DecisionRow, add_decision
from apps.store.server_life import SERVER_DIED, close_lost_calls, server_life

HALF_AN_HOUR = timedelta(minutes=30)


@pytest.fixture
def db(new_store: Path | str) -> Iterator[Database]:
    database = open_database(new_store)
    yield database
    database.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "servers"


def a_call(db: Database, ref: str, server: str | None, *, begun: timedelta = timedelta()) -> None:
    row = CallRow(ref, "kfz", "en", "text", server=server, started_hour=utc_now() - begun)
    with db.transaction() as conn:
        open_call(conn, row)


def ends(db: Database, *refs: str) -> list[str | None]:
    with db.reading() as conn:
        found = [load_call(conn, ref) for ref in refs]
    return [call.reason if call else "lost" for call in found]


def killed_server(folder: Path, store: str) -> str:
    """Let a process live as a server does, kill it, and return the id that it had."""
    code = (
        "import sys, time; from pathlib import Path\n"
        "from apps.store.server_life import server_life\n"
        "with server_life(Path(sys.argv[1]), sys.argv[2]) as server:\n"
        "    print(server, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder), store], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout as said:
        server = said.readline().strip()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    return server


async def test_a_killed_servers_calls_are_closed_at_the_next_start(db, folder):
    server = killed_server(folder, db.place)
    a_call(db, "cut", server)
    a_call(db, "over", server)
    with db.transaction() as conn:
        close_call(conn, "over", reason="completed", duration_s=3.0)
        append_events(conn, [("cut", LogRecord(n, 1500.0 * n, "turn.latency")) for n in (0, 1)])
    with server_life(folder, db.place) as mine:
        a_call(db, "mine", mine)
        assert await close_lost_calls(db, folder, HALF_AN_HOUR) == 1
        assert ends(db, "cut", "over", "mine") == [SERVER_DIED, "completed", None]
        assert [file.name for file in folder.iterdir()] == [mine]
        assert await close_lost_calls(db, folder, HALF_AN_HOUR) == 0
    with db.reading() as conn:
        cut = load_call(conn, "cut")
    assert cut is not None
    assert (cut.duration_s, cut.ended_hour) == (1.5, cut.started_hour)


async def test_no_living_servers_calls_are_touched(db, folder):
    here, elsewhere = folder / "here", folder / "elsewhere"
    with server_life(here, db.place) as beside, server_life(elsewhere, db.place) as far:
        a_call(db, "beside", beside)
        a_call(db, "far", far)
        a_call(db, "unmarked", None)
        assert await close_lost_calls(db, here, HALF_AN_HOUR) == 0
    assert ends(db, "beside", "far", "unmarked") == [None, None, None]


async def test_a_server_of_another_store_is_left_to_its_own(db, folder):
    server = killed_server(folder, "another store")
    assert await close_lost_calls(db, folder, HALF_AN_HOUR) == 0
    assert (folder / server).exists()


async def test_what_nobody_can_tell_of_any_more_is_closed_after_a_week(db, folder):
    a_call(db, "old", None, begun=timedelta(days=8))
    a_call(db, "far", "on a machine that is gone", begun=timedelta(days=8))
    a_call(db, "young", None, begun=timedelta(days=6))
    assert await close_lost_calls(db, folder, timedelta(days=5)) == 0
    assert await close_lost_calls(db, folder, HALF_AN_HOUR) == 2
    assert ends(db, "old", "far", "young") == [SERVER_DIED, SERVER_DIED, None]


async def test_a_call_of_any_length_is_left_to_a_server_that_is_seen_to_live(db, folder):
    with server_life(folder, "as another server writes it") as beside:
        a_call(db, "long", beside, begun=timedelta(days=30))
        assert await close_lost_calls(db, folder, HALF_AN_HOUR) == 0
    assert ends(db, "long") == [None]


def told_from(file: Path, **machine: str) -> None:
    """Let a server's file be of another machine or boot than it is."""
    file.write_text(json.dumps(json.loads(file.read_text()) | machine))


async def test_a_machine_whose_locks_are_not_seen_here_is_not_judged(db, folder):
    server = killed_server(folder, db.place)
    told_from(folder / server, host="elsewhere", boot="another kernel")
    a_call(db, "far", server)
    assert await close_lost_calls(db, folder, HALF_AN_HOUR) == 0
    assert ends(db, "far") == [None]
    assert (folder / server).exists()


@pytest.mark.parametrize("machine", [{"boot": "the last one"}, {"host": "another-container"}])
async def test_this_machine_is_known_after_a_boot_and_from_another_container(db, folder, machine):
    server = killed_server(folder, db.place)
    told_from(folder / server, **machine)
    a_call(db, "cut", server)
    assert await close_lost_calls(db, folder, HALF_AN_HOUR) == 1


async def test_a_store_is_known_by_another_path_to_it(tmp_path, folder, monkeypatch):
    with_path = open_database(tmp_path / "tom.db")
    a_call(with_path, "cut", killed_server(folder, with_path.place))
    with_path.close()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    for other in (Path("link/tom.db"), "sqlite:///tom.db"):
        assert Database(other).place == with_path.place
    relative = open_database(Path("tom.db"))
    assert await close_lost_calls(relative, folder, HALF_AN_HOUR) == 1
    relative.close()


async def test_an_adapter_drains_once_the_killed_servers_calls_are_closed(db, folder):
    a_call(db, "cut", killed_server(folder, db.place))
    choice = DecisionRow("cut", "v1a", 1.0, {"v1a": 1.0}, {}, "", True, 0, adapter="kfz-r1")
    with db.transaction() as conn:
        add_decision(conn, choice)
    since = utc_hour(utc_now() - timedelta(hours=2))
    with db.reading() as conn:
        assert open_calls_with(conn, "kfz-r1", since) == 1
    await close_lost_calls(db, folder, HALF_AN_HOUR)
    with db.reading() as conn:
        assert open_calls_with(conn, "kfz-r1", since) == 0


async def test_a_folder_that_cannot_be_used_leaves_calls_unmarked_and_open(db, folder):
    folder.touch()
    a_call(db, "far", "of a server that is not seen")
    with server_life(folder, db.place) as server:
        assert server is None
        assert await close_lost_calls(db, folder, HALF_AN_HOUR) == 0
    assert ends(db, "far") == [None]


async def test_stray_files_keep_no_server_from_seeing_the_dead(db, folder):
    server = killed_server(folder, db.place)
    a_call(db, "cut", server)
    unopened, unread = folder / ("0" * 32), folder / ("1" * 32)
    unopened.symlink_to(unopened)  # as of another user: opening it fails
    unread.write_bytes(b"\xff\xfe")
    (folder / ("2" * 32)).write_text('["no server"]')
    (folder / "notes.txt").write_text(db.place)
    assert await close_lost_calls(db, folder, HALF_AN_HOUR) == 1
    assert {file.name for file in folder.iterdir()} == {c * 32 for c in "012"} | {"notes.txt"}


@pytest.mark.parametrize("code", [errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP])
async def test_a_file_system_without_locks_keeps_no_server_from_its_start(
    db, folder, monkeypatch, code
):
    a_call(db, "unknown", killed_server(folder, db.place))
    left = sorted(folder.iterdir())

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with server_life(folder, db.place) as server:
        assert server is None
        assert await close_lost_calls(db, folder, HALF_AN_HOUR) == 0
    assert ends(db, "unknown") == [None]
    assert sorted(folder.iterdir()) == left
