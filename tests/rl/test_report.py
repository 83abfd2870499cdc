"""The report: what is worked out for it, and the page that it becomes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from apps.cli.rl import rl_app
from apps.cli.rl_report import material
from apps.rl.deploy_guard import DeployGuard
from apps.rl.guard.health import Health, HealthLevel
from apps.rl.off_policy import Rules
from apps.rl.policies import NigPolicy
from apps.rl.policy_bandit import PolicyBandit
from apps.rl.posterior import BanditState, fold
from apps.rl.report.course import Posteriors, makeups, posteriors, traffic
from apps.rl.report.document import document
from apps.rl.report.findings import Findings, held_by_reason, work_out
from apps.rl.report.plots import TITLES, plots
from apps.rl.report.regret import Believed, from_posteriors, regret
from apps.rl.report.timeline import spread, timeline
from apps.rl.variants import Catalog
from apps.store.database import open_database
from apps.store.deployment import DeploymentRow
from tests.rl.deployed_store import FIRST_HOUR, serve
from tests.rl.seeded_store import feedback_of, simulated_calls

MADE = datetime(2026, 5, 9, 7, 31, tzinfo=UTC)
RULES = Rules(replicates=50)
CALLS = simulated_calls(300)
EVENTS = [replace(feedback_of(call), seq=i) for i, call in enumerate(CALLS, 1)]
NAMES = sorted({call.variant for call in CALLS})


class Tags(HTMLParser):
    """Counts a page's elements, and remembers its ids."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]


def rl(*args: str) -> Result:
    return CliRunner().invoke(rl_app, args)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, catalog: Catalog) -> Findings:
    """Return what is worked out of a store that the guard has served 400 calls from."""
    folder = tmp_path_factory.mktemp("report")
    db = open_database(folder / "feedback.db", pooled=False)
    bandit = PolicyBandit(db, catalog=catalog, state_path=folder / "bandit_state.json")
    guard = DeployGuard(bandit, rng=np.random.default_rng(0))
    serve(guard, 400)
    for _ in range(10):
        bandit.update("v3b", 0.4)
    guard.blacklist("v2c", "too lively for this office <b>")
    return work_out(material(guard, 1000), rules=RULES)


def test_posteriors_end_where_folding_all_at_once_ends() -> None:
    known = posteriors(EVENTS, NigPolicy(), NAMES)
    everything = fold(BanditState("", policy=NigPolicy()), EVENTS)
    assert known.at[0] == 0
    assert known.at[-1] == len(EVENTS)
    for name in NAMES:
        assert known.estimates[name][0] == NigPolicy().estimate(name)
        assert known.estimates[name][-1] == everything.policy.estimate(name)
        assert known.pulls[name] == everything.arm(name).pulls


def test_moments_in_which_nothing_counted_are_no_points() -> None:
    held = [replace(event, held="quality") for event in EVENTS]
    assert posteriors(held, NigPolicy(), NAMES).at == (0,)
    assert posteriors([], NigPolicy(), NAMES).at == (0,)


def test_every_call_is_in_one_stretch_of_the_traffic() -> None:
    decisions = [call.decision for call in CALLS]
    seen = traffic(decisions, windows=7)
    assert seen.until[-1] == len(decisions)
    assert sum(sum(counts) for counts in seen.counts.values()) == len(decisions)
    totals = [sum(seen.shares(name)[i] for name in seen.counts) for i in range(len(seen.until))]
    assert totals == pytest.approx([1.0] * len(totals))
    assert traffic([]).until == ()


def test_the_parts_of_rewards_add_up_to_them_where_nothing_is_cut() -> None:
    calls = [c for c in CALLS if abs(c.reward) < 1.0]
    for makeup in makeups(calls).values():
        assert sum(makeup.parts.values()) == pytest.approx(makeup.reward)


def test_regret_is_what_the_known_best_would_have_earned_more() -> None:
    sure = {"good": Believed(0.5, 0.0), "bad": Believed(0.2, 0.0)}
    found = regret(["bad", "good", "rare", "bad"], sure, "by oracle")
    assert found is not None
    assert [found.low[-1], found.mean[-1], found.high[-1]] == pytest.approx([0.6] * 3)
    assert (found.compared, found.left_out) == (3, 1)
    assert found.best == {"good": 1.0, "bad": 0.0}
    assert found.calls[-1] == 4


def test_regret_is_unsure_where_it_is_not_known_which_is_best() -> None:
    unsure = {"a": Believed(0.3, 0.1), "b": Believed(0.3, 0.1)}
    found = regret(["a", "b"] * 50, unsure, "posteriors")
    assert found is not None
    assert found.low[-1] < found.mean[-1] < found.high[-1]
    assert list(found.mean) == sorted(found.mean)


def test_regret_says_nothing_of_a_single_variant() -> None:
    assert regret(["a"], {"a": Believed(0.3, 0.1)}, "posteriors") is None
    assert regret([], {"a": Believed(0, 1), "b": Believed(0, 1)}, "posteriors") is None


def test_hardly_tried_variants_are_not_compared() -> None:
    few = Posteriors((0, 9), {"a": (NigPolicy().estimate("a"),) * 2}, {"a": 9})
    assert from_posteriors(few) == {}
    assert list(from_posteriors(replace(few, pulls={"a": 10}))) == ["a"]


def test_the_page_has_every_plot_beside_a_table_and_needs_nothing_else(found: Findings) -> None:
    drawn = plots(found)
    assert set(drawn) == set(TITLES)
    page = document(found, drawn, made=MADE)
    tags = Tags(page)
    assert tags.names.count("figure") == len(TITLES)
    assert page.count('role="img"') == page.count('<p id="said') == len(TITLES)
    assert (
        tags.names.count("table") == len(TITLES) + 4
    )  # the stages, what is held, drift, calibration
    assert len(tags.ids) == len(set(tags.ids))
    assert all(link.startswith("#") for link in tags.links)
    assert not {"script", "link", "img"} & set(tags.names)
    assert "prefers-color-scheme: dark" in page
    assert "#010101" not in page  # ink is the page's own
    assert "07:31" not in page  # times say no more than the hour


def test_the_page_tells_the_guards_acts_and_what_is_held(found: Findings) -> None:
    page = document(found, {}, made=MADE)
    assert "too lively for this office &lt;b&gt;" in page
    (reason,) = held_by_reason(found.material.held)
    assert f'<th scope="row">{reason}</th>' in page
    assert "Blacklisted: v2c." in page


def test_the_page_says_what_is_not_known(found: Findings) -> None:
    told = " ".join(found.unknown)
    assert "fewer than 10 rewards each" in told
    assert "cannot be told from the log" in told
    page = document(found, {}, made=MADE)
    assert "What is not known" in page
    assert "Refused: the " in page


def test_an_alarm_stands_at_the_top(found: Findings) -> None:
    health = Health(HealthLevel.CRITICAL, ("Alarm: the draw is not random.",))
    alarmed = replace(found, material=replace(found.material, health=health))
    page = document(alarmed, {}, made=MADE)
    assert 'class="verdict bad"' in page
    assert page.index("the draw is not random") < page.index("<table>")


def test_acts_of_one_hour_lie_beside_each_other() -> None:
    act = DeploymentRow("pause", "v2a", "hang-ups", actor="guard", at_hour=FIRST_HOUR)
    acts = [act, replace(act, action="reinstate", actor="operator"), replace(act, variant=None)]
    first, second, third = spread(acts)
    assert FIRST_HOUR < first < second < third < FIRST_HOUR + timedelta(hours=1)
    drawn = timeline(acts, "What was done")
    assert drawn is not None
    assert drawn.text == "The latest act, number 3: pause all: hang-ups"


def test_the_command_writes_the_page(settings_in: Callable[..., Path], tmp_path: Path) -> None:
    settings_in(COLUMNS="200")
    serve(DeployGuard(rng=np.random.default_rng(0)), 50)
    path = tmp_path / "new" / "report.html"
    told = rl("report", "--out", str(path))
    assert told.exit_code == 0, told.output
    assert "Regret needs two variants of which enough is known." in told.output
    assert "Who was served with what" in path.read_text(encoding="utf-8")
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


def test_of_an_empty_store_the_page_says_that_it_knows_nothing(
    settings_in: Callable[..., Path],
) -> None:
    folder = settings_in(COLUMNS="200")
    told = rl("report")
    assert told.exit_code == 0, told.output
    assert "No call has been served yet: nothing is known of any variant." in told.output
    page = (folder / "data/rl/report.html").read_text(encoding="utf-8")
    assert "<figure" not in page
    for nothing in ("No reward was counted yet.", "Nothing was done yet.", "Too little is known"):
        assert nothing in page


def test_without_matplotlib_the_command_says_what_to_install(
    settings_in: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = settings_in(COLUMNS="200")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    told = rl("report")
    assert told.exit_code == 1
    assert "pip install 'tom-voice[learn]'" in told.output
    assert not (folder / "data/rl/report.html").exists()
