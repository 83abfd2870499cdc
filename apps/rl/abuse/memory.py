"""What came before, kept in memory: the store's part for simulations and tests."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import replace

from apps.rl.abuse.evidence import History, Limits, Peer, Told
from apps.rl.abuse.judge import Verdict, judge


class Memory:
    """Judges events one after another, each by those before it.

    Args:
        limits: What is too much.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._of_call: dict[str, list[Told]] = defaultdict(list)
        history, window = self.limits.history, self.limits.window
        self._of_subject: dict[str, deque[Told]] = defaultdict(lambda: deque(maxlen=history))
        self._of_variant: dict[str, deque[Peer]] = defaultdict(lambda: deque(maxlen=window))
        self._calls_here = False

    def judged(self, event: Told, *, call_variant: str | None = None) -> Verdict:
        """Return what becomes of an event, and remember it.

        Args:
            event: The event, with its raw reward.
            call_variant: The variant that its call was given here; None for one from elsewhere.
        """
        self._calls_here |= call_variant is not None
        verdict = judge(event, self._history(event, call_variant), self.limits)
        self._remember(event, verdict, here=call_variant is not None)
        return verdict

    def _history(self, event: Told, call_variant: str | None) -> History:
        theirs = self._of_subject.get(event.subject, ()) if event.subject is not None else ()
        return History(
            of_call=tuple(self._of_call.get(event.call_ref, ())) if event.call_ref else (),
            of_subject=[
                e for e in reversed(theirs) if e.call_ref is None or e.call_ref != event.call_ref
            ],
            of_variant=tuple(reversed(self._of_variant.get(event.variant, ()))),
            call_variant=call_variant,
            calls_here=self._calls_here,
        )

    def _remember(self, event: Told, verdict: Verdict, *, here: bool) -> None:
        held = None if verdict.held is None else verdict.held.value
        known = replace(event, held=held)
        if event.call_ref is not None:
            self._of_call[event.call_ref].append(known)
        if event.subject is not None:
            self._of_subject[event.subject].append(known)
        if held is None:
            length, call = event.duration_s, event.call_ref
            peer = Peer(verdict.reward, event.subject, event.rating, length, call, here)
            self._of_variant[event.variant].append(peer)
