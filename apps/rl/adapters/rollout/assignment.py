"""Which adapter a call gets: by its variant's own, or by its domain's route; pure.

A variant that names an adapter is an arm of the deploy guard, for the calls of that adapter's
domain. All other variants take what is on the domain's route: the active adapter, but for a
share of the calls, drawn whatever the variant is, which get the control: what was on the route
before, or the base model. That draw is an experiment of its own, with a logged chance, so it can
tell at any time whether the active adapter is still worth it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from apps.rl.adapters.fold import Registered
from apps.rl.adapters.record import ANY_DOMAIN, AdapterState
from apps.rl.variants import PolicyVariant


@dataclass(frozen=True, slots=True)
class Route:
    """What calls of a domain get whose variant names no adapter.

    Attributes:
        active: Served name of the active adapter.
        control: That of the control; None for the base model.
        share: Of the calls, how many get the control, in [0, 1).
    """

    active: str
    control: str | None = None
    share: float = 0.0

    def draw(self, u: float) -> tuple[str | None, float]:
        """Return the adapter at position ``u`` in [0, 1), and its probability."""
        if u < self.share:
            return self.control, self.share
        return self.active, 1.0 - self.share


@dataclass(frozen=True, slots=True)
class Given:
    """What a call was given.

    Attributes:
        adapter: The adapter's served name; None for the base model.
        route: The active adapter of the route that gave it; None for a variant's own.
        chance: The probability with which the route gave it.
    """

    adapter: str | None = None
    route: str | None = None
    chance: float | None = None


@dataclass(frozen=True, slots=True)
class Assignments:
    """What calls may get now.

    Attributes:
        routes: By domain.
        heard: Adapters that new calls may have, with their domains.
        tried: The same for those that answer unheard, in the shadow.
        coming: The same for those that are on their way there.
        ready: Adapters that are loaded and have passed their smoke test.
    """

    routes: Mapping[str, Route] = field(default_factory=dict)
    heard: Mapping[str, Collection[str]] = field(default_factory=dict)
    tried: Mapping[str, Collection[str]] = field(default_factory=dict)
    coming: Mapping[str, Collection[str]] = field(default_factory=dict)
    ready: frozenset[str] = frozenset()

    def barred(
        self, variants: Mapping[str, PolicyVariant], profile: object = None
    ) -> frozenset[str]:
        """Return the variants that a call cannot get: their adapter is not for it, or not there.

        Args:
            variants: All of them.
            profile: The call's; None asks for calls of any.
        """
        return frozenset(
            name
            for name, variant in variants.items()
            if variant.adapter is not None
            and not (
                variant.adapter in self.ready
                and _is_for(self.heard.get(variant.adapter, ()), profile)
            )
        )

    def can_try(self, adapter: str, profile: object) -> bool:
        """Return whether an adapter can answer a profile's turns in the shadow."""
        return adapter in self.ready and _is_for(self.tried.get(adapter, ()), profile or None)

    def route(self, profile: object) -> Route | None:
        """Return what serves a profile's calls; None for the base model."""
        named = self.routes.get(profile) if isinstance(profile, str) else None
        found = named or self.routes.get(ANY_DOMAIN)
        if found is None or found.active not in self.ready:
            return None
        if found.control is not None and found.control not in self.ready:
            return Route(found.active, None, found.share)
        return found

    def give(
        self, own: str | None, profile: object, random: Callable[[], float] | None = None
    ) -> Given:
        """Return the adapter of a call.

        Args:
            own: That of its variant; it wins.
            profile: The call's.
            random: The source of the route's draw, asked only where there is one to make; None
                gives every call the active adapter.
        """
        route = None if own is not None else self.route(profile)
        if route is None:
            return Given(own)
        if random is None or route.share == 0.0:
            return Given(route.active, route.active, 1.0)
        adapter, chance = route.draw(random())
        return Given(adapter, route.active, chance)

    def wanted(self, profile: object) -> frozenset[str]:
        """Return every adapter that is there for calls of this profile, or would be once loaded."""
        named = self.routes.get(profile) if isinstance(profile, str) else None
        route = named or self.routes.get(ANY_DOMAIN)
        routed = {route.active, route.control} - {None} if route else set()
        others = {**self.heard, **self.tried, **self.coming}
        arms = {name for name, domains in others.items() if _is_for(domains, profile)}
        return frozenset(name for name in (*routed, *arms) if name is not None)


NO_ADAPTERS = Assignments()


def assignments_of(known: Registered, ready: Collection[str], control_share: float) -> Assignments:
    """Return what the registry's states come to.

    Args:
        known: The registry.
        ready: What this process's server has loaded, smoke-tested.
        control_share: Of a route's calls, how many get the control.
    """
    by_state: dict[AdapterState, list[str]] = {}
    for name, record in known.records.items():
        by_state.setdefault(record.state, []).append(name)
    routes: dict[str, Route] = {}
    for name in by_state.get(AdapterState.ACTIVE, ()):
        record = known.records[name]
        for domain in record.domain:
            before = [
                known.records[other].served
                for other in by_state.get(AdapterState.STANDBY, ())
                if domain in known.records[other].domain
            ]
            routes[domain] = Route(record.served, before[-1] if before else None, control_share)

    def domains(*states: AdapterState) -> dict[str, Collection[str]]:
        found = (known.records[name] for state in states for name in by_state.get(state, ()))
        return {record.served: record.domain for record in found}

    return Assignments(
        routes,
        heard=domains(AdapterState.CANARY),
        tried=domains(AdapterState.SHADOW),
        coming=domains(AdapterState.LOADING, AdapterState.SMOKE),
        ready=frozenset(ready),
    )


def _is_for(domains: Collection[str], profile: object) -> bool:
    return bool(domains) and (profile is None or ANY_DOMAIN in domains or profile in domains)
