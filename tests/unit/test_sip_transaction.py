"""SIP transactions: what is repeated, until when, and that no sequence of events breaks them."""

from hypothesis import given, settings
from hypothesis import strategies as st

from apps.voice.doors.sip import transaction as tx
from apps.voice.doors.sip.dialog import response_to
from apps.voice.doors.sip.headers import Headers
from apps.voice.doors.sip.message import Request
from apps.voice.doors.sip.transaction import Role, State
from apps.voice.doors.sip.uri import read_uri


def request(method="INVITE", branch="z9hG4bK1", via="192.0.2.1"):
    lines = (
        ("via", f"SIP/2.0/UDP {via};branch={branch}"),
        ("from", "<sip:a@192.0.2.1>;tag=a"),
        ("to", "<sip:b@192.0.2.2>"),
        ("call-id", "c"),
        ("cseq", f"1 {method}"),
        ("route", "<sip:p.example;lr>"),
    )
    return Request(Headers(lines), b"", method, read_uri("sip:b@192.0.2.2"))


def run(machine, until_ms, step_ms=10.0):
    """Let time pass; returns the machine, and what it did with its times."""
    done, now = [], 0.0
    while now <= until_ms:
        machine, effects = tx.step(machine, tx.Tick(), now)
        done += [(now, effect) for effect in effects]
        now += step_ms
    return machine, done


def sends(done):
    return [now for now, effect in done if isinstance(effect, tx.Send)]


def expired(done):
    return [now for now, effect in done if isinstance(effect, tx.Expired)]


def test_an_invite_over_udp_is_repeated_at_doubling_times_and_given_up_after_32_seconds():
    machine, first = tx.client(request(), False, 0.0)
    assert isinstance(first[0], tx.Send)
    machine, done = run(machine, 40_000)
    assert sends(done) == [500, 1500, 3500, 7500, 15500, 31500]
    assert expired(done) == [32_000]
    assert machine.ended


def test_another_request_is_repeated_every_four_seconds_at_most():
    machine, _ = tx.client(request("BYE"), False, 0.0)
    _, done = run(machine, 40_000)
    assert sends(done)[:6] == [500, 1500, 3500, 7500, 11500, 15500]
    assert expired(done) == [32_000]


def test_over_tcp_nothing_is_repeated_but_waiting_ends_all_the_same():
    for method in ("INVITE", "BYE"):
        machine, _ = tx.client(request(method), True, 0.0)
        _, done = run(machine, 40_000)
        assert sends(done) == []
        assert expired(done) == [32_000]


def test_an_invite_that_rings_is_neither_repeated_nor_given_up():
    machine, _ = tx.client(request(), False, 0.0)
    ringing = response_to(machine.request, 180, tag="b")
    machine, effects = tx.step(machine, tx.Heard(ringing), 100.0)
    assert effects == (tx.Tell(ringing),)
    machine, done = run(machine, 200_000, 100.0)
    assert done == []
    assert machine.state is State.PROCEEDING


def test_a_failure_is_acknowledged_each_time_it_comes_and_told_once():
    machine, _ = tx.client(request(), False, 0.0)
    busy = response_to(machine.request, 486, tag="b")
    machine, effects = tx.step(machine, tx.Heard(busy), 100.0)
    ack = effects[0].message
    assert (ack.method, ack.headers.get("to")) == ("ACK", "<sip:b@192.0.2.2>;tag=b")
    assert ack.via.branch == "z9hG4bK1"
    assert ack.headers.get("route") == "<sip:p.example;lr>"
    assert effects[1] == tx.Tell(busy)
    machine, effects = tx.step(machine, tx.Heard(busy), 600.0)
    assert [type(effect) for effect in effects] == [tx.Send]


def test_every_success_of_an_invite_is_told_because_each_needs_its_ack():
    machine, _ = tx.client(request(), False, 0.0)
    accepted = response_to(machine.request, 200, tag="b")
    for now in (100.0, 600.0):
        machine, effects = tx.step(machine, tx.Heard(accepted), now)
        assert effects == (tx.Tell(accepted),)


def test_a_server_s_success_is_repeated_until_its_ack():
    for reliable in (False, True):
        machine = tx.server(request(), reliable)
        machine, _ = tx.step(machine, tx.Answer(response_to(machine.request, 200, tag="b")), 0.0)
        machine, done = run(machine, 5000)
        assert sends(done) == [500, 1500, 3500]
        machine, effects = tx.step(machine, tx.Acked(), 5000)
        assert effects == ()
        machine, done = run(machine, 40_000)
        assert done == []
        assert machine.ended


def test_a_server_s_success_that_nobody_acknowledges_is_told():
    machine = tx.server(request(), False)
    machine, _ = tx.step(machine, tx.Answer(response_to(machine.request, 200, tag="b")), 0.0)
    _, done = run(machine, 40_000)
    assert expired(done) == [32_000]


def test_a_repeated_request_is_answered_as_before_and_handled_once():
    machine = tx.server(request("BYE"), False)
    machine, effects = tx.step(machine, tx.Heard(machine.request), 0.0)
    assert effects == ()
    answer = response_to(machine.request, 200)
    machine, _ = tx.step(machine, tx.Answer(answer), 10.0)
    machine, effects = tx.step(machine, tx.Heard(machine.request), 20.0)
    assert effects == (tx.Send(answer),)
    _, effects = tx.step(machine, tx.Answer(response_to(machine.request, 500)), 30.0)
    assert effects == ()


def test_the_ack_of_a_failure_ends_its_repetition():
    machine = tx.server(request(), False)
    machine, _ = tx.step(machine, tx.Answer(response_to(machine.request, 486, tag="b")), 0.0)
    machine, effects = tx.step(machine, tx.Heard(request("ACK")), 100.0)
    assert (machine.state, effects) == (State.CONFIRMED, ())
    machine, done = run(machine, 6000)
    assert done == []
    assert machine.ended


def test_requests_are_told_apart_by_branch_sender_and_method():
    names = {
        tx.server_key(request()),
        tx.server_key(request(branch="z9hG4bK2")),
        tx.server_key(request(via="192.0.2.3")),
        tx.server_key(request("BYE")),
        tx.server_key(request(branch="z9hG4bK")),  # names nothing: matched as RFC 2543 does
    }
    assert len(names) == 5
    assert tx.server_key(request("ACK")) == tx.server_key(request())


STATUSES = st.sampled_from([100, 180, 200, 202, 302, 404, 486, 503, 603])
EVENTS = st.one_of(
    st.tuples(st.just("heard"), STATUSES),
    st.tuples(st.just("answer"), STATUSES),
    st.tuples(st.sampled_from(["tick", "acked", "broken", "again", "ack"]), st.just(0)),
)
GAPS = st.sampled_from([0.0, 10.0, 500.0, 4000.0, 33_000.0])


def event_of(kind, status, first):
    match kind:
        case "heard":
            return tx.Heard(response_to(first, status, tag="b"))
        case "answer":
            return tx.Answer(response_to(first, status, tag="b"))
        case "again":
            return tx.Heard(first)
        case "ack":
            return tx.Heard(request("ACK"))
        case "acked":
            return tx.Acked()
        case "broken":
            return tx.Broken()
    return tx.Tick()


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(list(Role)), st.booleans(), st.lists(st.tuples(EVENTS, GAPS), max_size=25))
def test_any_sequence_of_events_keeps_a_transaction_whole(role, reliable, script):
    first = request("INVITE" if "invite" in role.value else "BYE")
    is_client = role in (Role.CLIENT, Role.INVITE_CLIENT)
    machine = tx.client(first, reliable, 0.0)[0] if is_client else tx.server(first, reliable)
    now, finals, told = 0.0, 0, 0
    order = list(State)
    for (kind, status), gap in script:
        now += gap
        before = machine
        machine, effects = tx.step(machine, event_of(kind, status, first), now)
        assert machine.request is first
        if before.ended:
            assert (machine, effects) == (before, ())
        if machine.ended:
            assert machine.next_ms is None
        elif machine.next_ms is not None:
            assert machine.next_ms > now or kind != "tick"
        if before.state in (State.COMPLETED, State.CONFIRMED, State.ACCEPTED):
            assert order.index(machine.state) >= order.index(before.state)
        for effect in effects:
            if isinstance(effect, tx.Send):
                assert isinstance(effect.message, Request) is is_client
            assert isinstance(effect, tx.Tell) <= is_client
            told += isinstance(effect, tx.Expired)
            if isinstance(effect, tx.Tell) and effect.response.is_final:
                finals += not (role is Role.INVITE_CLIENT and effect.response.is_success)
    assert finals <= 1
    assert told <= 1


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(list(Role)), st.booleans(), st.lists(EVENTS, max_size=6))
def test_every_transaction_that_was_answered_ends_by_time_alone(role, reliable, script):
    first = request("INVITE" if "invite" in role.value else "BYE")
    is_client = role in (Role.CLIENT, Role.INVITE_CLIENT)
    machine = tx.client(first, reliable, 0.0)[0] if is_client else tx.server(first, reliable)
    final = response_to(first, 404, tag="b")
    for kind, status in script:
        machine, _ = tx.step(machine, event_of(kind, status, first), 0.0)
    machine, _ = tx.step(machine, tx.Heard(final) if is_client else tx.Answer(final), 0.0)
    machine, _ = run(machine, 80_000, 250.0)
    assert machine.ended
