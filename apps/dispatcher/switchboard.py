"""Takes calls from the doors: admission, the live call, and shutting down."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

import structlog

from apps.core.errors import AtCapacity, ProtocolError, StoreError
from apps.core.ids import new_call_id
from apps.dispatcher.call_state import CallState, EndReason
from apps.dispatcher.closing import on_the_line
from apps.dispatcher.live_call import LiveCall
from apps.dispatcher.recordings import recording_of
from apps.dispatcher.rt_fsm import CallSession
from apps.dispatcher.services import CallOptions, Services
from apps.dispatcher.settling import in_time, settle, to_the_end
from apps.store.calls import CallOrigin, CallRow, open_call
from apps.store.database import Database
from apps.voice.doors.base import Door
from apps.voice.recording import CallRecorder

CLOSING_S = 120.0
"""A call that has not ended so long after its time limit is cut off."""

_PARTING = (CallState.ASKING_RATING, CallState.AWAITING_RATING, CallState.THANKING)

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Line:
    """One line that is taken.

    Attributes:
        door: The name of the door that took it.
        call: The call, once it has begun.
        cut: Ends the call at once when it is moved to now.
    """

    door: str
    call: LiveCall | None = None
    cut: asyncio.Timeout | None = None


@dataclass(slots=True)
class Switchboard:
    """All calls of one process.

    It goes away in steps: `drain` takes no more calls, `say_goodbye` closes the live ones politely,
    `hurry` waits no longer for ratings, `cut` ends what is left.

    Args:
        services: What the calls share.
        db: Where calls are kept.
        max_calls: One more than this is refused as busy.
        default_profile: The profile of a call that names none.
        origin: Whether these are real calls, tests, or demonstrations.
        door_max_calls: The same by door, for doors that are to have fewer.
        on_drain: Called when no more calls are taken, once or more.
    """

    services: Services
    db: Database
    max_calls: int
    default_profile: str
    origin: CallOrigin = CallOrigin.CALLER
    door_max_calls: Mapping[str, int] = field(default_factory=dict)
    on_drain: list[Callable[[], None]] = field(default_factory=list)
    _live: dict[str, _Line] = field(default_factory=dict)
    _draining: bool = False
    _closing: bool = False
    _cut: bool = False
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ready(self) -> bool:
        """Whether another call would be taken."""
        return not self._draining and len(self._live) < self.max_calls

    @property
    def live_calls(self) -> int:
        """How many calls are going on."""
        return len(self._live)

    @property
    def draining(self) -> bool:
        """Whether the server is going away."""
        return self._draining

    @property
    def calls_by_door(self) -> Mapping[str, int]:
        """How many calls are going on by each door that has any."""
        return Counter(line.door for line in self._live.values())

    def admit(self, door: str) -> None:
        """Check that there is room for another call by a door.

        A door that answers before its call is taken asks here first.

        Raises:
            AtCapacity: There is not, or the server is going away.
        """
        try:
            self._check_room(door)
        except AtCapacity as error:
            self.refused(door, error)
            raise

    def has_room(self, door: str) -> bool:
        """Tell whether `admit` would let another call in; nothing is counted."""
        try:
            self._check_room(door)
        except AtCapacity:
            return False
        return True

    def refused(self, door: str, error: AtCapacity) -> None:
        """Count a call that a door refused."""
        self.services.metrics.call_refused(door, error.code)

    def _check_room(self, door: str) -> None:
        if self._draining:
            raise AtCapacity(
                "The server is going away.", hint="Call again in a moment.", retry_after_s=30
            )
        most = self.door_max_calls.get(door, self.max_calls)
        if len(self._live) >= self.max_calls or self.calls_by_door.get(door, 0) >= most:
            raise AtCapacity(
                f"All {min(most, self.max_calls)} lines are busy.",
                hint="Call again in a few seconds.",
            )

    def options(self, door: Door) -> CallOptions:
        """Return what a call runs with; raises as `check`."""
        return self.check(door.request.profile, door.request.language)

    def check(self, profile_id: str, asked: str) -> CallOptions:
        """Return what a call to a profile in a language would run with; empty takes the default.

        Raises:
            ProtocolError: The profile is unknown, or does not speak the language.
        """
        profile = self.services.profiles.get(profile_id or self.default_profile)
        language = profile.language(asked) if profile else None
        if profile is None or language is None:
            raise ProtocolError(
                "There is no such profile in this language.",
                hint=f"Profiles are {', '.join(sorted(self.services.profiles))}.",
                code="unknown_profile",
            )
        return CallOptions(profile, language)

    @contextmanager
    def reserve(self, door: str) -> Iterator[str]:
        """Keep a line within the block, for a call that is about to begin; yields the call's id.

        Raises:
            AtCapacity: There is no room for it.
        """
        self.admit(door)
        call_id = new_call_id()
        self._live[call_id] = _Line(door)
        try:
            yield call_id
        finally:
            del self._live[call_id]
            self._idle.set()

    async def take(self, door: Door, reserved: str = "") -> None:
        """Take a call and stay with it to its end.

        Args:
            door: Where the caller is.
            reserved: The call's id, where a line was reserved for it.

        Raises:
            AtCapacity: There is no room for it.
            ProtocolError: What it asks for does not exist.
        """
        options = self.options(door)
        with nullcontext(reserved) if reserved else self.reserve(door.name) as call_id:
            session = await self._begin(call_id, options, door)
            await self._hold(session, options, door)

    async def _begin(self, call_id: str, options: CallOptions, door: Door) -> CallSession:
        """Return the call's session; one that is torn down before it has any is only hung up."""
        context = {
            "language": options.language,
            "door": door.name,
            "time_of_day": options.profile.time_of_day(self.services.clock()),
        }
        if door.request.direction == "outgoing":
            context |= {"direction": door.request.direction, "purpose": door.request.purpose}
        try:
            session = await self.services.router.create(
                call_id, options.profile.id, context, caller=door.request.caller
            )
        except asyncio.CancelledError:
            await in_time("door_not_closed", door.close(EndReason.SHUTDOWN.value))
            raise
        session.rates_later = door.capabilities.rates_later
        return session

    async def _hold(self, session: CallSession, options: CallOptions, door: Door) -> None:
        recorder = self._recorder(session) if door.capabilities.audio else None
        call = LiveCall(door, session, options, self.services, recorder)
        line = self._live[session.call_id]
        line.call = call
        if self._closing:
            call.close(EndReason.SHUTDOWN)
        self.services.metrics.call_started(door.name)
        log.info("call_started", door=door.name, profile=options.profile.id, live=len(self._live))
        reason = EndReason.FAILURE
        try:
            await self._open(session, options, door)
            with on_the_line(session.call_id, call):
                reason = await self._run(line, call)
        except TimeoutError:  # the polite way did not end it
            reason = EndReason.SHUTDOWN if self._cut else EndReason.TIME_LIMIT
            tell = log.warning if self._cut else log.error
            tell("call_cut_off", reason=reason.value)
        except asyncio.CancelledError:
            reason = EndReason.SHUTDOWN
            raise
        finally:
            await to_the_end(self._end(call, door, reason, recorder))

    async def _end(
        self, call: LiveCall, door: Door, reason: EndReason, recorder: CallRecorder | None
    ) -> None:
        self.services.metrics.call_ended(door.name, reason.value)
        log.info("call_ended", door=door.name, reason=reason.value, live=len(self._live) - 1)
        if recorder is not None:
            recorder.close()
        await settle(call, door, reason, self.services.router, self.db)

    async def _run(self, line: _Line, call: LiveCall) -> EndReason:
        longest_s = 0 if self._cut else self.services.limits.max_call_s + CLOSING_S
        try:
            async with asyncio.timeout(longest_s) as line.cut:
                return await call.run()
        finally:
            line.cut = None

    def drain(self) -> None:
        """Take no more calls; those that are on the line go on."""
        self._draining = True
        for tell in self.on_drain:
            tell()

    def say_goodbye(self) -> None:
        """Close the live calls politely, with their rating question, unless they do so already."""
        self.drain()
        self._closing = True
        for line in self._live.values():
            if line.call is not None and line.call.session.state not in _PARTING:
                line.call.close(EndReason.SHUTDOWN)

    def hurry(self) -> None:
        """Wait no longer for the ratings that callers were asked for; they are thanked."""
        for line in self._live.values():
            if line.call is not None and line.call.session.state is CallState.AWAITING_RATING:
                line.call.close(EndReason.SHUTDOWN)

    def cut(self) -> None:
        """End the calls that are left at once; each is still settled."""
        self.drain()
        self._closing = self._cut = True
        now_s = asyncio.get_running_loop().time()
        for line in self._live.values():
            if line.cut is not None and not line.cut.expired():  # it is being ended already
                line.cut.reschedule(now_s)

    def close(self, call_id: str, reason: EndReason = EndReason.CLOSED) -> None:
        """Close one live call politely; any other is left alone."""
        line = self._live.get(call_id)
        if line is not None and line.call is not None:
            line.call.close(reason)

    async def idle(self) -> None:
        """Wait until no call is going on."""
        while self._live:
            self._idle.clear()
            await self._idle.wait()

    async def _open(self, session: CallSession, options: CallOptions, door: Door) -> None:
        row = CallRow(
            call_ref=session.call_ref,
            profile=options.profile.id,
            language=options.language,
            door=door.name,
            origin=self.origin,
            direction=door.request.direction,
            variant=session.policy_variant,
            subject=self.services.router.subject(door.request.caller),
            server=self.services.server,
        )
        try:
            await self.db.run(open_call, row)
        except StoreError as error:
            log.error("call_not_stored", reason=error.message)

    def _recorder(self, session: CallSession) -> CallRecorder | None:
        folder, key = self.services.recordings, self.services.recording_key
        if folder is None or key is None:
            return None
        path = recording_of(folder, session.call_ref)
        return CallRecorder(path, key, self.services.recording_disk)
