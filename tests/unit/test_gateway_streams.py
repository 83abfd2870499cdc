"""The gateway, against real servers on this machine: who answers, and what is never said twice."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.errors import EngineError
from apps.llm.answer import GroundedAnswerer
from apps.llm.gateway.breaker import Policy, State
from apps.llm.gateway.choice import ProviderChoice
from apps.llm.gateway.gateway import Gateway
from apps.llm.gateway.provider import EMBEDDED_PROVIDER, Kind, Price, Provider
from apps.llm.gateway.status import describe
from apps.llm.gateway.watch import watch
from apps.llm.openai import OpenAiGenerator
from apps.llm.usage import Account, Outcome
from tests.language_server import (
    DONE,
    EMBEDDED_ANSWER,
    Server,
    a_prompt,
    event,
    forever,
    head,
    says,
    sends,
    serving,
    status,
    text_of,
)
from tests.waiting import until

WELL = ("Bring your ", "papers. ", "And a pen.")
SAID = "".join(WELL)


class Watching:
    """Notes what a gateway tells."""

    def __init__(self):
        self.usages, self.fallbacks = [], 0

    def used(self, usage):
        self.usages.append(usage)

    def fell_back(self):
        self.fallbacks += 1

    @property
    def outcomes(self):
        return [(usage.provider, usage.outcome) for usage in self.usages]


@asynccontextmanager
async def gateway(*servers: Server, patience_s=5.0, **given_provider) -> AsyncGenerator:
    options = {"first_token_s": 2.0, "total_s": 5.0, "price": Price(1.0, 2.0), **given_provider}
    async with serving(*servers):
        providers = [
            Provider(name, Kind.VLLM, server.url, "base", **options)
            for name, server in zip("abc", servers, strict=False)
        ]
        clients = {
            p.name: OpenAiGenerator(
                p.url,
                model=p.model,
                api_key="key",
                first_token_s=p.first_token_s,
                total_s=p.total_s,
                running_usage=True,
            )
            for p in providers
        }
        watching = Watching()
        made = Gateway(
            [*providers, EMBEDDED_PROVIDER],
            GroundedAnswerer(),
            clients,
            patience_s=patience_s,
            policy=Policy(cooling_s=60.0),
            observer=watching,
        )
        made.watching = watching
        try:
            yield made
        finally:
            await made.close()


async def listen(made, heard):
    async with aclosing(made.stream(a_prompt())) as pieces:
        async for piece in pieces:
            heard.append(piece)


# --- who answers


async def test_the_first_server_answers_and_its_tokens_are_counted():
    usage = {"prompt_tokens": 50, "completion_tokens": 7, "total_tokens": 57}
    server = Server([says(*WELL, usage=usage)])
    async with gateway(server) as made:
        assert await text_of(made) == SAID
    (used,) = made.watching.usages
    assert (used.provider, used.model, used.outcome) == ("a", "base", Outcome.ANSWERED)
    assert (used.prompt_tokens, used.completion_tokens, used.estimated) == (50, 7, False)
    assert used.cost_micros == 50 * 1 + 7 * 2
    assert used.first_token_ms is not None
    assert made.watching.fallbacks == 0
    (asked,) = server.chats
    assert asked.headers["authorization"] == "Bearer key"
    assert asked.headers["accept-encoding"] == "identity"
    sampling = {name: asked.body[name] for name in ("temperature", "top_p", "max_tokens")}
    assert sampling == {"temperature": 0.2, "top_p": 1.0, "max_tokens": 200}


@pytest.mark.parametrize(
    ("answer", "outcome", "code"),
    [
        (status(500), Outcome.FAILED, "llm_refused"),
        (status(401), Outcome.FAILED, "llm_refused"),
        (status(404), Outcome.FAILED, "llm_refused"),
        (status(429, Retry_After="9"), Outcome.AT_CAPACITY, "llm_at_capacity"),
        (status(503), Outcome.AT_CAPACITY, "llm_at_capacity"),
        (status(413), Outcome.REJECTED, "llm_rejected"),
        (sends(b""), Outcome.FAILED, "llm_unreachable"),
        (sends(head() + DONE), Outcome.FAILED, "llm_empty"),
        (sends(head() + event(" \n") + DONE), Outcome.FAILED, "llm_empty"),
        (sends(head() + event("Bring your")), Outcome.FAILED, "llm_broke_off"),
        (sends(head() + event("Bring", error={"m": "s3cret"})), Outcome.FAILED, "llm_error"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_another_server_answers_where_one_does_not(answer, outcome, code):
    async with gateway(Server([answer]), Server([says(*WELL)])) as made:
        assert await text_of(made) == SAID
    first, second = made.watching.usages
    assert (first.provider, first.outcome, first.code) == ("a", outcome, code)
    assert (second.provider, second.outcome) == ("b", Outcome.ANSWERED)
    assert made.watching.fallbacks == 1


async def test_where_no_server_answers_the_embedded_one_does():
    async with gateway(Server([status(500)]), Server([status(503)])) as made:
        assert await text_of(made) == EMBEDDED_ANSWER
    assert made.watching.outcomes == [
        ("a", Outcome.FAILED),
        ("b", Outcome.AT_CAPACITY),
        ("embedded", Outcome.ANSWERED),
    ]
    assert [u.cost_micros for u in made.watching.usages] == [0, 0, 0]


async def test_a_server_at_capacity_is_not_asked_again_before_it_says():
    first = Server([status(503, Retry_After="60"), says("Never. ")])
    async with gateway(first, Server([says(*WELL)])) as made:
        for _ in range(3):
            assert await text_of(made) == SAID
    assert len(first.chats) == 1


async def test_a_server_that_keeps_failing_is_left_alone_and_nobody_waits_for_it():
    first = Server([status(500)])
    async with gateway(first, Server([says(*WELL)])) as made:
        for _ in range(6):
            assert await text_of(made) == SAID
        assert made.seat("a").breaker.state is State.OPEN
    assert len(first.chats) == Policy().min_failures
    assert made.watching.fallbacks == 6


async def test_more_answers_at_once_than_a_server_may_have_go_to_the_next():
    first, second = Server([says(*WELL, every_s=0.1)]), Server([says(*WELL)])
    async with gateway(first, second, max_concurrent=2) as made:
        assert await asyncio.gather(*(text_of(made) for _ in range(4))) == [SAID] * 4
        assert made.seat("a").in_flight == 0
    assert (len(first.chats), len(second.chats)) == (2, 2)


# --- deadlines, and falling back before the first sentence alone


async def test_a_first_token_that_is_late_goes_to_the_next_server():
    silent = Server([sends(head(), hangs=True)])
    async with gateway(silent, Server([says(*WELL)]), first_token_s=0.2) as made:
        assert await text_of(made) == SAID
        await asyncio.wait_for(silent.hung_up.wait(), 3)
    assert made.watching.outcomes[0] == ("a", Outcome.LATE)


async def test_a_server_that_breaks_off_within_its_first_sentence_is_begun_anew_elsewhere():
    broken = Server([sends(head() + event("Bring your papers, and do not"))])
    async with gateway(broken, Server([says(*WELL)])) as made:
        assert await text_of(made) == SAID
    assert made.watching.outcomes == [("a", Outcome.FAILED), ("b", Outcome.ANSWERED)]


async def test_a_server_that_breaks_off_after_its_first_sentence_has_had_its_word():
    broken = Server([sends(head() + event("Bring your papers. And do"))])
    other = Server([says(*WELL)])
    heard = []
    async with gateway(broken, other) as made:
        with pytest.raises(EngineError) as caught:
            await listen(made, heard)
    assert caught.value.code == "llm_broke_off"
    assert "".join(heard) == "Bring your papers. And do"
    assert not other.chats
    assert made.watching.outcomes == [("a", Outcome.BROKE_OFF)]
    assert made.watching.fallbacks == 0


async def test_a_server_that_drips_is_given_up_when_patience_ends():
    drip = Server([forever(lambda: event("a"), every_s=0.05)])
    async with gateway(drip, patience_s=0.5, first_token_s=0.3) as made:
        assert await text_of(made) == EMBEDDED_ANSWER
        await asyncio.wait_for(drip.hung_up.wait(), 3)
    assert made.watching.outcomes[0] == ("a", Outcome.LATE)
    assert made.watching.usages[0].code == "llm_first_sentence_late"
    assert made.watching.usages[0].estimated


async def test_a_server_that_was_asked_too_late_has_not_failed():
    silent = [Server([sends(head(), hangs=True)]) for _ in range(2)]
    async with gateway(*silent, patience_s=0.5, first_token_s=0.4) as made:
        for _ in range(3):
            assert await text_of(made) == EMBEDDED_ANSWER
        assert made.seat("a").breaker.state is State.OPEN
        assert made.seat("b").breaker.state is State.CLOSED
    assert made.watching.usages[1].code == "llm_out_of_time"


async def test_a_slow_listener_is_not_taken_for_a_slow_server():
    async with gateway(Server([says(*["Some words. "] * 6)]), patience_s=0.4) as made:
        heard = ""
        async with aclosing(made.stream(a_prompt())) as pieces:
            async for piece in pieces:
                heard += piece
                await asyncio.sleep(0.15)
    assert heard == "Some words. " * 6


class Scripted(OpenAiGenerator):
    """A client that says some pieces, and then ends or breaks off."""

    def __init__(self, pieces, breaks):
        self.pieces, self.breaks = pieces, breaks

    async def stream(self, prompt, tally=None):
        for piece in self.pieces:
            yield piece
        if self.breaks:
            raise EngineError("It broke.", code="llm_broke_off")

    async def close(self):
        pass


PIECES = st.lists(st.sampled_from(["One ", "two. ", "Three! ", "\n", "No. ", "5 "]), max_size=6)


@given(st.lists(st.tuples(PIECES, st.booleans()), min_size=1, max_size=3))
def test_no_word_is_said_twice_whoever_breaks_off_where(scripts):
    """What is heard is one provider's text from its beginning, and nothing before or after it."""
    marked = [([f"<{n}>", *pieces], breaks) for n, (pieces, breaks) in enumerate(scripts)]
    clients = {f"p{n}": Scripted(*script) for n, script in enumerate(marked)}
    providers = [Provider(name, Kind.VLLM, "http://x", "m") for name in clients]
    made = Gateway([*providers, EMBEDDED_PROVIDER], GroundedAnswerer(), clients)
    parts, failed = [], False
    try:
        asyncio.run(listen(made, parts))
    except EngineError:
        failed = True
    heard = "".join(parts)
    whole = [("".join(pieces), breaks) for pieces, breaks in marked]
    assert (heard, failed) in [*whole, (EMBEDDED_ANSWER, False)]
    first_sound = next((n for n, (_, breaks) in enumerate(whole) if not breaks), len(whole))
    speaker = int(heard[1]) if heard.startswith("<") else len(whole)
    assert speaker <= first_sound


# --- stopping


async def test_closing_the_answer_hangs_up_at_once():
    server = Server([forever(lambda: event("Word. "), every_s=0.01)])
    async with gateway(server) as made:
        async with aclosing(made.stream(a_prompt())) as pieces:
            assert "Word. " in await anext(pieces)
            assert made.seat("a").in_flight == 1
        await asyncio.wait_for(server.hung_up.wait(), 1)
        assert made.seat("a").in_flight == 0
    assert made.watching.outcomes == [("a", Outcome.STOPPED)]


@pytest.mark.parametrize("begun", [b"", head(), head() + event("Bring")])
async def test_cancelling_a_turn_hangs_up_at_once_wherever_it_stands(begun):
    server = Server([sends(begun, hangs=True)])
    async with gateway(server, first_token_s=20.0, patience_s=20.0) as made:
        task = asyncio.create_task(text_of(made))
        await asyncio.wait_for(server.arrived.wait(), 3)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(server.hung_up.wait(), 1)
    assert made.watching.outcomes == [("a", Outcome.STOPPED)]
    assert made.seat("a").breaker.state is State.CLOSED


async def test_an_answer_that_is_stopped_costs_what_was_written_until_then():
    counts = iter(range(1, 10_000))

    def counted():
        return event("Word. ", usage={"prompt_tokens": 40, "completion_tokens": next(counts)})

    server = Server([forever(counted, every_s=0.01)])
    async with gateway(server) as made, aclosing(made.stream(a_prompt())) as pieces:
        await anext(pieces)
    (used,) = made.watching.usages
    assert used.prompt_tokens == 40
    assert 1 <= used.completion_tokens < 100
    assert not used.estimated


# --- adapters, and how tokens are counted


async def test_an_adapter_is_asked_for_as_a_model_of_its_name():
    server = Server([says(*WELL)])
    async with gateway(server) as made:
        await text_of(made, a_prompt(adapter="kfz-lora-0a1b"))
    (asked,) = server.chats
    assert asked.body["model"] == "kfz-lora-0a1b"
    (used,) = made.watching.usages
    assert (used.model, used.adapter, used.adapter_missing) == (
        "kfz-lora-0a1b",
        "kfz-lora-0a1b",
        False,
    )


async def test_an_adapter_that_is_not_there_is_told_and_the_base_model_answers():
    server = Server([status(404), says(*WELL)])
    async with gateway(server) as made:
        assert await text_of(made, a_prompt(adapter="gone")) == SAID
    assert [chat.body["model"] for chat in server.chats] == ["gone", "base"]
    (used,) = made.watching.usages
    assert (used.model, used.adapter, used.adapter_missing) == ("base", "gone", True)


async def test_the_embedded_answer_says_that_it_has_no_adapter():
    async with gateway(Server([status(500)])) as made:
        await text_of(made, a_prompt(adapter="gone"))
    assert [u.adapter_missing for u in made.watching.usages] == [False, True]


async def test_a_server_that_does_not_count_tokens_is_asked_without_and_remembered():
    server = Server([status(400), status(400), says(*WELL)])
    async with gateway(server) as made:
        assert await text_of(made) == SAID
        assert await text_of(made) == SAID
    options = [chat.body.get("stream_options") for chat in server.chats]
    assert options == [
        {"include_usage": True, "continuous_usage_stats": True},
        {"include_usage": True},
        None,
        None,
    ]
    used = made.watching.usages[-1]
    assert used.estimated
    assert used.completion_tokens == -(-len(SAID) // 4)
    assert used.prompt_tokens > 100


@pytest.mark.parametrize("count", ["7", -1, True, 1e300, 10**9, None, [1]])
async def test_a_count_of_tokens_that_cannot_be_is_not_believed(count):
    usage = {"prompt_tokens": count, "completion_tokens": count}
    async with gateway(Server([says(*WELL, usage=usage)])) as made:
        assert await text_of(made) == SAID
    (used,) = made.watching.usages
    assert used.estimated
    assert 0 < used.completion_tokens < 100


# --- operators


async def test_another_order_holds_from_the_next_answer_on():
    first = Server([says("From a. ", "And more. ", every_s=0.05)])
    second = Server([says("From b. ")])
    async with gateway(first, second) as made:
        async with aclosing(made.stream(a_prompt())) as pieces:
            heard = await anext(pieces)
            made.use(ProviderChoice(("b",)))
            async for piece in pieces:
                heard += piece
        assert heard == "From a. And more. "
        assert await text_of(made) == "From b. "
        made.use(ProviderChoice(off=frozenset("ab")))
        assert await text_of(made) == EMBEDDED_ANSWER
    assert made.watching.fallbacks == 0


async def test_operators_see_each_provider_and_nothing_secret():
    async with gateway(Server([status(500)]), Server([says(*WELL)])) as made:
        for _ in range(3):
            await text_of(made)
        made.use(ProviderChoice(off=frozenset("b")))
        told = describe(made, asyncio.get_running_loop().time())
    assert [(t["name"], t["asked"]) for t in told] == [
        ("a", True),
        ("embedded", True),
        ("b", False),
    ]
    assert (told[0]["breaker"], told[0]["why_not"]) == ("open", "breaker")
    assert 0 < told[0]["opens_in_s"] <= 60
    assert "key" not in str(told).replace("tokens", "")


# --- health


async def test_probes_find_a_server_that_is_down_before_a_caller_does():
    server = Server([says(*WELL)], lists=status(500))
    async with gateway(server) as made:
        for _ in range(2):
            await made.probe("a")
        assert made.seat("a").up is False
        assert await text_of(made) == EMBEDDED_ANSWER
        assert not server.chats
        server.lists = status(404)  # no list of models, and well
        await made.probe("a")
        assert await text_of(made) == SAID


async def test_a_server_that_does_not_answer_a_probe_is_down():
    server = Server([says(*WELL)], lists=sends(b"", hangs=True))
    async with gateway(server, first_token_s=0.1) as made:
        for _ in range(2):
            await made.probe("a")
        assert (made.seat("a").up, made.seat("a").trouble) == (False, "llm_unreachable")


async def test_the_watch_probes_every_server_again_and_again():
    servers = [Server([says(*WELL)]) for _ in range(2)]
    async with gateway(*servers) as made:
        task = asyncio.create_task(watch(made, 0.02))
        await until(lambda: all(len(server.requests) >= 3 for server in servers), 3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert made.seat("a").up is True
        await watch(made, 0.0)  # 0: never, and it returns


async def test_ollama_is_probed_by_its_own_list():
    server = Server([says(*WELL)], lists=sends(head(200, "application/json") + b"{}"))
    async with serving(server):
        client = OpenAiGenerator(f"{server.url}/v1", model="m")
        provider = Provider("o", Kind.OLLAMA, f"{server.url}/v1", "m")
        made = Gateway([provider, EMBEDDED_PROVIDER], GroundedAnswerer(), {"o": client})
        await made.probe("o")
        assert await text_of(made) == SAID
        await made.close()
    assert [request.path for request in server.requests] == ["/api/tags", "/v1/chat/completions"]


# --- accounts


async def test_what_an_answer_costs_waits_until_its_turn_is_known():
    posted = []
    account = Account(
        lambda usage, turn_id: posted.append((usage.provider, turn_id, usage.purpose))
    )
    async with gateway(Server([says(*WELL)])) as made:
        await text_of(made, a_prompt(account=account))
        assert posted == []
        account.settle(4)
        account.settle(5)
        assert posted == [("a", 4, "answer")]
        await text_of(made, a_prompt(account=account.shadow()))
    assert posted[1:] == [("a", 4, "shadow")]
