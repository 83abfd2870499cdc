"""What the memory benchmark calls growth, and what it calls a leak."""

import os
import subprocess
import sys
import threading

import pytest

from benchmarks.memory.growth import Bound, Held, complaints, growth_kb, look


def rising(kb_per_call, **last):
    seen = [Held(calls, round(1000 + kb_per_call * calls), 20, 8, 0) for calls in (60, 80, 100)]
    if last:
        seen.append(
            Held(120, seen[-1].resident_kb, **{"files": 20, "threads": 8, "children": 0} | last)
        )
    return seen


def test_growth_is_the_slope_over_calls():
    assert growth_kb(rising(12.0)) == pytest.approx(12.0)
    assert growth_kb(rising(-3.0)) == pytest.approx(-3.0)


def test_one_look_that_is_off_is_not_taken_for_growth():
    seen = [Held(calls, 1000, 20, 8, 0) for calls in range(60, 201, 20)]
    seen[3] = Held(120, 1200, 20, 8, 0)
    assert complaints(seen, Bound()) == []


def test_steady_growth_of_memory_is_told():
    assert complaints(rising(19.0), Bound(kb_per_call=20.0)) == []
    (told,) = complaints(rising(21.0), Bound(kb_per_call=20.0))
    assert told.startswith("21.0 KiB of memory a call")


@pytest.mark.parametrize("name", ["files", "threads", "children"])
def test_a_handful_of_what_calls_leave_open_is_told(name):
    few, many = {"files": 20, "threads": 8, "children": 0}[name] + 2, 40
    assert complaints(rising(0.0, **{name: few}), Bound(others=2)) == []
    (told,) = complaints(rising(0.0, **{name: many}), Bound(others=2))
    assert name in told


def test_a_look_sees_what_a_process_holds():
    before = look(os.getpid(), 0)
    release = threading.Event()
    thread = threading.Thread(target=release.wait)
    thread.start()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        held = look(os.getpid(), 7)
    finally:
        release.set()
        thread.join()
        child.communicate(b"\n")
    assert held.calls == 7
    assert held.resident_kb > 1024
    assert held.threads == before.threads + 1
    assert held.children == before.children + 1
    assert held.files > before.files
