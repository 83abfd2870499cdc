"""Where a prompt goes: keywords, then likeness, then a bandit that learns in the grey zone."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.errors import ConfigError, EngineUnavailable, InvalidFeedback, RedactionFailed
from apps.core.resources import resource
from apps.rl.adapters.routing.audit import AuditLog, AuditRules, Shown
from apps.rl.adapters.routing.decide import (
    BASE,
    Phase,
    RoutingRules,
    blended,
    by_both,
    by_heuristics,
    clearly,
)
from apps.rl.adapters.routing.domains import Domain, Routes, load_routes
from apps.rl.adapters.routing.heuristics import by_keywords
from apps.rl.adapters.routing.likeness import by_likeness
from apps.rl.adapters.routing.router import AdapterRouter, check_golden
from apps.store.database import open_database

RULES = RoutingRules()
ROUTES = Routes(
    domains={
        "cars": Domain(keywords={"car": 0.5, "number plate*": 0.9}, examples=("my car",)),
        "taxes": Domain(keywords={"tax*": 0.8}, examples=("my taxes",)),
    }
)


def even(names):
    return np.full(len(names), 1 / len(names))


async def letters(texts: Sequence[str]):
    """Vectors of letter counts: texts of the same letters are alike."""
    rows = np.zeros((len(texts), 26), np.float32)
    for row, text in zip(rows, texts, strict=True):
        for letter in text.lower():
            if letter.isascii() and letter.isalpha():
                row[ord(letter) - 97] += 1
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


async def nothing(texts: Sequence[str]):
    """Vectors that are like nothing."""
    return np.zeros((len(texts), 26), np.float32)


class TestKeywords:
    def test_one_strong_hint_is_enough_and_two_weak_ones_add_up(self):
        scores = by_keywords("the number plates of my car", ROUTES.domains)
        assert scores["cars"] == pytest.approx(1 - 0.1 * 0.5)
        assert scores["taxes"] == 0.0

    def test_a_word_said_twice_counts_once(self):
        assert by_keywords("car car car", ROUTES.domains)["cars"] == pytest.approx(0.5)

    def test_a_star_stands_for_any_ending_and_nothing_else_does(self):
        assert by_keywords("taxation", ROUTES.domains)["taxes"] == pytest.approx(0.8)
        assert by_keywords("cars", ROUTES.domains)["cars"] == 0.0
        assert by_keywords("number the plates", ROUTES.domains)["cars"] == 0.0

    @given(st.text(max_size=200))
    def test_scores_stay_between_0_and_1_whatever_is_said(self, prompt):
        assert all(0.0 <= s <= 1.0 for s in by_keywords(prompt, ROUTES.domains).values())


class TestPhases:
    def test_sure_keywords_decide_alone(self):
        route = by_heuristics({"cars": 0.9, "taxes": 0.1}, RULES)
        assert route is not None
        assert (route.domain, route.phase, route.propensity) == ("cars", Phase.HEURISTIC, 1.0)

    def test_two_domains_that_are_both_meant_are_not_decided_by_keywords(self):
        assert by_heuristics({"cars": 0.9, "taxes": 0.85}, RULES) is None

    def test_likeness_may_make_sure_what_keywords_left_open(self):
        scores = blended({"cars": 0.5, "taxes": 0.0}, {"cars": 0.6, "taxes": 0.1})
        route = by_both(scores, RULES, even, 0.5)
        assert (route.domain, route.phase) == ("cars", Phase.LIKENESS)

    def test_what_nothing_speaks_for_goes_to_the_base_model(self):
        route = by_both({"cars": 0.1, "taxes": 0.2}, RULES, even, 0.5)
        assert (route.domain, route.phase, route.confidence) == (BASE, Phase.NONE, 0.8)

    def test_the_grey_zone_is_the_bandits_and_its_propensity_is_told(self):
        route = by_both({"cars": 0.5, "taxes": 0.2}, RULES, even, 0.1)
        assert (route.domain, route.phase, route.propensity) == ("cars", Phase.BANDIT, 0.5)
        other = by_both({"cars": 0.5, "taxes": 0.2}, RULES, even, 0.9)
        assert (other.domain, other.propensity) == (BASE, 0.5)

    @given(
        st.dictionaries(st.sampled_from("abcd"), st.floats(0, 1), max_size=4),
        st.floats(0, 1, exclude_max=True),
    )
    def test_every_prompt_has_a_route_and_a_probability_above_the_floor(self, scores, draw):
        route = by_both(scores, RULES, even, draw)
        assert route.domain in {*scores, BASE}
        assert route.propensity >= RULES.floor / (len(scores) + 1)
        assert 0.0 <= route.confidence <= 1.0

    @given(st.dictionaries(st.sampled_from("abcd"), st.floats(0, 1), max_size=4))
    def test_only_a_domain_well_above_all_others_is_clear(self, scores):
        found = clearly(scores, RULES)
        if found is not None:
            others = [s for name, s in scores.items() if name != found]
            assert scores[found] >= RULES.sure
            assert all(scores[found] - s >= RULES.margin for s in others)

    def test_a_domain_is_as_like_as_its_nearest_examples(self):
        near, far = np.eye(4, dtype=np.float32)[:1], np.eye(4, dtype=np.float32)[1:2]
        scores = by_likeness(near[0], {"near": near, "far": far, "none": near[:0]})
        assert scores == {"near": 1.0, "far": 0.0, "none": 0.0}


@pytest.fixture
def router(tmp_path):
    made = []

    def make(routes=ROUTES, embed=letters, shown=Shown.HASH, db="routes.db", threads=None):
        database = open_database(tmp_path / db)
        made.append(database)
        audit = AuditLog(
            tmp_path / "audit.jsonl",
            AuditRules(shown),
            hash_key=b"key",
            redact=lambda text: text.replace("anna", "[name]"),
        )
        return AdapterRouter(
            routes,
            database,
            embed=embed,
            active={"cars": "cars-lora-r8-v1-0123456789ab"}.get,
            audit=audit,
            clock=lambda: 0.0,
            rng=np.random.default_rng(1),
            threads=threads,
        )

    yield make
    for database in made:
        database.close()


def audited(tmp_path):
    return [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]


class TestRouter:
    async def test_a_decision_is_kept_before_it_is_told_and_can_be_rewarded_once(self, router):
        tom = router()
        routed = await tom.route("my number plate")
        assert routed.adapter == "cars-lora-r8-v1-0123456789ab"
        assert await tom.reward(routed.decision_id, 0.5)
        assert not await tom.reward(routed.decision_id, -1.0)

    async def test_a_reward_for_no_decision_or_out_of_range_is_refused(self, router):
        tom = router()
        with pytest.raises(InvalidFeedback, match="no such"):
            await tom.reward("0" * 32, 0.5)
        with pytest.raises(InvalidFeedback, match="between"):
            await tom.reward("0" * 32, 1.5)

    async def test_prompts_that_come_at_once_learn_each_reward_once(self, router):
        tom = router(embed=nothing)
        grey = [await tom.route("my car") for _ in range(4)]
        bandit = [routed for routed in grey if routed.route.phase is Phase.BANDIT]
        for routed in bandit:
            await tom.reward(routed.decision_id, 1.0)
        fresh = router(embed=nothing)
        await asyncio.gather(*(fresh.decide("my car") for _ in range(8)))
        assert sum(count for _, count in fresh.estimates().values()) == len(bandit) > 0

    async def test_the_grey_zone_learns_which_adapter_helps_across_restarts(self, router):
        grey = "my car"
        tom = router(embed=nothing)
        assert (await tom.decide(grey)).phase is Phase.BANDIT
        for _ in range(120):
            routed = await tom.route(grey)
            await tom.reward(routed.decision_id, 0.9 if routed.route.domain == "cars" else -0.5)
        again = router(embed=nothing)
        chosen = [(await again.decide(grey)).domain for _ in range(100)]
        assert chosen.count("cars") > 85
        assert chosen.count(BASE) >= 1  # the floor keeps trying

    async def test_sure_routes_teach_the_bandit_nothing(self, router):
        tom = router(embed=nothing)
        routed = await tom.route("my number plate")
        await tom.reward(routed.decision_id, -1.0)
        await tom.decide("my car")
        assert all(weight == 0 for _, weight in tom.estimates().values())

    async def test_without_vectors_keywords_go_on_alone_and_the_audit_says_so(
        self, router, tmp_path
    ):
        async def broken(texts):
            raise EngineUnavailable("The embeddings server is away.")

        tom = router(embed=broken)
        assert (await tom.route("nothing known")).route.domain == BASE
        assert audited(tmp_path)[0]["event"] == "likeness_failed"

    async def test_golden_prompts_say_what_a_change_breaks(self, router):
        tom = router()
        golden = Routes.model_validate(
            {"domains": {}, "golden": [{"prompt": "tax number", "domain": "cars"}]}
        ).golden
        (found,) = await check_golden(tom, golden)
        assert not found.right
        assert found.route.domain == "taxes"


class TestAudit:
    async def test_the_hash_of_a_prompt_is_kept_and_never_its_words(self, router, tmp_path):
        await router().route("number plate of anna")
        text = (tmp_path / "audit.jsonl").read_text()
        assert "anna" not in text
        assert len(audited(tmp_path)[0]["prompt_hash"]) == 32

    def test_words_that_nobody_could_look_at_are_withheld(self, tmp_path):
        def failing(text: str) -> str:
            raise RedactionFailed("It died.")

        path = tmp_path / "audit.jsonl"
        audit = AuditLog(path, AuditRules(Shown.REDACTED), hash_key=b"k", redact=failing)
        audit.append("route", "it is anna", domain="kfz")
        (line,) = map(json.loads, path.read_text().splitlines())
        assert line["withheld"] == "redaction"
        assert "anna" not in path.read_text()

    async def test_a_line_is_written_in_the_threads_that_the_router_was_given(self, router):
        names: list[str] = []
        with ThreadPoolExecutor(1, "own") as threads:
            tom = router(threads=threads)
            tom._audit.append = lambda *_, **__: names.append(threading.current_thread().name)
            await tom.route("number plate of anna")
        assert names == ["own_0"]

    async def test_redacted_words_are_kept_where_the_setting_says_so(self, router, tmp_path):
        await router(shown=Shown.REDACTED).route("number plate of anna")
        assert audited(tmp_path)[0]["prompt"] == "number plate of [name]"

    async def test_only_the_length_is_kept_where_the_setting_says_so(self, router, tmp_path):
        await router(shown=Shown.LENGTH).route("number plate of anna")
        (line,) = audited(tmp_path)
        assert line["chars"] == 20
        assert not {"prompt", "prompt_hash"} & line.keys()

    def test_files_are_put_aside_when_full_and_the_oldest_go(self, tmp_path):
        log = AuditLog(
            tmp_path / "a.jsonl",
            AuditRules(max_bytes=200, files=2),
            hash_key=b"k",
            redact=str,
        )
        for number in range(20):
            log.append("event", number=number)
        kept = sorted(path.name for path in tmp_path.iterdir())
        assert kept == ["a.jsonl", "a.jsonl.1", "a.jsonl.2"]
        assert all(path.stat().st_size <= 200 for path in tmp_path.iterdir())
        assert '"number": 19' in (tmp_path / "a.jsonl").read_text()


class TestFile:
    async def test_every_golden_prompt_of_the_sample_goes_where_it_must(self, router):
        routes = load_routes(resource("policies") / "adapter_routes.yaml")
        found = await check_golden(router(routes=routes), routes.golden)
        sure = [each for each in found if each.golden.domain]
        assert all(each.right for each in sure)

    def test_a_mistake_is_named_with_its_line(self, tmp_path):
        path = tmp_path / "routes.yaml"
        path.write_text("domains:\n  cars:\n    keywords:\n      car: 2\n")
        with pytest.raises(ConfigError, match=r"routes.yaml:4"):
            load_routes(path)
