"""How adapters are rolled out and taken back: the table, the deciders, and the driver's rounds."""

from __future__ import annotations

import random
import shutil
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from adapter_files import add, registry, write_adapter
from hypothesis import given
from hypothesis import strategies as st

from apps.core.errors import ConfigError, EngineUnavailable, IllegalEvent
from apps.core.resources import resource
from apps.rl.adapters.fold import Registered
from apps.rl.adapters.record import AdapterRecord, AdapterState
from apps.rl.adapters.registry import AdapterRegistry
from apps.rl.adapters.rollout.assignment import Assignments, Route, assignments_of
from apps.rl.adapters.rollout.desk import AdapterDesk
from apps.rl.adapters.rollout.driver import RolloutDriver, RolloutOptions
from apps.rl.adapters.rollout.machine import (
    DUE,
    OVER,
    TABLE,
    WANTED,
    Effect,
    Happening,
    Rollout,
    What,
    fold,
    step,
)
from apps.rl.adapters.rollout.monitor import BLOCK, IN_CANARY, Signal, Watch, WatchedCall, values_of
from apps.rl.adapters.rollout.residency import residency
from apps.rl.adapters.rollout.server import FakeLoraServer
from apps.rl.adapters.rollout.watching import Watches
from apps.rl.deploy_guard import DeployGuard
from apps.rl.guard.candidates import same_treatment
from apps.rl.guard.stages import Stage
from apps.rl.policies import LinearPolicy, Outcome
from apps.rl.policy_bandit import PolicyBandit
from apps.rl.selector import PolicySelector
from apps.rl.variants import PolicyVariant, load_catalog
from apps.store.adapter_calls import AdapterCallRow
from apps.store.database import Database
from apps.store.decisions import DecisionRow, add_decision
from apps.store.feedback import FeedbackKind, FeedbackRow, append_feedback
from apps.store.shadow import ShadowRow, append_shadow

S = AdapterState


@pytest.fixture
async def db(tmp_path: Path, migrated_store: Path) -> AsyncIterator[Database]:
    db = Database(shutil.copy(migrated_store, tmp_path / "tom.db"))
    yield db
    await db.aclose()


# The table


@given(st.lists(st.sampled_from(list(What)), max_size=40))
def test_whatever_happens_an_adapter_stands_somewhere_and_what_cannot_happen_changes_nothing(
    happenings: list[What],
) -> None:
    rollout = Rollout()
    for what in happenings:
        before = rollout
        try:
            rollout = step(rollout, Happening(what))
        except IllegalEvent:
            assert rollout is before
            assert (rollout.state, what) not in TABLE
        else:
            assert rollout.number == before.number + 1
        assert rollout.state in DUE


def test_every_state_can_be_reached_and_every_roll_out_can_end() -> None:
    reached, ahead = set(), {S.TRAINED}
    leads: dict[S, set[S]] = {state: set() for state in S}
    for (state, _), found in TABLE.items():
        leads[state].add(found.to)
    leads[S.UNLOADING] |= {found.ends for found in TABLE.values() if found.ends}
    while ahead:
        state = ahead.pop()
        reached.add(state)
        ahead |= leads[state] - reached
    assert reached == set(S)
    for state in S:
        seen, ahead = set(), {state}
        while ahead:
            seen.add(at := ahead.pop())
            ahead |= leads[at] - seen
        assert seen & OVER


def test_what_callers_may_hear_is_never_left_but_by_draining() -> None:
    heard = {S.CANARY, S.ACTIVE, S.STANDBY}
    for (state, what), found in TABLE.items():
        if state in heard and found.to not in heard:
            assert found.to is S.DRAINING, (state, what)


def test_no_adapter_comes_to_callers_without_evaluation_loading_smoke_test_and_shadow() -> None:
    into = {to: {s for (s, _), t in TABLE.items() if t.to is to and s is not to} for to in S}
    assert into[S.CANARY] == {S.SHADOW}
    assert into[S.SHADOW] == {S.SMOKE}
    assert into[S.SMOKE] == {S.LOADING}
    assert into[S.LOADING] == {S.EVALUATED}
    assert into[S.ACTIVE] == {S.CANARY, S.STANDBY}


def test_where_a_roll_out_ends_is_kept_while_it_drains() -> None:
    way = [What.PASSED, What.PROMOTED, What.LOADED, What.ANSWERED, What.GATE_OPEN]
    canary = fold(Happening(what) for what in way)
    assert canary.state is S.CANARY
    drained = fold(map(Happening, [What.STOPPED, What.DRAINED]), canary)
    assert (drained.state, drained.ends) == (S.UNLOADING, S.ROLLED_BACK)
    assert step(drained, Happening(What.UNLOADED)).state is S.ROLLED_BACK
    retired = fold(map(Happening, [What.RETIRED, What.DRAINED, What.UNLOADED]), canary)
    assert retired.state is S.RETIRED


def test_loading_is_due_in_every_state_between_so_that_a_server_may_forget() -> None:
    assert {S.LOADING, S.SMOKE, S.SHADOW, S.CANARY, S.ACTIVE, S.STANDBY} == WANTED
    assert Effect.UNLOAD in DUE[S.UNLOADING]


# Which adapter a call gets


def known_of(*states: tuple[AdapterRecord, S]) -> Registered:
    records = {r.id: r.model_copy(update={"state": state}) for r, state in states}
    return Registered(records, {name: Rollout(r.state) for name, r in records.items()})


def record(number: int, domain: str = "residents") -> AdapterRecord:
    name = f"{domain}/lora-r16-v{number}"
    sha = f"{number:064x}"[::-1]
    return AdapterRecord.model_validate(
        {
            "domain": (domain,),
            "method": "lora",
            "rank": 16,
            "precision": "fp32",
            "base_model_hash": "b" * 64,
            "tokenizer_hash": "c" * 64,
            "id": name,
            "served": f"{name.replace('/', '-')}-{sha[:12]}",
            "sha256": sha,
            "files": {},
            "signature": "",
        }
    )


def test_a_route_gives_the_active_adapter_but_for_the_control_share() -> None:
    route = Route("new", "old", 0.25)
    given_ = [route.draw(u)[0] for u in np.arange(0, 1, 0.01)]
    assert given_.count("old") == 25
    assert route.draw(0.1) == ("old", 0.25)
    assert route.draw(0.9) == ("new", 0.75)


def test_calls_of_other_domains_and_adapters_that_are_not_loaded_give_the_base_model() -> None:
    active, old = record(1), record(2)
    known = known_of((active, S.ACTIVE), (old, S.STANDBY))
    both = assignments_of(known, {active.served, old.served}, 0.1)
    assert both.route("residents") == Route(active.served, old.served, 0.1)
    assert both.route("parking") is None
    assert assignments_of(known, {active.served}, 0.1).route("residents") == Route(
        active.served, None, 0.1
    )
    assert assignments_of(known, {old.served}, 0.1).route("residents") is None


def test_an_adapter_for_all_serves_where_the_domain_has_none_of_its_own() -> None:
    own, general = record(1), record(2, "general")
    known = known_of((own, S.ACTIVE), (general, S.ACTIVE))
    found = assignments_of(known, {own.served, general.served}, 0.0)
    assert found.route("residents").active == own.served
    assert found.route("parking").active == general.served


def test_a_variant_with_an_adapter_is_barred_unless_that_is_there_for_the_call() -> None:
    canary = record(1)
    variants = {
        "base": PolicyVariant("base", "base"),
        "arm": PolicyVariant("arm", "arm", adapter=canary.served),
    }
    heard = assignments_of(known_of((canary, S.CANARY)), {canary.served}, 0.1)
    assert heard.barred(variants, "residents") == frozenset()
    assert heard.barred(variants, "parking") == {"arm"}
    assert assignments_of(known_of((canary, S.CANARY)), set(), 0.1).barred(variants) == {"arm"}
    for state in (S.DRAINING, S.SHADOW, S.ACTIVE, S.ROLLED_BACK):
        gone = assignments_of(known_of((canary, state)), {canary.served}, 0.1)
        assert gone.barred(variants, "residents") == {"arm"}
    assert Assignments().barred(variants, "residents") == {"arm"}


POLICIES = """
variants:
  base: {name: Base, parameters: {}}
  same: {name: The base's manner by an adapter, parameters: {}, adapter: kfz-lora-r16-v1-abc}
deployment: {traffic_split: {base_variant: base}}
"""


def test_a_policy_file_names_adapters_and_slots_and_adapter_are_what_is_tried(tmp_path) -> None:
    file = tmp_path / "policies.yaml"
    file.write_text(POLICIES)
    variants = load_catalog(file).variants
    assert variants["same"].adapter == "kfz-lora-r16-v1-abc"
    assert variants["same"].slots == variants["base"].slots
    assert same_treatment(variants["same"], variants) == []
    assert variants["same"].treatment.as_dict()["adapter"] == "kfz-lora-r16-v1-abc"
    file.write_text(POLICIES.replace("kfz-lora-r16-v1-abc", "'../elsewhere'"))
    with pytest.raises(ConfigError, match="adapter"):
        load_catalog(file)


def test_an_arm_with_an_adapter_begins_with_what_is_known_of_its_slots() -> None:
    slots = {"plain": {"tone": "factual"}, "warm": {"tone": "warm"}}
    policy = LinearPolicy().knowing(slots)
    for _ in range(150):
        policy = policy.learned(Outcome("warm", 0.8)).learned(Outcome("plain", -0.4))
    arms = {f"{name}+a": {**found, "adapter": "a"} for name, found in slots.items()}
    grown = policy.knowing({**slots, **arms})
    assert grown.estimate("warm+a").mean > grown.estimate("plain+a").mean + 0.2
    for _ in range(40):
        grown = grown.learned(Outcome("plain+a", -0.9))
    assert grown.estimate("warm+a").mean < policy.knowing({**slots, **arms}).estimate("warm+a").mean


# What is loaded


def test_the_least_recently_asked_for_is_unloaded_beyond_the_room() -> None:
    records = [record(n, f"d{n}") for n in range(1, 5)]
    known = known_of(*((r, S.ACTIVE) for r in records))
    names = [r.served for r in records]
    asked = {names[0]: 5, names[1]: 2, names[2]: 9, names[3]: 7}
    plan = residency(known, names[:3], (), asked, 3)
    assert plan.unload == (names[1],)
    assert plan.load == (names[3],)


def test_what_a_call_uses_is_never_unloaded_and_others_adapters_are_left_alone() -> None:
    records = [record(n, f"d{n}") for n in range(1, 4)]
    known = known_of(*((r, S.ACTIVE) for r in records))
    names = [r.served for r in records]
    asked = {names[0]: 1, names[1]: 2, names[2]: 3}
    plan = residency(known, [names[0], names[1], "somebody-elses"], {names[0]}, asked, 2)
    assert "somebody-elses" not in plan.unload
    assert plan.unload == (names[1],)
    assert plan.load == (names[2],)


def test_what_was_loaded_by_hand_stays_until_the_room_is_needed() -> None:
    active, tried = record(1, "d1"), record(2, "d2")
    known = known_of((active, S.ACTIVE), (tried, S.EVALUATED))
    assert residency(known, [tried.served], (), {}, 2).unload == ()
    assert residency(known, [tried.served], (), {}, 1).unload == (tried.served,)


@given(
    st.lists(st.sampled_from([S.ACTIVE, S.CANARY, S.RETIRED, S.DRAINING]), max_size=8),
    st.sets(st.integers(0, 7)),
    st.sets(st.integers(0, 7)),
    st.dictionaries(st.integers(0, 7), st.integers(1, 99)),
    st.integers(1, 8),
)
def test_a_residency_never_overflows_and_settles_at_once(states, has, busy, asked, most) -> None:
    records = [record(n + 1, f"d{n}") for n in range(len(states))]
    known = known_of(*zip(records, states, strict=True))
    names = [r.served for r in records]
    loaded = {names[i] for i in has if i < len(names)}
    used = {names[i] for i in busy if i < len(names)} & loaded
    order = {names[i]: at for i, at in asked.items() if i < len(names)}
    plan = residency(known, loaded, used, order, most)
    after = (loaded - set(plan.unload)) | set(plan.load)
    assert not used & set(plan.unload)
    assert len(after) <= max(most, len(used | {n for n in loaded if n in after}))
    assert residency(known, after, used, order, most) == residency(known, after, used, order, most)
    again = residency(known, after, used, order, most)
    assert (again.unload, again.load) == ((), ())


# Drift


def calls(
    rng: random.Random, number: int, *, chance: float, gap: float, signal: Signal
) -> Iterable[WatchedCall]:
    for seq in range(1, number + 1):
        own = rng.random() < chance
        value = rng.gauss(0.3 + own * gap, 0.3)
        yield WatchedCall(seq, own, chance, {signal: max(-1.0, min(1.0, value))})


@pytest.mark.parametrize("signal", list(Signal))
def test_an_adapter_that_is_much_worse_is_found(signal: Signal) -> None:
    watch = Watch("a")
    for call in calls(random.Random(1), 600, chance=0.9, gap=-0.6, signal=signal):
        watch = watch.add(call)
    assert str(signal) in (watch.drift(tuple(Signal)) or "")


def test_an_adapter_that_is_no_worse_is_hardly_ever_taken_back() -> None:
    wrong = 0
    for seed in range(20):
        watch, found = Watch("a"), False
        for call in calls(random.Random(seed), 400, chance=0.9, gap=0.0, signal=Signal.REWARD):
            watch = watch.add(call)
            found = found or watch.drift(tuple(Signal)) is not None
        wrong += found
    assert wrong <= 1  # 5 % of 20, looked at after every call


def test_what_turns_bad_after_a_long_good_time_is_found_in_its_recent_window() -> None:
    rng, watch, worse_from = random.Random(3), Watch("a"), 8 * BLOCK
    for seq in range(1, 12 * BLOCK):
        own = rng.random() < 0.8
        gap = 0.3 if seq < worse_from else -0.5
        value = max(-1.0, min(1.0, rng.gauss(0.2 + own * gap, 0.3)))
        watch = watch.add(WatchedCall(seq, own, 0.8, {Signal.REWARD: value}))
        if watch.drift(tuple(Signal)):
            break
    assert watch.drift(tuple(Signal))
    assert watch.last_seq < worse_from + 2 * BLOCK


def test_one_unsafe_call_of_its_own_is_enough_and_the_controls_are_none_of_its() -> None:
    watch = Watch("a").add(WatchedCall(1, False, 0.9, unsafe=True))
    assert watch.drift(()) is None
    assert "unsafe" in watch.add(WatchedCall(2, True, 1.0, unsafe=True)).drift(())


def a_watch(*, later_ms: float) -> Watch:
    """Of many calls; an adapter's own come so much later than others'."""
    rng, watch = random.Random(4), Watch("a")
    for seq in range(1, 1500):
        own = rng.random() < 0.5
        late = rng.gauss(900 + own * later_ms, 80)
        watch = watch.add(WatchedCall(seq, own, 0.5, values_of(None, {"latency_ms": late})))
    return watch


def test_a_little_latency_is_tolerated_and_a_call_counts_once() -> None:
    watch = a_watch(later_ms=60)
    assert watch.drift(IN_CANARY) is None
    assert watch.add(WatchedCall(7, True, 0.5, {Signal.LATENCY: -1.0})) is watch


def test_half_a_second_of_latency_is_told_in_milliseconds() -> None:
    assert "ms later" in (a_watch(later_ms=900).drift(IN_CANARY) or "")


def test_calls_of_others_are_read_once_and_an_adapters_own_are_folded_in_pieces() -> None:
    active = record(1)
    known = known_of((active, S.ACTIVE))
    mine = {"adapter": active.served, "route": active.served, "route_chance": 0.8}
    others = {"adapter": None, "route": None, "route_chance": None}

    def rows(*kinds: dict[str, object]) -> list[AdapterCallRow]:
        empty = {"flags": (), "context": {}, "held": False, "propensities": {"v1a": 1.0}}
        return [
            AdapterCallRow(seq=seq, variant="v1a", reward=0.5, **empty, **kind)
            for seq, kind in enumerate(kinds, start=1)
        ]

    ended = rows(*[others] * 5, mine, others, mine, *[others] * 5)
    watches = Watches("v1a")
    assert watches.since(known) == 0
    for begin in range(0, len(ended), 3):
        assert watches.since(known) == begin
        found = watches.take(known, ended[begin : begin + 3])
    assert found[active.id].calls == 2
    assert watches.since(known) == len(ended)
    whole = Watches("v1a").take(known, ended)
    assert whole == found


# The driver


class World:
    """One installation: a registry, a guard, a server, a driver, and calls."""

    def __init__(self, db: Database, folder: Path, **options: object) -> None:
        self.db, self.folder = db, folder
        self.options = RolloutOptions(**options)  # type: ignore[arg-type]
        self.server = FakeLoraServer()
        self.wrong: dict[str, str] = {}
        self.live: set[str] = set()
        self.begin()

    def begin(self) -> None:
        """Start the process (again): nothing but the store and the server is left."""
        self.registry: AdapterRegistry = registry(self.db, self.folder)
        catalog = load_catalog(resource("policies", "prompt_variants.yaml"))
        two = {name: v for name, v in catalog.variants.items() if name in ("v1a", "v2a")}
        rules = replace(catalog.rules, regret_budget=1.0)
        bandit = PolicyBandit(
            self.db,
            catalog=replace(catalog, variants=two, rules=rules),
            state_path=self.folder / "bandit.json",
            rng=np.random.default_rng(1),
        )
        self.guard = DeployGuard(bandit, rng=np.random.default_rng(1))
        self.desk = AdapterDesk(self.registry, 0.2)
        self.selector = PolicySelector(self.guard, adapters=self.desk)
        self.driver = RolloutDriver(
            self.registry,
            self.guard,
            self.desk,
            self.server,
            self.probe,
            live=lambda: self.live,
            options=self.options,
        )

    async def probe(self, served: str) -> str:
        if self.server.down:
            raise EngineUnavailable("down")
        return self.wrong.get(served, "")

    async def rounds(self, count: int = 6) -> None:
        for _ in range(count):
            await self.driver.round()

    def state(self, adapter: AdapterRecord) -> S:
        return self.registry.record(adapter.id).state

    def why(self, adapter: AdapterRecord) -> str:
        return self.registry.record(adapter.id).why

    def promote(self, adapter: AdapterRecord, like: str = "") -> None:
        self.registry.happened(adapter.id, Happening(What.PASSED, "passed"))
        self.registry.happened(adapter.id, Happening(What.PROMOTED, "go", "operator", like=like))

    async def to_canary(self, adapter: AdapterRecord) -> None:
        self.promote(adapter)
        await self.rounds()
        assert self.state(adapter) is S.SHADOW
        with self.db.transaction() as conn:
            for turn in range(60):
                append_shadow(conn, ShadowRow(adapter.served, "c", turn, 0.9, True, {}))
        await self.rounds()
        assert self.state(adapter) is S.CANARY

    async def to_active(self, adapter: AdapterRecord) -> None:
        await self.to_canary(adapter)
        self.establish(adapter)
        await self.rounds()
        assert self.state(adapter) is S.ACTIVE

    def establish(self, adapter: AdapterRecord) -> None:
        """Let the arm be tried on calls, and do well."""
        shares = {"v1a": 0.4, "v2a": 0.2, adapter.served: 0.4}
        rng = random.Random(5)
        with self.db.transaction() as conn:
            for _ in range(700):
                variant = rng.choices(list(shares), list(shares.values()))[0]
                good = 0.7 if variant == adapter.served else 0.2
                self._end(conn, variant, rng.gauss(good, 0.1), propensities=shares)

    def routed(self, adapter: AdapterRecord, number: int, gap: float, control=None) -> None:
        """Let calls on the route end, those of the adapter with rewards that differ by a gap."""
        rng = random.Random(6)
        with self.db.transaction() as conn:
            for _ in range(number):
                own = rng.random() < 0.8
                self._end(
                    conn,
                    "v1a",
                    rng.gauss(0.2 + own * gap, 0.1),
                    propensities={"v1a": 0.5, "v2a": 0.5},
                    adapter=adapter.served if own else control,
                    route=adapter.served,
                    chance=0.8 if own else 0.2,
                )

    def _end(
        self, conn, variant, reward, *, propensities, adapter=None, route=None, chance=None
    ) -> None:
        ref = uuid4().hex
        add_decision(
            conn,
            DecisionRow(
                ref,
                variant,
                propensities[variant],
                propensities,
                {},
                "",
                True,
                0,
                adapter=adapter,
                route=route,
                route_chance=chance,
            ),
        )
        reward = max(-1.0, min(1.0, reward))
        event = FeedbackRow(uuid4().hex, FeedbackKind.FEEDBACK, variant, reward, call_ref=ref)
        append_feedback(conn, event)


@pytest.fixture
def world(db: Database, tmp_path: Path) -> World:
    return World(db, tmp_path)


async def test_an_adapter_is_loaded_tested_shadowed_tried_and_put_on_the_route(world) -> None:
    adapter = add(world.registry)
    await world.rounds(2)
    assert world.state(adapter) is S.TRAINED
    assert world.server.asked == []
    world.promote(adapter)
    await world.rounds(4)
    assert world.state(adapter) is S.SHADOW
    assert world.server.loaded == {adapter.served: world.registry.root / adapter.id}
    assert world.guard.state.stages[adapter.served] is Stage.SHADOW
    assert list(world.selector.in_shadow("residents")) == []  # nobody has looked at the desk yet
    await world.selector.outlook()
    assert world.selector.in_shadow("residents")[adapter.served].adapter == adapter.served
    assert world.selector.in_shadow("parking") == {}
    with world.db.transaction() as conn:
        for turn in range(60):
            append_shadow(conn, ShadowRow(adapter.served, "c", turn, 0.9, True, {}))
    await world.rounds(3)
    assert world.state(adapter) is S.CANARY
    assert world.guard.state.stages[adapter.served] is Stage.NEW
    world.establish(adapter)
    await world.rounds(3)
    assert world.state(adapter) is S.ACTIVE
    assert "surely not worse" in world.why(adapter)
    assert world.guard.state.stages[adapter.served] is Stage.REMOVED  # the route does it now
    assert world.registry.verify() == []


async def test_calls_get_the_adapter_by_arm_then_by_route_and_keep_it(world) -> None:
    adapter = add(world.registry)
    await world.to_canary(adapter)
    chosen = [await world.selector.choose(f"call{n}", {"profile": "residents"}) for n in range(60)]
    arms = [d for d in chosen if d.variant == adapter.served]
    assert 0 < len(arms) <= 20  # within the guard's seats for what is new
    assert all(d.adapter == adapter.served for d in arms)
    assert all(d.adapter is None for d in chosen if d.variant != adapter.served)
    assert all(d.watched for d in chosen)
    other = [await world.selector.choose(f"o{n}", {"profile": "parking"}) for n in range(20)]
    assert all(d.propensities[adapter.served] == 0.0 for d in other)
    world.establish(adapter)
    await world.rounds()
    routed = [await world.selector.choose(f"r{n}", {"profile": "residents"}) for n in range(60)]
    share = sum(d.adapter == adapter.served for d in routed) / 60
    assert 0.6 < share < 0.95
    assert await world.selector.choose("call0", {"profile": "residents"}) == chosen[0]


async def test_a_bad_smoke_test_rejects_and_unloads_and_no_call_ever_has_it(world) -> None:
    adapter = add(world.registry)
    world.wrong[adapter.served] = "It says nothing."
    world.promote(adapter)
    await world.rounds()
    assert world.state(adapter) is S.REJECTED
    assert "It says nothing." in world.why(adapter)
    assert world.server.loaded == {}
    assert adapter.served not in world.guard.state.stages


async def test_a_tampered_file_is_refused_by_the_gate_and_never_reaches_the_server(world) -> None:
    adapter = add(world.registry)
    world.promote(adapter)
    write_adapter(world.registry.root / adapter.id, b"changed")
    await world.rounds()
    assert world.state(adapter) is S.REJECTED
    assert world.server.asked == []


async def test_a_server_that_refuses_gets_three_tries_and_one_that_is_down_any_number(
    world,
) -> None:
    adapter = add(world.registry)
    world.promote(adapter)
    world.server.down = True
    await world.rounds(9)
    assert world.state(adapter) is S.LOADING
    world.server.down = False
    world.server.broken.add(adapter.served)
    await world.rounds(2)
    assert world.state(adapter) is S.LOADING
    await world.rounds(2)
    assert world.state(adapter) is S.REJECTED


async def test_the_guard_stops_an_arm_and_it_is_drained_and_unloaded(world) -> None:
    adapter = add(world.registry)
    await world.to_canary(adapter)
    world.live.add(adapter.served)
    world.guard.blacklist(adapter.served, "a test says so.")
    await world.rounds()
    assert world.state(adapter) is S.DRAINING
    assert adapter.served in world.server.loaded  # a call has it
    world.live.clear()
    world.server.busy.add(adapter.served)
    await world.rounds()
    assert world.state(adapter) is S.DRAINING
    world.server.busy.clear()
    await world.rounds()
    assert world.state(adapter) is S.ROLLED_BACK
    assert world.server.loaded == {}
    assert "a test says so." in world.why(adapter)


async def test_a_call_of_another_process_keeps_the_adapter_until_it_is_told(world) -> None:
    adapter = add(world.registry)
    await world.to_canary(adapter)
    n, decision = 0, None
    while decision is None or decision.adapter is None:
        decision = await world.selector.choose(f"call{n}", {"profile": "residents"})
        n += 1
    world.registry.happened(adapter.id, Happening(What.ROLLED_BACK, "by hand", "operator"))
    await world.rounds()
    assert world.state(adapter) is S.DRAINING
    for i in range(50):
        later = await world.selector.choose(f"later{i}", {"profile": "residents"})
        assert later.adapter is None
    with world.db.transaction() as conn:
        event = FeedbackRow("x", FeedbackKind.ABANDONED, decision.variant, None)
        append_feedback(conn, replace(event, call_ref=f"call{n - 1}"))
    await world.rounds()
    assert world.state(adapter) is S.ROLLED_BACK


async def test_worse_rewards_on_the_route_roll_back_to_what_was_before(world) -> None:
    first, second = add(world.registry, "a"), add(world.registry, "b")
    await world.to_active(first)
    await world.to_active(second)
    assert world.state(first) is S.STANDBY
    assert set(world.server.loaded) == {first.served, second.served}
    world.routed(second, 400, gap=-0.5, control=first.served)
    await world.rounds(1)
    assert world.state(second) is S.DRAINING
    assert "reward" in world.why(second)
    assert world.state(first) is S.ACTIVE
    await world.rounds()
    assert world.state(second) is S.ROLLED_BACK
    assert set(world.server.loaded) == {first.served}


async def test_a_successor_that_holds_is_confirmed_and_the_one_before_retires(world) -> None:
    first, second = add(world.registry, "a"), add(world.registry, "b")
    await world.to_active(first)
    await world.to_active(second)
    world.routed(second, 400, gap=0.1, control=first.served)
    await world.rounds()
    assert (world.state(first), world.state(second)) == (S.RETIRED, S.ACTIVE)
    assert set(world.server.loaded) == {second.served}


async def test_two_arms_are_tried_at_once_and_the_other_is_judged_anew_after_a_switch(
    world,
) -> None:
    first, second = add(world.registry, "a"), add(world.registry, "b")
    await world.to_canary(first)
    await world.to_canary(second)
    world.guard.catch_up()
    assert {world.guard.state.stages[r.served] for r in (first, second)} == {Stage.NEW}
    world.establish(first)
    await world.rounds()
    assert world.state(first) is S.ACTIVE
    assert world.state(second) is S.CANARY
    world.guard.catch_up()
    epochs = world.guard.state.stored.epochs
    assert epochs[second.served] == 1


async def test_a_server_that_was_started_again_gets_its_adapters_back(world) -> None:
    adapter = add(world.registry)
    await world.to_active(adapter)
    world.server.restart()
    await world.rounds(1)
    assert adapter.served in world.server.loaded
    assert world.state(adapter) is S.ACTIVE


async def test_while_the_server_is_gone_calls_get_the_base_model(world) -> None:
    adapter = add(world.registry)
    await world.to_active(adapter)
    world.server.down = True
    await world.rounds(1)
    for n in range(20):
        decision = await world.selector.choose(f"d{n}", {"profile": "residents"})
        assert decision.adapter is None
    world.server.down = False
    await world.rounds(1)
    got = [await world.selector.choose(f"e{n}", {"profile": "residents"}) for n in range(20)]
    assert any(d.adapter == adapter.served for d in got)


async def test_one_that_was_rolled_back_can_be_rolled_out_again(world) -> None:
    adapter = add(world.registry)
    await world.to_canary(adapter)
    world.registry.happened(adapter.id, Happening(What.ROLLED_BACK, "by hand", "operator"))
    await world.rounds()
    assert world.state(adapter) is S.ROLLED_BACK
    world.promote(adapter)
    await world.rounds()
    assert world.state(adapter) is S.CANARY  # its answers in the shadow are known already
    world.guard.catch_up()
    assert world.guard.state.stages[adapter.served] is Stage.NEW


async def test_an_arm_can_have_another_variants_manner(world) -> None:
    adapter = add(world.registry)
    world.promote(adapter, like="v2a")
    await world.rounds()
    world.guard.catch_up()
    arm = world.guard.bandit.variants[adapter.served]
    assert arm.slots == world.guard.bandit.variants["v2a"].slots
    assert arm.adapter == adapter.served


class Killed(BaseException):
    """The process ends here."""


class MortalServer:
    """A server whose client is killed at one of its requests, before or after it is done."""

    def __init__(self, real: FakeLoraServer, rng: random.Random) -> None:
        self.real, self.left, self.before = real, rng.randrange(1, 9), rng.random() < 0.5

    def __getattr__(self, name: str):
        async def do(*args):
            self.left -= 1
            if self.left == 0 and self.before:
                raise Killed
            found = await getattr(self.real, name)(*args)
            if self.left == 0:
                raise Killed
            return found

        return do


@pytest.mark.parametrize("seed", range(3))
async def test_killed_at_any_step_and_begun_again_it_comes_to_the_same_end(world, seed) -> None:
    rng = random.Random(seed)
    adapter = add(world.registry)
    world.promote(adapter)
    with world.db.transaction() as conn:
        for turn in range(60):
            append_shadow(conn, ShadowRow(adapter.served, "c", turn, 0.9, True, {}))
    tried = False
    while world.state(adapter) is not S.ROLLED_BACK:
        world.driver._keeper._server = MortalServer(world.server, rng)
        with suppress(Killed):
            await world.rounds(2)
        if rng.random() < 0.3:
            world.server.restart()
        world.begin()
        if world.state(adapter) is S.CANARY and not tried:
            tried = True
            world.registry.happened(adapter.id, Happening(What.ROLLED_BACK, "by hand"))
    assert tried
    await world.rounds(2)
    assert world.server.loaded == {}
    assert world.registry.verify() == []


async def test_beyond_the_room_the_least_recently_asked_for_leaves_and_comes_back_when_asked(
    db, tmp_path
) -> None:
    world = World(db, tmp_path, most_loaded=1)
    first = add(world.registry, "a")
    second = add(world.registry, "b", domain=("parking",))
    await world.to_active(first)
    await world.selector.choose("p1", {"profile": "parking"})
    world.promote(second)
    await world.selector.choose("x1", {"profile": "residents"})
    await world.rounds()
    with db.transaction() as conn:
        for ref in ("p1", "x1"):
            event = FeedbackRow(ref, FeedbackKind.ABANDONED, "v1a", None)
            append_feedback(conn, replace(event, call_ref=ref))
    assert set(world.server.loaded) == {first.served}
    assert world.state(second) is S.LOADING  # there is no room for it
    await world.selector.choose("p2", {"profile": "parking"})
    await world.rounds()
    assert set(world.server.loaded) == {second.served}
    assert world.state(first) is S.ACTIVE
