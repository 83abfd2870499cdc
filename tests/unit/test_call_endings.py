"""However calls end, nothing of them is left: tried with a thousand calls in virtual time.

Each example is one server with a few callers, whose calls end in every way there is (they hang up,
their connection breaks or jams, their task is cancelled, the time is up, the server goes away)
while the engines fail at any moment. What holds afterwards does not depend on how it came about.
"""

import asyncio
import sys
import traceback
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from apps.core.audio import FRAME_BYTES, FRAME_MS
from apps.core.clock import loop_ms
from apps.core.errors import (
    AtCapacity,
    EngineDied,
    EngineError,
    EngineOverloaded,
    StoreError,
    UnknownCall,
)
from apps.core.policy import PolicySlots
from apps.core.resources import resource
from apps.dispatcher import closing, settling, switchboard
from apps.dispatcher.closing import ask_feedback
from apps.dispatcher.profile import load_profiles
from apps.dispatcher.rt_fsm import PolicyRouter
from apps.dispatcher.services import Limits, Services
from apps.dispatcher.switchboard import Switchboard
from apps.llm.answer import GroundedAnswerer
from apps.store.calls import CallOrigin
from apps.voice.doors.base import CallerAudio, CallRequest, Capabilities
from apps.voice.sealed import SealingKey
from apps.voice.stt.base import Transcript
from apps.voice.vad import EnergyVad
from tests.calls import QUIET, VOICE, CallerHungUp, CallerText, StubSelector, knowledge
from tests.virtual_time import run_virtual

CALLS = 8
EXAMPLES = 135  # more than 1,000 calls, though some find the server going away
LIMITS = Limits(no_input_s=2.0, rating_s=1.0, max_call_s=5.0, engine_wait_s=0.5)
CUT_OFF_S, FAREWELL_S = 3.0, 1.0
GONE_S = 1.0
"""So soon after the caller has gone, the line must be free, whatever the engines do."""
QUESTIONS = ("what documents do i need to register a used car", "and what does it cost")


# --- engines that fail


@dataclass(frozen=True)
class Fault:
    """One engine does not work for a while.

    Attributes:
        engine: ``stt``, ``tts``, ``llm`` or ``db``.
        how: ``died``, ``failed``, ``overloaded``, ``silent`` (it never answers) or ``defect``.
        from_ms: Since the server's start.
        for_ms: How long.
    """

    engine: str
    how: str
    from_ms: int
    for_ms: int


class Faults:
    """What is broken at this moment."""

    def __init__(self, faults):
        self.faults = faults

    def now(self, engine):
        """How the engine is broken now; None while it works."""
        for fault in self.faults:
            if fault.engine == engine and 0 <= loop_ms() - fault.from_ms < fault.for_ms:
                return fault.how
        return None

    def strike(self, engine):
        """Raise what the engine raises now, unless it only keeps silent."""
        match self.now(engine):
            case "died":
                raise EngineDied("It has ended.")
            case "failed":
                raise EngineError("It does not work.")
            case "overloaded":
                raise EngineOverloaded("It does not keep up.")
            case "defect":
                raise ZeroDivisionError

    async def meet(self, engine):
        """As `strike`; a silent engine is waited for without end."""
        self.strike(engine)
        if self.now(engine) == "silent":
            await asyncio.Event().wait()


class Utterances:
    """A recogniser that remembers what it was never told the end of."""

    name, languages, ready = "fragile", frozenset({"en"}), True

    def __init__(self, faults):
        self.faults, self.open = faults, []

    def listen(self, options, on_partial=None):
        self.faults.strike("stt")
        utterance = FragileUtterance(self, on_partial)
        self.open.append(utterance)
        return utterance


class FragileUtterance:
    def __init__(self, engine, on_partial):
        self.engine, self.on_partial, self.frames = engine, on_partial, 0

    def feed(self, pcm):
        self.engine.faults.strike("stt")
        self.frames += 1
        if self.on_partial is not None and self.frames % 10 == 0:
            words = QUESTIONS[0].split()[: self.frames // 2]  # all of them before the voice ends
            until_ms = self.frames * FRAME_MS
            partial = Transcript(" ".join(words), 0.0, is_final=False, until_ms=until_ms)
            self.on_partial(partial)

    async def finish(self):
        await self.engine.faults.meet("stt")
        await asyncio.sleep(0.05)
        self.engine.faults.strike("stt")
        self.cancel()
        return Transcript(QUESTIONS[self.frames % 4 == 0], 0.9, is_final=True)

    def cancel(self):
        if self in self.engine.open:
            self.engine.open.remove(self)


class FragileTts:
    """Speaks 10 ms a character, at ten times real time."""

    name, languages, ready = "fragile", frozenset({"en"}), True

    def __init__(self, faults):
        self.faults = faults

    async def synthesise(self, text, style):
        for _ in range(0, len(text), 4):
            await self.faults.meet("tts")
            await asyncio.sleep(0.004)
            yield VOICE + VOICE


class FragileGenerator:
    name = "fragile"

    def __init__(self, faults):
        self.faults, self.embedded = faults, GroundedAnswerer()

    async def stream(self, prompt):
        async with aclosing(self.embedded.stream(prompt)) as pieces:
            async for piece in pieces:
                await self.faults.meet("llm")
                await asyncio.sleep(0.01)
                yield piece


class FragileDb:
    def __init__(self, faults):
        self.faults, self.opened, self.closed = faults, [], []

    async def run(self, function, *args, **kwargs):
        await asyncio.sleep(0.01)
        if self.faults.now("db"):
            raise StoreError("The disk is full.")
        if function.__name__ == "open_call":
            self.opened.append(args[0].call_ref)
        elif args[0] in self.opened:
            self.closed.append(args[0])
        else:  # its call was cancelled while it was being opened
            raise UnknownCall("No such call is stored.")


class SlowSelector(StubSelector):
    async def choose(self, *args, **kwargs):
        await asyncio.sleep(0.02)
        return await super().choose(*args, **kwargs)

    async def learn(self, *args):
        await asyncio.sleep(0.02)
        return await super().learn(*args)


# --- callers whose calls end


@dataclass(frozen=True)
class Plan:
    """One caller.

    Attributes:
        after_ms: When they call.
        typed: Whether they type.
        speaks_ms: When they say something, since they called.
        end: How their call ends.
        end_ms: When, since they called.
    """

    after_ms: int
    typed: bool
    speaks_ms: tuple[int, ...]
    end: str
    end_ms: int


class EndingDoor:
    """A door that does what its plan says; broken ones raise or jam from the end's moment on."""

    name = "test"
    unplayed_ms = 0.0

    def __init__(self, plan):
        self.plan, self.began_ms = plan, loop_ms()
        self.request = CallRequest("kfz", "en")
        self.capabilities = Capabilities(audio=not plan.typed, transfer=True, observe=True)
        self.told, self.closed = [], []

    @property
    def over(self):
        return loop_ms() - self.began_ms >= self.plan.end_ms

    async def events(self):
        said = 0
        while True:
            now_ms = loop_ms() - self.began_ms
            if self.over and self.plan.end in ("hangs up", "is lost"):
                yield CallerHungUp(failed=self.plan.end == "is lost")
                return
            await self._break("events")
            speaking = [at for at in self.plan.speaks_ms if at <= now_ms < at + 400]
            if not self.plan.typed:
                yield CallerAudio(VOICE if speaking else QUIET)
            elif said < len(self.plan.speaks_ms) and now_ms >= self.plan.speaks_ms[said]:
                yield CallerText("bye" if said == 2 else QUESTIONS[said % 2])
                said += 1
            await asyncio.sleep(0.02)

    async def play(self, frame):
        assert len(frame) == FRAME_BYTES
        await self._break("play")

    async def flush(self):
        await self._break("flush")

    async def tell(self, kind, data):
        await self._break("tell")
        self.told.append((kind, dict(data)))

    async def close(self, reason):
        self.closed.append(reason)
        await self._break("close")

    async def _break(self, what):
        if self.over and self.plan.end == f"{what} raises":
            raise ConnectionError("the socket is broken")
        if self.over and self.plan.end == f"{what} jams":
            await asyncio.Event().wait()


class Recorder:
    """Stands in for the recorder, whose file 1,000 calls need not write."""

    made: ClassVar[list] = []

    def __init__(self, path, key, disk):
        self.open = True
        self.made.append(self)

    def caller(self, pcm, at_ms=None):
        assert self.open

    def assistant(self, pcm, at_ms=None):
        assert self.open

    def close(self):
        self.open = False


class Logs:
    def __init__(self):
        self.of = {}

    def put(self, call_ref, record):
        self.of.setdefault(call_ref, []).append(record)
        return True


class Generators:
    """Every async generator that is begun within the block."""

    def __enter__(self):
        self.begun, self._hooks = [], sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(firstiter=self.begun.append)
        return self

    def __exit__(self, *_):
        sys.set_asyncgen_hooks(*self._hooks)

    def unfinished(self):
        return [g.__qualname__ for g in self.begun if g.ag_frame is not None]


@dataclass
class Aftermath:
    """What is left of a server's calls."""

    board: Switchboard
    faults: Faults
    doors: list[EndingDoor] = field(default_factory=list)
    refused: int = 0
    lasted_ms: list[float] = field(default_factory=list)
    crashes: list[tuple] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)
    generators: list[str] = field(default_factory=list)

    def metric(self, name):
        family = self.board.services.metrics.registry.collect()
        return sum(s.value for f in family for s in f.samples if s.name == name)


def new_board(faults):
    services = Services(
        profiles=load_profiles(resource("profiles")),
        router=PolicyRouter(SlowSelector(PolicySlots()), b"k" * 32),
        knowledge=knowledge(),
        generator=FragileGenerator(faults),
        stt={"en": Utterances(faults)},
        tts={"en": FragileTts(faults)},
        new_vad=EnergyVad,
        log_sink=Logs(),
        limits=LIMITS,
        recordings=resource("profiles"),
        recording_key=SealingKey.of("k" * 32),
    )
    return Switchboard(services, FragileDb(faults), CALLS, "kfz", CallOrigin.TEST)


async def one_call(after, plan):
    await asyncio.sleep(plan.after_ms / 1000)
    door = EndingDoor(plan)
    call = asyncio.create_task(after.board.take(door))
    ender = asyncio.create_task(end(call, door, plan))
    outcome = (await asyncio.gather(call, return_exceptions=True))[0]
    ender.cancel()
    await asyncio.gather(ender, return_exceptions=True)
    after.lasted_ms.append(loop_ms() - door.began_ms)
    if isinstance(outcome, AtCapacity):
        after.refused += 1
        return
    after.doors.append(door)
    after.crashes += [
        (plan, "".join(traceback.format_exception(error)))
        for error in leaves(outcome)
        if not isinstance(error, EXPECTED.get(plan.end, ()))
    ]


def leaves(outcome):
    """The errors by which a call was ended."""
    if isinstance(outcome, BaseExceptionGroup):
        return [leaf for error in outcome.exceptions for leaf in leaves(error)]
    return [] if outcome is None else [outcome]


async def end(call, door, plan):
    await asyncio.sleep(plan.end_ms / 1000)
    if plan.end.startswith("cancelled"):
        call.cancel()
        if plan.end == "cancelled twice":
            await asyncio.sleep(0.015)
            call.cancel()
    elif plan.end == "is asked":
        started = [data for kind, data in door.told if kind == "call.started"]
        if started:
            await ask_feedback(started[0]["call_id"], {})


async def serve(plans, faults, drain_ms):
    after = Aftermath(new_board(Faults(faults)), Faults(faults))
    loop = asyncio.get_running_loop()
    if drain_ms is not None:
        going = (after.board.drain, after.board.say_goodbye, after.board.cut)
        for later_ms, step in zip((0, 300, 1500), going, strict=True):
            loop.call_later((drain_ms + later_ms) / 1000, step)
    with Generators() as generators:
        await asyncio.gather(*(one_call(after, plan) for plan in plans))
        await after.board.idle()
        here = asyncio.current_task()
        after.tasks = [t.get_name() for t in asyncio.all_tasks() if t is not here]
        after.generators = generators.unfinished()
    return after


def server_of(plans, faults=(), drain_ms=None):
    """Run one server to the end of its last call."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(switchboard, "CLOSING_S", CUT_OFF_S)
        patch.setattr(settling, "FAREWELL_S", FAREWELL_S)
        patch.setattr(switchboard, "CallRecorder", Recorder)
        patch.setattr(Recorder, "made", [])
        after = run_virtual(serve(plans, faults, drain_ms))
        check(after, draining=drain_ms is not None)
    return after


def check(after, *, draining):
    """What holds after any call, however it ended."""
    board = after.board
    if not any(fault.how == "defect" for fault in after.faults.faults):
        assert not after.crashes, after.crashes[0][1]
    assert after.tasks == []
    assert after.generators == []
    assert board.services.stt["en"].open == []
    assert not any(recorder.open for recorder in Recorder.made)
    assert [door.plan for door in after.doors if len(door.closed) != 1] == []
    assert not closing._on_the_line
    assert board.services.router._sessions == {}
    assert board.live_calls == 0
    assert board.ready is not draining
    logs = board.services.log_sink.of.values()
    for records in logs:
        kinds = [record.kind for record in records]
        assert kinds.count("call.ended") == 1
        assert kinds[-1] == "call.ended"
        used_or_wasted = kinds.count("speculation.used") + kinds.count("speculation.wasted")
        assert kinds.count("speculation.started") == used_or_wasted
        assert [record.seq for record in records] == list(range(len(records)))
    assert after.metric("tom_live_calls") == 0
    assert after.metric("tom_calls_total") == len(logs)
    assert after.metric("tom_calls_refused_total") == after.refused
    if not any(fault.engine == "db" for fault in after.faults.faults):
        assert sorted(board.db.opened) == sorted(board.db.closed)
    bound_ms = (LIMITS.max_call_s + CUT_OFF_S + 3 * FAREWELL_S) * 1000
    assert max(after.lasted_ms) <= bound_ms


ENDS = (
    "hangs up",
    "is lost",
    "cancelled",
    "cancelled twice",
    "is asked",
    "time limit",
    *(f"{what} raises" for what in ("events", "play", "flush", "tell", "close")),
    *(f"{what} jams" for what in ("events", "play", "flush", "tell", "close")),
)
EXPECTED = {
    "cancelled": asyncio.CancelledError,
    "cancelled twice": asyncio.CancelledError,
} | {end: ConnectionError for end in ENDS if end.endswith("raises")}
REASONS = {"hangs up": "caller_hung_up", "is lost": "failure", "time limit": "time_limit"}
MOMENTS_MS = st.integers(0, 450).map(lambda n: n * 10)
PLANS = st.builds(
    Plan,
    after_ms=st.integers(0, 60).map(lambda n: n * 10),
    typed=st.integers(0, 4).map(lambda n: n == 0),
    speaks_ms=st.lists(MOMENTS_MS, min_size=1, max_size=3).map(
        lambda moments: tuple(sorted(moments))
    ),
    end=st.sampled_from(ENDS),
    end_ms=MOMENTS_MS,
)
FAULTS = st.lists(
    st.builds(
        Fault,
        engine=st.sampled_from(("stt", "tts", "llm", "db")),
        how=st.sampled_from(("died", "failed", "overloaded", "silent", "defect")),
        from_ms=MOMENTS_MS,
        for_ms=st.sampled_from((20, 300, 2000, 20_000)),
    ),
    max_size=2,
)


@pytest.mark.timeout(400)
@settings(
    max_examples=EXAMPLES,
    phases=[Phase.generate],  # shrinking would hold a thousand calls again and again
    suppress_health_check=list(HealthCheck),
)
@given(
    plans=st.lists(PLANS, min_size=CALLS, max_size=CALLS),
    faults=FAULTS,
    drain_ms=st.none() | st.none() | st.none() | MOMENTS_MS,
)
def test_nothing_is_left_of_a_thousand_calls_that_ended_in_every_way(plans, faults, drain_ms):
    server_of(plans, tuple(faults), drain_ms)


@pytest.mark.parametrize("end_ms", [0, 10, 500, 1500, 2200, 2600])
@pytest.mark.parametrize("end", ENDS)
def test_each_end_leaves_nothing(end, end_ms):
    after = server_of([Plan(0, False, (1200, 2400), end, end_ms)])
    (log,) = after.board.services.log_sink.of.values() or [None]
    if end in REASONS:
        assert log[-1].data["reason"] == REASONS[end]


@pytest.mark.parametrize("engine", ["stt", "tts", "llm"])
def test_a_caller_who_is_gone_frees_the_line_though_an_engine_never_answers(engine):
    plan = Plan(0, False, (1200, 2400), "hangs up", 2300)
    after = server_of([plan], (Fault(engine, "silent", 1000, 100_000),))
    assert after.lasted_ms[0] <= 2300 + GONE_S * 1000


def test_callers_who_are_left_alone_are_not_disturbed_by_those_whose_calls_break():
    quiet = Plan(0, False, (1200,), "time limit", 0)
    alone = server_of([quiet])
    others = [replace(quiet, end=end, end_ms=1300) for end in ENDS if end != "time limit"][:7]
    among = server_of([quiet, *others])
    heard = next(door for door in among.doors if door.plan == quiet)
    assert [kind for kind, _ in heard.told] == [kind for kind, _ in alone.doors[0].told]
