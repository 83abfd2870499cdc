"""Late ratings over HTTP: who may send one, what is answered, and how often one address may."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

import httpx
import pytest

from apps.core.errors import InvalidFeedback, StoreError, TomError, UnknownCall
from apps.core.policy import PolicySlots
from apps.dispatcher.rating_tokens import RatingTokens
from apps.dispatcher.routes import rating
from apps.dispatcher.routes.reception import Reception
from apps.dispatcher.rt_fsm import PolicyRouter
from apps.dispatcher.server import create_app
from apps.dispatcher.switchboard import Switchboard
from apps.monitor.metrics import Metrics
from apps.rl.selector import Learned
from apps.rl.signals import Signals
from tests.calls import StubSelector

KEY = b"k" * 32
NOW_S = 1_800_000_000.0
GIVEN_S = NOW_S - 600
ELSEWHERE = ("203.0.113.7", 40000)


class Rated(StubSelector):
    """Takes one rating, or fails."""

    def __init__(self, error: TomError | None = None) -> None:
        super().__init__(PolicySlots())
        self.error, self.ratings = error, list[tuple[str, int, float]]()

    async def rate(self, call_ref: str, stars: int, *, after_s: float) -> Learned:
        if self.error is not None:
            raise self.error
        self.ratings.append((call_ref, stars, after_s))
        return Learned("v1a", Signals(), None, stored=len(self.ratings) == 1, learns=True)


@dataclass
class Board:
    """A switchboard without calls."""

    selector: Rated
    services: Any = field(init=False)

    def __post_init__(self) -> None:
        router = PolicyRouter(cast(Any, self.selector), KEY, now_s=lambda: NOW_S)
        self.services = type("Services", (), {"router": router})


def post(
    *bodies: object,
    error: TomError | None = None,
    peer: tuple[str, int] = ELSEWHERE,
    headers: dict[str, str] | None = None,
) -> tuple[Rated, list[httpx.Response]]:
    selector = Rated(error)
    reception = Reception(cast(Switchboard, Board(selector)), "t" * 32, now_s=lambda: NOW_S)
    app = create_app(
        reception,
        routers=[rating.router(reception)],
        metrics=Metrics(),
        metrics_enabled=False,
        engines=dict,
    )

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app, client=peer)
        async with httpx.AsyncClient(transport=transport, base_url="http://tom.example") as client:
            path = "/v1/calls/rating"
            return [await client.post(path, json=body, headers=headers) for body in bodies]

    return selector, asyncio.run(ask())


def given(stars: object = 4, token: object = None) -> dict[str, object]:
    return {"token": token or RatingTokens(KEY, 3600).give("c1", GIVEN_S), "rating": stars}


def test_a_rating_by_its_token_is_stored_and_the_same_again_changes_nothing() -> None:
    selector, answers = post(given(), given())
    assert [a.status_code for a in answers] == [200, 200]
    assert [a.json() for a in answers] == [
        {"rating": 4, "stored": True},
        {"rating": 4, "stored": False},
    ]
    assert selector.ratings[0] == ("c1", 4, 600.0)
    assert answers[0].headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (given(0), 400, "bad_message"),
        (given(6), 400, "bad_message"),
        (given("4"), 400, "bad_message"),
        (given(4.5), 400, "bad_message"),
        ({"rating": 4}, 400, "bad_message"),
        (given() | {"call_id": "call_1"}, 400, "bad_message"),
        ([], 400, "bad_message"),
        (given(token="x" * 201), 400, "bad_message"),
        (given(token="forged.token"), 403, "forbidden"),
        (given(token=RatingTokens(b"other" * 8, 3600).give("c1", GIVEN_S)), 403, "forbidden"),
        (given(token=RatingTokens(KEY, 3600).give("c1", NOW_S - 3600)), 410, "rating_expired"),
    ],
)
def test_what_is_no_rating_of_a_call_is_refused_before_the_store_is_asked(
    body: object, status: int, code: str
) -> None:
    selector, (answer,) = post(body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["hint"]
    assert selector.ratings == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidFeedback("Rated already.", code="already_rated"), 409),
        (InvalidFeedback("Nothing to rate.", code="not_rewarded"), 409),
        (UnknownCall("Not settled.", code="call_goes_on"), 409),
        (UnknownCall("Nothing is known."), 404),
        (StoreError("The disk is full."), 503),
    ],
)
def test_why_a_rating_does_not_count_is_told_by_a_code(error: TomError, status: int) -> None:
    _, (answer,) = post(given(), error=error)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, error.code)


def test_a_page_of_another_site_may_not_rate() -> None:
    selector, (answer,) = post(given(), headers={"Origin": "https://elsewhere.example"})
    assert answer.status_code == 403
    assert selector.ratings == []


def test_one_address_may_not_rate_without_end() -> None:
    many = [given() for _ in range(rating.RATINGS_PER_MINUTE + 1)]
    selector, answers = post(*many)
    assert answers[-1].status_code == 429
    assert answers[-1].json()["error"]["code"] == "too_many_ratings"
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert len(selector.ratings) == rating.RATINGS_PER_MINUTE
    here, _ = post(*many, peer=("127.0.0.1", 40000), headers={"Host": "localhost"})
    assert len(here.ratings) == rating.RATINGS_PER_MINUTE + 1
