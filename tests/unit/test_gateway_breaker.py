"""The circuit breaker: its table, and what holds whatever happens to it."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.llm.gateway.breaker import (
    TRANSITIONS,
    Breaker,
    IllegalSignal,
    Policy,
    Signal,
    State,
    abandoned,
    admit,
    cooling_s,
    ended,
    moved_to,
    opens_again_s,
    would_admit,
)

POLICY = Policy(window_s=30.0, min_failures=3, failing_share=0.5, cooling_s=5.0)


def run(breaker, at_s, *, ok):
    """Let one request through and end it at once."""
    admitted = admit(breaker, at_s, POLICY)
    assert admitted is not None
    breaker, ticket = admitted
    return ended(breaker, ticket, ok=ok, now_s=at_s, policy=POLICY)


def tripped(at_s=0.0):
    breaker = Breaker()
    for _ in range(POLICY.min_failures):
        breaker = run(breaker, at_s, ok=False)
    return breaker


@pytest.mark.parametrize(("state", "signal"), list(product(State, Signal)))
def test_every_pair_of_the_table_moves_and_every_other_raises(state, signal):
    if (state, signal) in TRANSITIONS:
        assert moved_to(state, signal) is TRANSITIONS[state, signal]
    else:
        with pytest.raises(IllegalSignal, match=f"{signal.value} while {state.value}"):
            moved_to(state, signal)


def test_every_state_can_be_reached_and_left():
    assert set(TRANSITIONS.values()) == set(State)
    assert {before for before, _ in TRANSITIONS} == set(State)


def test_it_trips_at_so_many_failures_and_not_before():
    breaker = Breaker()
    for _ in range(POLICY.min_failures - 1):
        breaker = run(breaker, 0.0, ok=False)
        assert breaker.state is State.CLOSED
    assert run(breaker, 0.0, ok=False).state is State.OPEN


def test_few_failures_among_many_successes_do_not_trip_it():
    breaker = Breaker()
    for number in range(40):
        breaker = run(breaker, float(number) / 10, ok=number % 3 != 0)
    assert breaker.state is State.CLOSED


def test_failures_of_long_ago_do_not_count():
    breaker = Breaker()
    for number in range(10):
        breaker = run(breaker, number * 16.0, ok=False)  # never more than two within the window
    assert breaker.state is State.CLOSED


def test_open_it_lets_nothing_through_until_it_has_cooled():
    breaker = tripped(100.0)
    assert opens_again_s(breaker, POLICY) == 105.0
    assert admit(breaker, 104.999, POLICY) is None
    assert admit(breaker, 105.0, POLICY) is not None


def test_half_open_it_lets_one_request_through_at_a_time():
    breaker, ticket = admit(tripped(), 5.0, POLICY)
    assert breaker.state is State.HALF_OPEN
    assert admit(breaker, 5.0, POLICY) is None
    breaker = abandoned(breaker, ticket)
    assert admit(breaker, 5.0, POLICY) is not None


def test_a_trial_that_succeeds_closes_it_and_forgets_what_was():
    assert run(tripped(), 5.0, ok=True) == Breaker(epoch=3)


def test_each_trial_that_fails_doubles_the_time_up_to_a_bound():
    breaker, waits = tripped(), []
    for _ in range(8):
        waits.append(cooling_s(breaker, POLICY))
        breaker = run(breaker, opens_again_s(breaker, POLICY), ok=False)
    assert waits == [5.0, 10.0, 20.0, 40.0, 80.0, 120.0, 120.0, 120.0]


def test_what_began_before_it_opened_says_nothing_afterwards():
    breaker, late = admit(Breaker(), 0.0, POLICY)
    for _ in range(POLICY.min_failures):
        breaker = run(breaker, 0.0, ok=False)
    assert ended(breaker, late, ok=True, now_s=1.0, policy=POLICY) == breaker
    assert ended(breaker, late, ok=False, now_s=1.0, policy=POLICY) == breaker
    assert abandoned(breaker, late) == breaker


STEP = st.tuples(
    st.floats(0.0, 40.0),
    st.sampled_from(["begin", "succeed", "fail", "abandon"]),
    st.integers(0, 5),
)


@given(st.lists(STEP, max_size=80))
def test_whatever_happens(steps):
    breaker, now_s, open_tickets = Breaker(), 0.0, []
    for wait_s, what, which in steps:
        now_s += wait_s
        before = breaker
        if what == "begin":
            admitted = admit(breaker, now_s, POLICY)
            assert (admitted is not None) == would_admit(breaker, now_s, POLICY)
            if admitted is None:
                assert before.state is not State.CLOSED
                continue
            breaker, ticket = admitted
            open_tickets.append(ticket)
            if before.state is State.OPEN:
                assert now_s >= opens_again_s(before, POLICY)
        elif open_tickets:
            ticket = open_tickets.pop(which % len(open_tickets))
            if what == "abandon":
                breaker = abandoned(breaker, ticket)
                assert breaker.state is before.state
            else:
                ok = what == "succeed"
                breaker = ended(breaker, ticket, ok=ok, now_s=now_s, policy=POLICY)
            if ticket != before.epoch:
                assert breaker == before
        allowed = {after for (state, _), after in TRANSITIONS.items() if state is before.state}
        assert breaker.state is before.state or breaker.state in allowed
        assert breaker.epoch - before.epoch == (breaker.state is not before.state)
        assert len(breaker.latest) <= POLICY.most
        assert not breaker.latest or breaker.state is State.CLOSED
        assert not breaker.trying or breaker.state is State.HALF_OPEN
        assert POLICY.cooling_s <= cooling_s(breaker, POLICY) <= POLICY.longest_cooling_s or (
            breaker.trips == 0
        )
        # Of the requests under way at most one can be the trial of a half-open breaker.
        if breaker.state is State.HALF_OPEN:
            assert open_tickets.count(breaker.epoch) == breaker.trying


@given(st.lists(st.booleans(), max_size=60))
def test_a_closed_breaker_opens_just_when_too_many_of_the_latest_fail(outcomes):
    breaker, latest = Breaker(), []
    for ok in outcomes:
        latest = [*latest, ok][-POLICY.most :]
        failures = latest.count(False)
        trips = (
            not ok
            and failures >= POLICY.min_failures
            and failures / len(latest) >= POLICY.failing_share
        )
        breaker = run(breaker, 1.0, ok=ok)
        assert (breaker.state is State.OPEN) == trips
        if trips:
            return
