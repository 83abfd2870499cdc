"""Which provider is asked: the list, the operator's order, and what is known of each server."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.errors import ConfigError
from apps.llm.gateway.board import (
    LONGEST_WAIT_S,
    MISSES,
    Seat,
    Why,
    begin,
    choose,
    end,
    probed,
    why_not,
)
from apps.llm.gateway.breaker import Policy, State
from apps.llm.gateway.choice import ProviderChoice, arranged, check_choice, read_choice
from apps.llm.gateway.listed import one_server, read_providers
from apps.llm.gateway.provider import EMBEDDED_PROVIDER, Kind, Price, Provider
from apps.llm.gateway.watch import wait_s
from apps.llm.refusals import retry_after_s
from apps.llm.usage import Outcome

POLICY = Policy()
NAMES = ("a", "b", "c")
SERVERS = tuple(Provider(name, Kind.VLLM, f"http://{name}", "m") for name in NAMES)
PROVIDERS = (*SERVERS, EMBEDDED_PROVIDER)
BOARD = {name: Seat() for name in NAMES}


def chosen(board, tried=(), now_s=0.0, order=PROVIDERS):
    return choose(order, board, tried, now_s, POLICY)


def failing(seat, now_s=0.0, times=3):
    for _ in range(times):
        seat, ticket = begin(seat, now_s, POLICY)
        seat = end(seat, ticket, Outcome.FAILED, now_s, POLICY)
    return seat


def test_the_first_one_is_asked_and_then_the_next():
    assert chosen(BOARD).provider.name == "a"
    assert chosen(BOARD, ["a"]).provider.name == "b"
    assert chosen(BOARD, ["a", "b", "c"]).provider.name == "embedded"


def test_one_that_is_down_is_passed_over_until_a_probe_succeeds():
    seat = Seat()
    for _ in range(MISSES):
        assert why_not(seat, SERVERS[0], 0.0, POLICY) is None
        seat = probed(seat, "llm_unreachable")
    found = chosen({**BOARD, "a": seat})
    assert (found.provider.name, found.passed_over) == ("b", {"a": Why.DOWN})
    assert chosen({**BOARD, "a": probed(seat, "")}).provider.name == "a"


def test_one_at_capacity_is_left_alone_as_long_as_it_says_and_has_not_failed():
    seat = BOARD["a"]
    for now_s in range(20):
        seat, ticket = begin(seat, float(now_s), POLICY)
        seat = end(seat, ticket, Outcome.AT_CAPACITY, float(now_s), POLICY, retry_after_s=7.0)
    assert why_not(seat, SERVERS[0], 25.9, POLICY) is Why.AT_CAPACITY
    assert why_not(seat, SERVERS[0], 26.0, POLICY) is None
    assert seat.breaker.state is State.CLOSED


@pytest.mark.parametrize(("says", "waits"), [(None, 1.0), (1e9, LONGEST_WAIT_S), (-5.0, 0.0)])
def test_no_server_says_for_ever_that_it_has_no_room(says, waits):
    seat, ticket = begin(Seat(), 0.0, POLICY)
    seat = end(seat, ticket, Outcome.AT_CAPACITY, 0.0, POLICY, retry_after_s=says)
    assert seat.not_before_s == waits


def test_one_with_as_many_answers_as_it_may_have_is_passed_over():
    few = replace(SERVERS[0], max_concurrent=2)
    seat, first = begin(Seat(), 0.0, POLICY)
    assert why_not(seat, few, 0.0, POLICY) is None
    seat, _ = begin(seat, 0.0, POLICY)
    assert why_not(seat, few, 0.0, POLICY) is Why.FULL
    assert why_not(end(seat, first, Outcome.ANSWERED, 0.0, POLICY), few, 0.0, POLICY) is None


def test_one_that_keeps_failing_is_passed_over_and_tried_again_later():
    board = {**BOARD, "a": failing(Seat())}
    assert chosen(board).passed_over == {"a": Why.BREAKER}
    assert chosen(board, now_s=POLICY.cooling_s).provider.name == "a"
    with pytest.raises(ValueError, match="breaker is open"):
        begin(board["a"], 0.0, POLICY)


@pytest.mark.parametrize(
    ("outcome", "spoke", "counts"),
    [
        (Outcome.FAILED, False, True),
        (Outcome.LATE, False, True),
        (Outcome.BROKE_OFF, True, True),
        (Outcome.REJECTED, False, False),
        (Outcome.AT_CAPACITY, False, False),
        (Outcome.STOPPED, False, False),
        (Outcome.STOPPED, True, False),
        (Outcome.ANSWERED, True, False),
    ],
)
def test_which_outcomes_speak_against_a_server(outcome, spoke, counts):
    seat = Seat()
    for _ in range(5):
        seat, ticket = begin(replace(seat, not_before_s=0.0), 0.0, POLICY)
        seat = end(seat, ticket, outcome, 0.0, POLICY, spoke=spoke, retry_after_s=0.0)
        if seat.breaker.state is State.OPEN:
            break
    assert (seat.breaker.state is State.OPEN) == counts
    assert seat.in_flight == 0


SEATS = st.builds(
    Seat,
    breaker=st.sampled_from([Seat().breaker, failing(Seat()).breaker]),
    in_flight=st.integers(0, 3),
    not_before_s=st.sampled_from([float("-inf"), 10.0]),
    up=st.sampled_from([None, True, False]),
)


@given(
    st.permutations(NAMES),
    st.tuples(SEATS, SEATS, SEATS),
    st.sets(st.sampled_from(NAMES)),
    st.floats(0.0, 20.0),
)
def test_the_first_that_may_be_asked_is_asked_whatever_is_known(order, seats, tried, now_s):
    board = dict(zip(NAMES, seats, strict=True))
    by_name = {p.name: replace(p, max_concurrent=2) for p in SERVERS}
    ordered = (*(by_name[name] for name in order), EMBEDDED_PROVIDER)
    found = chosen(board, tried, now_s, ordered)
    may = [
        name
        for name in order
        if name not in tried and why_not(board[name], by_name[name], now_s, POLICY) is None
    ]
    assert found.provider.name == [*may, "embedded"][0]
    before = order[: order.index(found.provider.name)] if may else order
    assert set(found.passed_over) == set(before) - tried


# --- the operator's choice


def test_an_operator_puts_some_first_and_switches_some_off():
    order = arranged(PROVIDERS, ProviderChoice(("c",), frozenset({"a"})))
    assert [p.name for p in order] == ["c", "b", "embedded"]
    assert [p.name for p in arranged(PROVIDERS, ProviderChoice(off=frozenset(NAMES)))] == [
        "embedded"
    ]


def test_a_choice_that_names_what_is_not_there_is_refused_and_a_kept_one_passed_over():
    with pytest.raises(ConfigError) as caught:
        check_choice(PROVIDERS, ProviderChoice(("nix",)))
    assert caught.value.code == "unknown_provider"
    assert "a, b, c" in caught.value.hint
    with pytest.raises(ConfigError):
        check_choice(PROVIDERS, ProviderChoice(off=frozenset({"embedded"})))
    assert arranged(PROVIDERS, ProviderChoice(("nix", "b")))[0].name == "b"


@given(st.lists(st.sampled_from([*NAMES, "nix"])), st.sets(st.sampled_from([*NAMES, "embedded"])))
def test_the_embedded_answerer_is_always_the_last_and_nobody_is_asked_twice(first, off):
    choice = ProviderChoice(tuple(first), frozenset(off))
    order = arranged(PROVIDERS, choice)
    assert order[-1] is EMBEDDED_PROVIDER
    assert {p.name for p in order} == {*NAMES, "embedded"} - (off - {"embedded"})
    assert len(set(order)) == len(order)
    assert read_choice(json.loads(json.dumps(choice.as_dict()))) == choice


@pytest.mark.parametrize("data", [{}, {"first": 5, "off": None}, {"first": [1], "off": ["a", 2]}])
def test_a_choice_that_cannot_be_read_chooses_nothing(data):
    assert read_choice(data).first == ()


# --- the list


ENTRY = {"name": "gpu", "kind": "vllm", "url": "http://127.0.0.1:8000/v1", "model": "m"}


def read(entries, keys=None):
    return read_providers(json.dumps(entries), (keys or {}).get, first_token_s=1.25)


def test_a_list_is_read_from_yaml_from_json_and_from_a_file(tmp_path):
    path = tmp_path / "providers.yaml"
    path.write_text("providers:\n- {name: gpu, kind: vllm, url: 'http://h', model: m}\n")
    from_file = read_providers(str(path), {}.get, first_token_s=1.0)
    assert [p.name for p in from_file] == ["gpu", "embedded"]
    gpu, last = read([{**ENTRY, "price_prompt": 0.4, "price_completion": 1.6}])
    assert gpu == Provider(
        "gpu", Kind.VLLM, ENTRY["url"], "m", first_token_s=1.25, price=Price(0.4, 1.6)
    )
    assert last is EMBEDDED_PROVIDER
    assert read([ENTRY, {"name": "embedded", "kind": "embedded"}]) == read([ENTRY])


def test_a_key_comes_from_its_variable_and_stands_in_no_repr():
    (cloud, _) = read([{**ENTRY, "api_key_env": "CLOUD_KEY"}], {"CLOUD_KEY": "s3cret"})
    assert cloud.api_key == "s3cret"
    assert "s3cret" not in repr(cloud)
    assert ENTRY["url"] not in repr(cloud)
    (alone, _) = one_server("http://user:s3cret@h:1/v1", "m", "s3cret", 2.0)
    assert "s3cret" not in repr(alone) + alone.host
    assert alone.host == "http://h:1"


@pytest.mark.parametrize(
    "entries",
    [
        [{**ENTRY, "api_key": "s3cret"}],
        [{**ENTRY, "s3cret": 1}],
        [{**ENTRY, "url": "http://user:s3cret@h"}],
        [{**ENTRY, "url": "ftp://s3cret"}],
        [{**ENTRY, "url": "http://[s3cret"}],
        [{**ENTRY, "name": "s3cret S3CRET"}],
        [{**ENTRY, "price_prompt": "s3cret"}],
        [{**ENTRY, "kind": "s3cret"}],
        [{**ENTRY, "api_key_env": "s3cret!"}],
        [{**ENTRY, "first_token_s": 0}],
        [{**ENTRY, "model": ""}],
        [{**ENTRY, "name": "embedded"}],
        [{"name": "embedded", "kind": "embedded", "url": "http://h"}],
        ["s3cret"],
        "s3cret: [",
    ],
    ids=str,
)
def test_what_is_wrong_with_a_list_is_told_without_repeating_it(entries):
    with pytest.raises(ConfigError) as caught:
        read(entries)
    told = caught.value.message + caught.value.hint + str(caught.value.__cause__)
    assert "s3cret" not in told
    assert "TOM_LLM_PROVIDERS" in told


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ([ENTRY, ENTRY], "lists 'gpu' twice"),
        ([{"name": "embedded", "kind": "embedded"}, ENTRY], "behind the embedded answerer"),
        ([], "no list of 1 to 16"),
        ([ENTRY] * 17, "no list of 1 to 16"),
        ({"gpu": ENTRY}, "no list of 1 to 16"),
        ([{**ENTRY, "api_key_env": "NOT_SET"}], "The key of gpu is not set: NOT_SET"),
    ],
)
def test_a_list_that_makes_no_sense_is_refused(entries, told):
    with pytest.raises(ConfigError, match=told):
        read(entries)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        read_providers(str(tmp_path / "none.yaml"), {}.get, first_token_s=1.0)
    (tmp_path / "bad.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="no UTF-8 text"):
        read_providers(str(tmp_path / "bad.yaml"), {}.get, first_token_s=1.0)


# --- arithmetic


def test_a_price_per_million_tokens_is_a_price_in_millionths_per_token():
    assert Price(0.5, 1.5).micros(1_000_000, 0) == 500_000
    assert Price(0.5, 1.5).micros(1, 1) == 2
    assert Price(0.25, 0.0).micros(1, 5) == 0
    assert Price(0.25, 0.0).micros(2, 5) == 1  # half a millionth is rounded up


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("9" * 400, 999_999_999.0),
        ("Sun, 22 Nov 2026 12:00:30 GMT", 30.0),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0.0),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("²", None),
        ("Sun, 99 Nov 99999999999999 12:00:30 GMT", None),
    ],
)
def test_retry_after_is_a_number_of_seconds_or_a_date(header, seconds):
    assert retry_after_s(header, datetime(2026, 11, 22, 12, 0, tzinfo=UTC)) == seconds


@given(st.text(max_size=40))
def test_no_retry_after_header_can_do_harm(header):
    found = retry_after_s(header, datetime(2026, 11, 22, 12, 0, tzinfo=UTC))
    assert found is None or found >= 0


@given(st.floats(0.0, 1.0, exclude_max=True))
def test_probes_come_a_fifth_earlier_or_later(share):
    assert 8.0 <= wait_s(10.0, share) <= 12.0
