"""Stages and what they rest on: folds that come to the same however they are taken."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.rl.guard.budget import BudgetRules
from apps.rl.guard.explain import reason
from apps.rl.guard.ledger import Ledger, Seen, fold_outcomes
from apps.rl.guard.review import ACTS, review
from apps.rl.guard.stages import EVERYTHING, Act, Holds, Stage, fold_acts, promotion_data
from apps.rl.guard.standing import stage_of, stages_of, sureness
from apps.rl.guard.state import GuardState
from apps.rl.variants import GuardRules, PolicyVariant, Prior
from apps.store.deployment import DeploymentRow
from apps.store.feedback import FeedbackKind
from apps.store.outcomes import OutcomeRow

RULES = GuardRules(base_variant="base")
THRESHOLD = replace(RULES, blacklist_rule="threshold")
PRIOR = Prior()
NAMES = ("base", "a", "b", "c")


def seen(pulls: int, mean: float) -> Ledger:
    return replace(Ledger.empty("base"), seen={"v": Seen(pulls, pulls * mean)})


def stage(ledger: Ledger, holds: Holds | None = None, *, candidate: bool = False) -> Stage:
    return stage_of("v", candidate, ledger, holds or Holds(), THRESHOLD, PRIOR)


# --- stages


@pytest.mark.parametrize(
    ("pulls", "mean", "found"),
    [
        (0, 0.0, Stage.NEW),
        (9, 1.0, Stage.NEW),
        (10, 1.0, Stage.UNCERTAIN),
        (19, -1.0, Stage.UNCERTAIN),
        (20, 0.0, Stage.UNCERTAIN),
        (20, 0.5, Stage.ESTABLISHED),
        (500, 0.0, Stage.ESTABLISHED),
        (500, -0.19, Stage.UNCERTAIN),
    ],
)
def test_by_the_threshold_rule_a_variant_advances_by_its_mean_and_how_sure_that_is(
    pulls: int, mean: float, found: Stage
) -> None:
    assert stage(seen(pulls, mean)) is found


def test_sureness_grows_with_evidence() -> None:
    assert sureness(Seen(5, 1.0), -0.2, PRIOR) < sureness(Seen(50, 10.0), -0.2, PRIOR)
    assert sureness(Seen(), -0.2, PRIOR) == pytest.approx(0.6)


def test_what_acts_say_comes_before_what_was_seen() -> None:
    good = seen(500, 0.9)
    assert stage(good, Holds(paused={"v": "Hang-ups."})) is Stage.PAUSED
    assert stage(good, Holds(blacklisted={"v": "Rude."}, paused={"v": "x"})) is Stage.BLACKLISTED
    assert stage(good, Holds(removed={"v": "Not now."}, blacklisted={"v": "x"})) is Stage.REMOVED
    assert stage(good, candidate=True) is Stage.OFFLINE
    base = stage_of("base", False, good, Holds(blacklisted={"base": "x"}), RULES, PRIOR)
    assert base is Stage.BASE


def test_a_candidate_is_where_acts_have_brought_it_until_it_is_new() -> None:
    def promoted(to: Stage) -> Holds:
        data = promotion_data(to, PolicyVariant("v", "V", {"tone": "warm"}))
        return fold_acts(Holds(), [DeploymentRow(Act.PROMOTE, "v", "", data)])

    assert stage(seen(0, 0.0), promoted(Stage.SHADOW), candidate=True) is Stage.SHADOW
    assert stage(seen(0, 0.0), promoted(Stage.NEW), candidate=True) is Stage.NEW
    assert stage(seen(500, 0.9), promoted(Stage.NEW), candidate=True) is Stage.ESTABLISHED
    assert stage(seen(0, 0.0), promoted(Stage.UNCERTAIN)) is Stage.UNCERTAIN
    assert stage(seen(500, 0.9), promoted(Stage.UNCERTAIN)) is Stage.ESTABLISHED
    assert stage(seen(0, 0.0), promoted(Stage.ESTABLISHED)) is Stage.ESTABLISHED
    kept = promoted(Stage.NEW).promoted["v"].variant
    assert (kept.name, kept.parameters) == ("V", {"tone": "warm"})


def test_a_promotion_with_slots_of_a_later_version_has_the_bases() -> None:
    data = {"to": "new", "name": "V", "parameters": {"hue": "green"}}
    holds = fold_acts(Holds(), [DeploymentRow("promote", "v", "", data)])
    assert holds.promoted["v"].variant.parameters == {}


def test_an_act_of_a_later_version_changes_nothing() -> None:
    after = fold_acts(Holds(), [DeploymentRow("dance", "v", "Why not.", seq=7)])
    assert after == Holds(last_seq=7)


@pytest.mark.parametrize("found", list(Stage))
def test_every_stage_is_explained_in_a_sentence(found: Stage) -> None:
    why = {"v": "Because."}
    holds = Holds(blacklisted=why, paused=why, removed=why)
    state = GuardState(holds, seen(3, 0.5), holds=holds, stages={"v": found})
    sentence = reason("v", state, RULES)
    assert sentence.startswith("v is ")
    assert sentence.endswith(".")
    if found in (Stage.BLACKLISTED, Stage.PAUSED, Stage.REMOVED):
        assert "Because." in sentence


# --- acts of its own


def test_nothing_is_done_where_nothing_was_seen_and_nothing_twice() -> None:
    ledger = Ledger.empty("base")
    stages = stages_of(NAMES, (), ledger, Holds(), RULES, PRIOR)
    assert review(ledger, stages, Holds(), RULES) == []
    unsafe = replace(ledger, breakers=ledger.breakers.add("a", ["unsafe"]))
    (act,) = review(unsafe, stages, Holds(), RULES)
    holds = fold_acts(Holds(), [act])
    after = stages_of(NAMES, (), unsafe, holds, RULES, PRIOR)
    assert after["a"] is Stage.BLACKLISTED
    assert review(unsafe, after, holds, RULES) == []


def test_an_act_has_one_id_in_an_epoch_and_another_in_the_next() -> None:
    holds = Holds()
    again = fold_acts(holds, [DeploymentRow(Act.REINSTATE, "a", "", {"seq": 3})])
    one, other = holds.act_id(Act.PAUSE, "a"), again.act_id(Act.PAUSE, "a")
    assert one == Holds().act_id(Act.PAUSE, "a")
    assert len({one, other, holds.act_id(Act.PAUSE, "b"), holds.act_id(Act.BLACKLIST, "a")}) == 4
    assert len(one) == 64


def test_the_acts_that_the_metrics_know_are_those_that_the_guard_does() -> None:
    assert set(ACTS) <= set(Act)
    assert len(ACTS) == 6


# --- the ledger


def rows_of(drawn: Sequence[tuple[str, str, float, bool]]) -> list[OutcomeRow]:
    rows = []
    for seq, (variant, kind, reward, flawed) in enumerate(drawn, 1):
        held = kind == "held"
        told = FeedbackKind.FEEDBACK if held else FeedbackKind(kind)
        rows.append(
            OutcomeRow(
                seq,
                told,
                variant,
                None if told is FeedbackKind.ABANDONED else reward,
                0.25 if told is FeedbackKind.REVISION else None,
                ("hang_up",) if flawed else (),
                held=held,
                propensities=dict.fromkeys(NAMES, 0.25),
            )
        )
    return rows


events = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from(["feedback", "feedback", "abandoned", "revision", "admin", "held"]),
        st.floats(-1.0, 1.0),
        st.booleans(),
    ),
    max_size=40,
)
second_chances = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from([*NAMES[1:], EVERYTHING])), max_size=4
)


@given(events, second_chances, st.sets(st.integers(0, 40)))
@settings(deadline=None, max_examples=60)
def test_folding_on_in_portions_and_folding_anew_are_the_same_to_the_last_bit(
    drawn: list[tuple[str, str, float, bool]],
    chances: list[tuple[int, str]],
    cuts: set[int],
) -> None:
    rows, rules = rows_of(drawn), BudgetRules()
    restarts = sorted((min(seq, len(rows)), key) for seq, key in chances)
    anew = fold_outcomes(Ledger.empty("base"), rows, restarts, rules)
    ledger = Ledger.empty("base")
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(rows)], strict=True):
        known = [r for r in restarts if r[0] <= max(end, ledger.last_seq)]
        ledger = fold_outcomes(ledger, rows[start:end], known, rules)
    assert fold_outcomes(ledger, [], restarts, rules) == anew
    assert fold_outcomes(anew, rows, restarts, rules) == anew
    assert Ledger.from_dict(json.loads(json.dumps(anew.as_dict()))) == anew


def test_a_restart_behind_what_is_folded_asks_for_folding_anew() -> None:
    rows = rows_of([("a", "feedback", -0.5, False)] * 6)
    ledger = fold_outcomes(Ledger.empty("base"), rows, (), BudgetRules())
    assert ledger.too_far_for([(4, "a")])
    assert not ledger.too_far_for([(6, "a")])
    after = fold_outcomes(Ledger.empty("base"), rows, [(4, "a")], BudgetRules())
    assert (after.of("a").pulls, ledger.of("a").pulls) == (2, 6)


def test_a_revision_takes_the_place_of_what_it_revises() -> None:
    rows = rows_of([("a", "feedback", 0.25, False), ("a", "revision", 0.75, False)])
    ledger = fold_outcomes(Ledger.empty("base"), rows, (), BudgetRules())
    assert ledger.of("a") == Seen(1, 0.75)
    assert ledger.contests.trials["a"].contest.calls == 1


def test_what_teaches_nothing_changes_nothing_but_the_place() -> None:
    rows = [replace(row, learns=False) for row in rows_of([("a", "feedback", -1.0, True)] * 3)]
    ledger = fold_outcomes(Ledger.empty("base"), rows, (), BudgetRules())
    assert ledger == replace(Ledger.empty("base"), last_seq=3)


def test_of_what_is_held_only_an_unsafe_answer_counts() -> None:
    def stopped(*flags: str) -> bool:
        (row,) = rows_of([("a", "held", -1.0, False)])
        rows = [replace(row, seq=n, flags=flags) for n in range(1, 8)]
        ledger = fold_outcomes(Ledger.empty("base"), rows, (), BudgetRules())
        assert (ledger.of("a"), ledger.contests.trials) == (Seen(), {})
        assert ledger.mismatch.ratios["a"].chosen == 7
        return ledger.breakers.tripped("a") is not None

    assert stopped("hang_up", "unsafe")
    assert not stopped("hang_up")


def test_a_choice_that_was_as_good_as_certain_tells_nothing() -> None:
    contests = Ledger.empty("base").contests
    assert contests.add("a", -1.0, {"base": 1e-30, "a": 1.0}) == contests
    assert contests.add("a", -1.0, {"base": 0.0, "a": 1.0}) == contests
    assert contests.add("a", -1.0, {"base": 0.5, "a": 0.5}) != contests
