"""Whether somebody may be called now: consent, hours, holidays, attempts, lines."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.errors import ConfigError
from apps.core.resources import resource
from apps.dispatcher.outgoing.decide import (
    Dial,
    Facts,
    OutgoingRequest,
    Refuse,
    Rules,
    day_start,
    decide,
    read_holidays,
    retry_at,
)
from apps.dispatcher.outgoing.numbers import read_target
from apps.dispatcher.profile import load_profiles
from apps.store.consents import ConsentAction, ConsentRow, Standing, standing

KFZ = load_profiles(resource("profiles"))["kfz"]
TUESDAY_10 = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)  # 10 in Berlin, 9 in London, 5 in New York
AGREED = Standing(ConsentRow("s", ConsentAction.GIVEN))
FACTS = Facts(KFZ, ("sip", "twilio"), AGREED)
REQUEST = OutgoingRequest("+49 89 123456", "kfz", "de", "callback")


def verdict(request=REQUEST, facts=FACTS, rules=None, now=TUESDAY_10, **changes):
    return decide(request, replace(facts, **changes), rules or Rules(), now)


def code(*args, **kwargs):
    refused = verdict(*args, **kwargs)
    assert isinstance(refused, Refuse), refused
    assert refused.why.endswith(".")
    return refused.code


def test_somebody_who_agreed_is_called_at_a_decent_hour():
    assert verdict() == Dial("+4989123456", KFZ, "de", "callback", "sip")


def test_what_is_not_said_is_the_first_there_is():
    dial = verdict(OutgoingRequest("+4989123456"))
    assert (dial.language, dial.purpose, dial.via) == ("en", "callback", "sip")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"to": "089 123456"}, "bad_number"),
        ({"language": "fr"}, "unknown_profile"),
        ({"purpose": "advertising"}, "unknown_purpose"),
        ({"via": "pigeon"}, "no_dialer"),
        ({"timezone": "Mars/Crater"}, "unknown_time_zone"),
        ({"to": "+23312345678"}, "unknown_time_zone"),
    ],
)
def test_what_cannot_be_is_refused(changes, why):
    assert code(replace(REQUEST, **changes)) == why


def test_without_a_profile_nobody_calls():
    assert code(profile=None) == "unknown_profile"


def test_who_never_agreed_is_not_called():
    assert code(standing=Standing()) == "no_consent"


def test_who_is_on_the_do_not_call_list_is_never_called_whatever_they_agreed_to():
    assert code(standing=Standing(AGREED.consent, blocked=True)) == "do_not_call"


def test_only_numbers_that_begin_as_they_may_are_called():
    rules = Rules(prefixes=("+49", "sip:"))
    assert isinstance(verdict(rules=rules), Dial)
    assert code(replace(REQUEST, to="+12125550123"), rules=rules) == "number_not_allowed"


@pytest.mark.parametrize(
    ("utc", "called"),
    [
        ((10, 7, 59), False),
        ((10, 8, 0), True),
        ((10, 16, 59), True),
        ((10, 17, 0), False),
        ((14, 10, 0), False),  # Saturday
        ((15, 10, 0), False),  # Sunday
        ((30, 7, 0), True),  # summer time began on the 29th: 9 in Berlin
    ],
)
def test_the_hours_are_those_where_the_callee_is(utc, called):
    day, hour, minute = utc
    now = datetime(2026, 3, day, hour, minute, tzinfo=UTC)
    assert isinstance(verdict(now=now), Dial) is called


def test_a_callee_elsewhere_is_called_in_their_own_hours():
    new_york = replace(REQUEST, to="+12125550123")
    assert code(new_york) == "outside_hours"
    afternoon = TUESDAY_10.replace(hour=15)
    assert code(new_york, now=afternoon) == "outside_hours"  # 8 in Los Angeles, which it may be
    assert isinstance(verdict(new_york, now=TUESDAY_10.replace(hour=17)), Dial)
    given = replace(new_york, timezone="America/New_York")
    assert isinstance(verdict(given, now=afternoon), Dial)


def test_a_refusal_for_the_hour_says_from_when_on_it_goes():
    friday_evening = datetime(2026, 3, 13, 20, 7, tzinfo=UTC)
    assert verdict(now=friday_evening).not_before == datetime(2026, 3, 16, 8, 0, tzinfo=UTC)


def test_nobody_is_called_on_a_holiday_there():
    rules = Rules(holidays=read_holidays("03-10, 2026-03-11"))
    assert code(rules=rules) == "outside_hours"
    assert code(rules=rules, now=TUESDAY_10 + timedelta(days=1)) == "outside_hours"
    assert isinstance(verdict(rules=rules, now=TUESDAY_10 + timedelta(days=2)), Dial)
    next_year = datetime(2027, 3, 10, 10, 0, tzinfo=UTC), datetime(2027, 3, 11, 10, 0, tzinfo=UTC)
    assert code(rules=rules, now=next_year[0]) == "outside_hours"
    assert isinstance(verdict(rules=rules, now=next_year[1]), Dial)


@pytest.mark.parametrize("text", ["tomorrow", "2026-02-30", "13-01", "1-1-1"])
def test_a_holiday_that_is_no_day_is_told(text):
    with pytest.raises(ConfigError, match="no day"):
        read_holidays(text)


def test_a_number_is_dialled_so_often_a_day_and_no_more():
    assert isinstance(verdict(dialled_today=2), Dial)
    refused = verdict(dialled_today=3)
    assert refused.code == "too_many_attempts"
    assert refused.not_before == datetime(2026, 3, 11, 8, 0, tzinfo=UTC)


def test_the_day_is_the_callee_s():
    late = datetime(2026, 3, 10, 23, 30, tzinfo=UTC)  # the 11th in Berlin
    assert day_start(REQUEST, KFZ, late) == datetime(2026, 3, 10, 23, 0, tzinfo=UTC)


def test_a_callee_who_is_on_the_line_is_not_called_twice():
    assert code(on_the_line=True) == "already_calling"


def test_without_a_line_or_while_the_server_goes_nobody_is_called():
    assert code(room=False) == "busy"
    assert code(draining=True, room=False) == "draining"


@pytest.mark.parametrize("result", ["busy", "no_answer", "machine"])
def test_who_was_not_reached_is_tried_again_later_and_later(result):
    rules = Rules(retries=2, retry_s=600)
    assert retry_at(result, 1, rules, TUESDAY_10) == TUESDAY_10 + timedelta(minutes=10)
    assert retry_at(result, 2, rules, TUESDAY_10) == TUESDAY_10 + timedelta(minutes=20)
    assert retry_at(result, 3, rules, TUESDAY_10) is None


@pytest.mark.parametrize("result", ["answered", "declined", "hung_up", "message_left", "failed"])
def test_who_was_reached_or_declined_is_left_in_peace(result):
    assert retry_at(result, 1, Rules(), TUESDAY_10) is None


@given(
    st.builds(
        Facts,
        st.sampled_from([KFZ, None]),
        st.sampled_from([(), ("sip",)]),
        st.builds(Standing, st.sampled_from([AGREED.consent, None]), st.booleans()),
        st.integers(0, 9),
        st.booleans(),
        st.booleans(),
        st.booleans(),
    ),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),
)
def test_nobody_is_ever_called_without_everything_that_it_takes(facts, moment):
    if isinstance(decide(REQUEST, facts, Rules(), moment.replace(tzinfo=UTC)), Dial):
        assert facts.profile is not None
        assert facts.standing.consent is not None
        assert not facts.standing.blocked
        assert facts.dialled_today < Rules().max_per_day
        assert facts.room
        assert not facts.on_the_line
        assert not facts.draining
        assert moment.weekday() < 5


# --- numbers


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("+49 (89) 123-456/7", "+49891234567"),
        ("+1.212.555.0123", "+12125550123"),
        (" sip:desk@example.org ", "sip:desk@example.org"),
        ("sips:a.b@[::1]:5061", "sips:a.b@[::1]:5061"),
        ("sip:x@10.0.0.1:5060;transport=tcp", "sip:x@10.0.0.1:5060;transport=tcp"),
        ("110", None),
        ("0049891234567", None),
        ("+0123456789", None),
        ("+1234567890123456", None),
        ("sip:example.org", None),
        ("sip:a@b\r\nVia: evil", None),
        ("tel:+4989123456", None),
        ("", None),
    ],
)
def test_a_target_is_a_number_with_its_country_or_a_sip_address(text, target):
    assert read_target(text) == target


@given(st.text(max_size=60))
def test_a_target_never_holds_what_could_break_a_message(text):
    target = read_target(text)
    assert target is None or (target.isascii() and target.isprintable() and " " not in target)


# --- consents


def test_a_consent_counts_for_its_purpose_until_it_is_revoked():
    rows = [ConsentRow("s", ConsentAction.GIVEN, "callback")]
    assert standing(rows, "callback").consent == rows[0]
    assert standing(rows, "pickup").consent is None
    rows.append(ConsentRow("s", ConsentAction.REVOKED, "callback"))
    assert standing(rows, "callback").consent is None
    rows.append(ConsentRow("s", ConsentAction.GIVEN, "callback"))
    assert standing(rows, "callback").consent == rows[2]


def test_a_revocation_of_everything_ends_every_consent():
    rows = [ConsentRow("s", ConsentAction.GIVEN, "callback"), ConsentRow("s", ConsentAction.GIVEN)]
    assert standing([*rows, ConsentRow("s", ConsentAction.REVOKED)], "callback").consent is None


def test_a_block_stays_through_new_consents_until_it_is_lifted():
    rows = [ConsentRow("s", ConsentAction.BLOCKED), ConsentRow("s", ConsentAction.GIVEN)]
    assert standing(rows, "callback").blocked
    assert not standing([*rows, ConsentRow("s", ConsentAction.UNBLOCKED)], "callback").blocked
