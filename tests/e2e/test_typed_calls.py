"""Typed calls to a real server, by a client that was written from docs/protocol.md alone."""

from __future__ import annotations

import asyncio
import json
import random

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.e2e.phone import Phone, dial
from tests.e2e.servers import Running, wait_until

TYPED = {"mode": "text", "language": "en"}
REGISTER = "what documents do i need to register a used car"


async def finish(phone: Phone, goodbye: str = "goodbye", stars: str = "4") -> None:
    """Say goodbye, rate, and wait for the end."""
    await phone.ask(goodbye)
    await phone.until(lambda p: p.state == "awaiting_rating")
    await phone.send(type="text", text=stars)
    await phone.ends()


async def test_a_typed_call_from_greeting_to_reward(quick: Running) -> None:
    async with dial(quick.calls, **TYPED, observe=True) as phone:
        await phone.until(lambda p: p.state == "listening")
        assert "artificial intelligence" in " ".join(phone.said("assistant"))
        await phone.ask(REGISTER)
        assert "28 euros" in " ".join(await phone.ask("and how much does that cost"))
        await finish(phone)
    started, reward = phone.of("call.started")[0], phone.of("reward")[0]
    assert phone.messages[0] == started
    assert started["protocol"] == 1
    assert sum(started["probabilities"].values()) == pytest.approx(1.0)
    assert started["propensity"] == started["probabilities"][started["policy_variant"]]
    assert phone.sources[0].endswith("#reg-used")
    assert phone.of("rating") == [{"type": "rating", "stars": 4}]
    assert -1.0 <= reward["value"] <= 1.0
    assert reward["value"] == pytest.approx(sum(reward["components"].values()), abs=0.01)
    assert phone.messages[-1]["type"] == "call.ended"
    assert (phone.reason, phone.close_code) == ("completed", 1000)
    assert phone.audio == b""


async def test_who_does_not_observe_is_told_nothing_of_the_policy(quick: Running) -> None:
    async with dial(quick.calls, **TYPED) as phone:
        await phone.ask(REGISTER)
        await finish(phone)
    assert "policy_variant" not in phone.of("call.started")[0]
    assert phone.of("reward") == []


async def test_a_typed_call_in_german(quick: Running) -> None:
    async with dial(quick.calls, mode="text", language="de") as phone:
        answer = await phone.ask("Was kostet die Zulassung?")
        assert "Euro" in " ".join(answer)
        await finish(phone, "auf Wiederhören", "fünf von fünf")
    assert phone.of("rating")[0]["stars"] == 5


async def test_a_person_who_is_asked_for_gets_the_question_so_far(quick: Running) -> None:
    async with dial(quick.calls, **TYPED) as phone:
        await phone.ask(REGISTER)
        answer = await phone.ask("I want to talk to a human agent")
        if phone.reason is None:  # nobody is there at this hour
            assert answer
            await phone.send(type="hangup")
        await phone.ends()
    assert (phone.reason == "handover") == bool(phone.of("transfer"))


async def test_keys_and_pings_work_in_a_typed_call(quick: Running) -> None:
    async with dial(quick.calls, **TYPED) as phone:
        await phone.until(lambda p: p.state == "listening")
        await phone.send(type="ping")
        await phone.until(lambda p: p.of("pong"))
        await phone.send(type="dtmf", digit="1")
        await phone.until(lambda p: p.sources)
        await phone.send(type="hangup")
        await phone.ends()
    assert phone.sources[0].endswith("#hours-week")
    assert phone.reason == "caller_hung_up"


# --- nonsense

REFUSED_AT_START = [
    ({"type": "text", "text": "hello"}, "not_started", 4400),
    ({"type": "start", "surprise": 1}, "bad_message", 4400),
    ({"type": "start", "caller": "\ud800"}, "bad_json", 4400),
    ({"type": "start", "profile": "nobody"}, "unknown_profile", 4404),
    ({"type": "start", "audio": {"rate": 12345}}, "unsupported_rate", 4415),
    ({"type": "start", "audio": {"encoding": "mulaw", "rate": 16000}}, "unsupported_rate", 4415),
    ("{", "bad_json", 4400),
    (b"\0\0", "not_started", 4400),
]


@pytest.mark.parametrize(("first", "code", "close"), REFUSED_AT_START)
async def test_a_call_that_begins_wrongly_is_refused_with_a_code(quick, first, code, close) -> None:
    async with connect(quick.calls) as socket:
        await socket.send(json.dumps(first) if isinstance(first, dict) else first)
        error = json.loads(await socket.recv())
        with pytest.raises(ConnectionClosed):
            await socket.recv()
    assert (error["type"], error["code"], socket.close_code) == ("error", code, close)
    assert error["message"]


REFUSED_IN_A_CALL = [
    ("[]", "unknown_message"),
    ("not json", "bad_json"),
    ('{"type":"dance"}', "unknown_message"),
    ('{"type":"text","text":""}', "bad_message"),
    ('{"type":"text","text":"\\ud800"}', "bad_json"),
    ('{"type":"text","text":"' + "x" * 1001 + '"}', "bad_message"),
    ('{"type":"dtmf","digit":"12"}', "bad_message"),
    ('{"type":"rating","stars":5}', "not_asked"),
    ('{"type":"start"}', "already_started"),
    (b"\0" * 640, "audio_not_expected"),
]


async def test_nonsense_in_a_call_is_told_and_the_call_goes_on(quick: Running) -> None:
    async with dial(quick.calls, **TYPED) as phone:
        for number, (message, code) in enumerate(REFUSED_IN_A_CALL, 1):
            await phone.socket.send(message)
            await phone.until(lambda p, n=number: len(p.of("error")) == n)
            assert phone.of("error")[-1]["code"] == code
        assert await phone.ask(REGISTER)
        await phone.send(type="hangup")
        await phone.ends()
    assert phone.sources


async def test_words_that_no_keyboard_has_are_answered_all_the_same(quick: Running) -> None:
    async with dial(quick.calls, **TYPED) as phone:
        for text in ("\0", '"; DROP TABLE calls; --', "AND OR NOT (", "🚗" * 200, "\u202e\u0000*"):
            assert await phone.ask(text)
        await phone.send(type="hangup")
        await phone.ends()
    assert phone.reason == "caller_hung_up"


async def test_one_error_too_many_closes_the_connection(quick: Running) -> None:
    async with dial(quick.calls, **TYPED) as phone:
        for _ in range(21):
            await phone.socket.send("nonsense")
        await phone.ends()
    assert phone.close_code == 4400
    assert len(phone.of("error")) == 21


async def test_a_message_that_is_too_big_closes_the_connection(quick: Running) -> None:
    async with dial(quick.calls, **TYPED) as phone:
        await phone.until(lambda p: p.state)
        await phone.socket.send(b"\0" * 70_000)
        await phone.ends()
    assert phone.close_code == 1009


async def throw_nonsense(calls: str, seed: int) -> None:
    """One connection that sends whatever comes, before or after a start, and vanishes or stays."""
    dice = random.Random(seed)
    async with connect(calls, max_size=2**20) as socket:
        try:
            if dice.random() < 0.7:
                mode = dice.choice(["audio", "text"])
                await socket.send(json.dumps({"type": "start", "mode": mode, "observe": True}))
            for _ in range(dice.randrange(40)):
                await socket.send(nonsense(dice))
            if dice.random() < 0.5:
                socket.transport.abort()
            else:
                await socket.close()
        except ConnectionClosed:
            return


def nonsense(dice: random.Random) -> str | bytes:
    words = ["start", "text", "dtmf", "rating", "hangup", "ping", "dance"]
    value = [None, 0, -1, 1e300, "", "x" * 2000, "4", [], {}, True, "\ud800", "\0"]
    match dice.randrange(5):
        case 0:
            return dice.randbytes(dice.randrange(8000))
        case 1:
            return "".join(chr(dice.randrange(1, 0xD7FF)) for _ in range(dice.randrange(200)))
        case 2:
            return "[" * dice.randrange(2000)
        case _:
            fields = ["text", "digit", "stars", "audio", "mode", "profile", "language", "token"]
            message = {dice.choice(fields): dice.choice(value) for _ in range(dice.randrange(4))}
            return json.dumps({"type": dice.choice(words), **message})


async def cut_in_the_middle(calls: str) -> None:
    """A connection that ends in the middle of a WebSocket frame."""
    socket = await connect(calls)
    await socket.send(json.dumps({"type": "start"}))
    socket.transport.write(b"\x82\xfe\x02\x80\x00\x00")  # binary, 640 bytes to come, and then none
    socket.transport.abort()


async def test_no_nonsense_disturbs_another_call(quick: Running) -> None:
    async with dial(quick.calls, **TYPED, observe=True) as phone:
        await phone.ask(REGISTER)
        await asyncio.gather(*(throw_nonsense(quick.calls, seed) for seed in range(30)))
        assert "28 euros" in " ".join(await phone.ask("and how much does that cost"))
        await asyncio.gather(*(cut_in_the_middle(quick.calls) for _ in range(20)))
        await finish(phone)
    assert phone.reason == "completed"
    await asyncio.to_thread(wait_until, lambda: quick.ready()["live_calls"] == 0, 40)
    assert quick.complaints() == []


async def test_audio_in_frames_of_odd_sizes_is_refused_frame_by_frame(quick: Running) -> None:
    async with connect(quick.calls) as socket:
        phone = Phone(socket)
        listening = asyncio.create_task(phone.listen())
        await phone.send(type="start", language="en")
        await phone.until(lambda p: p.state)
        for frame, code in (
            (b"\0", "bad_frame"),
            (b"", "bad_frame"),
            (bytes(6402), "frame_too_long"),
        ):
            before = len(phone.of("error"))
            await socket.send(frame)
            await phone.until(lambda p, n=before: len(p.of("error")) > n)
            assert phone.of("error")[-1]["code"] == code
        # Eight seconds of audio in a moment: some are too many, yet not so many that the call ends.
        for _ in range(40):
            await socket.send(bytes(6400))
        await phone.until(lambda p: p.of("error")[-1]["code"] == "audio_too_fast")
        await phone.send(type="hangup")
        await phone.ends()
        await listening
    assert phone.close_code == 1000
