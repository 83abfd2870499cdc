"""`tom dial` and `tom consents`, as the one who types sees them."""

import json
from contextlib import contextmanager
from importlib import import_module

import httpx
import pytest
from typer.testing import CliRunner

from apps.cli import app
from apps.cli.operator import running_server
from apps.core import secrets
from apps.core.ids import keyed_hash
from apps.settings import load_settings
from apps.store.consents import records_of
from apps.store.database import open_database

NUMBER = "+49 30 1234567"
PLAIN = "+49301234567"
dial = import_module("apps.cli.dial")  # the package names its function so


class Server:
    """Answers as /v1/calls does, with one status after the other."""

    def __init__(self, *states, refuses=None):
        self.states, self.refuses = list(states), refuses
        self.requests = []

    def __call__(self, request):
        self.requests.append(request)
        if self.refuses is not None:
            return httpx.Response(403, json={"error": self.refuses})
        status = {
            "call": "out_1",
            "state": "dialling",
            "attempt": 1,
            "result": None,
            "not_before": None,
            "talk": None,
            "reason": None,
            "rating": None,
        }
        if request.method == "GET":
            status |= self.states.pop(0)
        if request.method == "DELETE":
            status |= {"state": "ended", "result": "cancelled"}
        return httpx.Response(202, json=status)

    def run(self, monkeypatch, *words, wait=lambda _: None):
        @contextmanager
        def served(url):
            base = url or "http://tom"
            with httpx.Client(transport=httpx.MockTransport(self), base_url=base) as client:
                yield client

        monkeypatch.setattr(dial, "running_server", served)
        monkeypatch.setattr(dial.time, "sleep", wait)
        return CliRunner().invoke(app, ["dial", *words])


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOM_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("RL_FEEDBACK_DB_PATH", str(tmp_path / "feedback.db"))
    load_settings.cache_clear()
    yield tmp_path
    load_settings.cache_clear()


# --- tom dial


def test_a_call_is_followed_to_its_end(monkeypatch):
    server = Server(
        {"state": "answered"},
        {"state": "live", "talk": "greeting"},
        {"state": "live", "talk": "awaiting_rating"},
        {"state": "ended", "result": "answered"},
    )
    done = server.run(monkeypatch, PLAIN, "--purpose", "pickup", "--language", "de", "--key", "k7")
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        "calling",
        "picked up; listening to who it is",
        "talking: greeting",
        "talking: awaiting rating",
        "They were talked to.",
    ]
    order = json.loads(server.requests[0].content)
    assert (order["to"], order["purpose"], order["language"]) == (PLAIN, "pickup", "de")
    assert server.requests[0].headers["idempotency-key"] == "k7"


def test_who_was_not_reached_is_an_exit_code(monkeypatch):
    waits = {"state": "waiting", "result": "busy", "not_before": "2026-03-10T09:15:00+00:00"}
    server = Server(
        waits, {"state": "dialling", "attempt": 2}, {"state": "ended", "result": "busy"}
    )
    done = server.run(monkeypatch, PLAIN)
    assert done.exit_code == 1
    assert "waiting to try again at 2026-03-10T09:15 UTC (busy)" in done.output
    assert "calling, attempt 2" in done.output
    assert "The line was busy." in done.output


def test_an_interruption_hangs_up(monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    server = Server()
    done = server.run(monkeypatch, PLAIN, wait=interrupt)
    assert [request.method for request in server.requests] == ["POST", "DELETE"]
    assert done.exit_code == 1
    assert "The call was cancelled." in done.output


def test_a_refusal_is_told_with_its_hint(monkeypatch):
    refusal = {"code": "outside_hours", "message": "Nobody is called now.", "hint": "Not before 9."}
    done = Server(refuses=refusal).run(monkeypatch, PLAIN)
    assert done.exit_code == 1
    assert "Nobody is called now." in done.output
    assert "Not before 9." in done.output


def test_programs_get_json_a_line(monkeypatch):
    server = Server({"state": "ended", "result": "message_left"})
    done = server.run(monkeypatch, PLAIN, "--json")
    assert done.exit_code == 0
    assert [json.loads(line)["state"] for line in done.output.splitlines()] == ["dialling", "ended"]


def test_a_server_that_is_not_there_is_told():
    done = CliRunner().invoke(app, ["dial", PLAIN, "--url", "http://127.0.0.1:9"])
    assert done.exit_code == 1
    assert "No TOM answers" in done.output


def test_the_server_on_this_machine_is_shown_this_installation_s_token(home, monkeypatch):
    monkeypatch.setenv("TOM_OPERATOR_TOKEN", "")
    own = secrets.load_or_create(home).operator_token
    with running_server("") as server:
        assert server.headers["authorization"] == f"Bearer {own}"
    with running_server("https://tom.example.org") as server:
        assert "authorization" not in server.headers
    monkeypatch.setenv("TOM_OPERATOR_TOKEN", "another server's own token")
    with running_server("https://tom.example.org") as server:
        assert server.headers["authorization"] == "Bearer another server's own token"


# --- tom consents


def consents(*words):
    return CliRunner().invoke(app, ["consents", *words])


def kept(home):
    with open_database(home / "feedback.db").reading() as conn:
        return records_of(conn)


def test_a_consent_is_kept_with_its_source_and_without_its_number(home):
    assert consents("add", NUMBER, "--purpose", "pickup", "--source", "web form").exit_code == 0
    (row,) = kept(home)
    assert (row.action, row.purpose, row.source) == ("given", "pickup", "web form")
    assert row.at_hour is not None
    assert row.subject == keyed_hash(PLAIN, secrets.load_or_create(home).hash_key, purpose="caller")
    assert PLAIN.encode() not in (home / "feedback.db").read_bytes()


def test_a_consent_without_a_source_is_not_taken(home):
    assert consents("add", NUMBER).exit_code != 0


def test_revoking_and_blocking_are_recorded_after_it(home):
    consents("add", NUMBER, "--source", "web form")
    consents("revoke", NUMBER, "--purpose", "pickup")
    consents("block", NUMBER, "--source", "said so")
    consents("unblock", NUMBER)
    assert [row.action for row in kept(home)] == ["given", "revoked", "blocked", "unblocked"]


def test_the_list_shows_what_was_recorded_of_a_number(home):
    consents("add", NUMBER, "--source", "web form")
    consents("add", "+49309999999", "--source", "letter")
    listed = consents("list", NUMBER)
    assert "web form" in listed.output
    assert "letter" not in listed.output
    lines = consents("list", "--json").output.splitlines()
    assert [json.loads(line)["source"] for line in lines] == ["web form", "letter"]


def test_a_list_of_nothing_says_so(home):
    assert "Nothing is recorded." in consents("list").output


def test_who_is_forgotten_stays_on_the_do_not_call_list(home):
    consents("add", NUMBER, "--source", "web form")
    consents("block", NUMBER)
    assert "Deleted 1" in consents("forget", NUMBER).output
    assert [row.action for row in kept(home)] == ["blocked"]


def test_what_is_no_number_is_refused(home):
    done = consents("block", "030 1234567")
    assert done.exit_code == 1
    assert "neither a number nor a SIP address" in done.output
