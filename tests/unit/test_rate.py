"""How fast somebody sends: what comes at once, what over time, and how far audio is ahead."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from apps.core.rate import Lead, TokenBucket

gaps = st.lists(st.floats(0, 5000), max_size=60)


@given(gaps, st.floats(0.001, 1.0), st.integers(1, 20))
def test_over_any_time_no_more_is_taken_than_the_burst_and_what_flowed_in(gaps, per_ms, burst):
    bucket, now_ms, taken = TokenBucket(per_ms, burst), 0.0, 0
    for gap in gaps:
        now_ms += gap
        taken += bucket.take(now_ms)
    assert taken <= burst + now_ms * per_ms + 1e-6


def test_who_is_refused_may_take_one_after_the_wait_that_was_told():
    bucket = TokenBucket(per_ms=0.01, burst=2)
    assert [bucket.take(0.0) for _ in range(3)] == [True, True, False]
    assert bucket.wait_ms == 100.0
    assert not bucket.take(99.0)
    assert bucket.take(100.1)


def test_a_clock_that_goes_back_takes_nothing_away():
    bucket = TokenBucket(per_ms=0.001, burst=2, at_ms=1000.0)
    assert bucket.take(0.0)
    assert bucket.left == 1.0


def test_audio_in_real_time_has_no_lead_and_a_burst_loses_its_own_as_time_passes():
    lead = Lead()
    for at_ms in range(0, 1000, 20):
        lead.add(20.0, float(at_ms))
    assert lead.ms(1000.0) == 0.0
    for _ in range(10):
        lead.add(20.0, 2000.0)
    assert lead.ms(2000.0) == 200.0
    assert lead.ms(2150.0) == 50.0
    assert lead.ms(9000.0) == 0.0
