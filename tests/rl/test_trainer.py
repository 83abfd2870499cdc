"""The training as a whole: when it offers candidates, which, and in what file."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner, Result

from apps.cli.rl import rl_app
from apps.core.errors import StoreError
from apps.core.resources import resource
from apps.rl.guard.candidates import with_candidates
from apps.rl.trainer import (
    Bar,
    Gathered,
    Known,
    Rules,
    TooLittle,
    Training,
    TrainingCall,
    candidate_id,
    export,
    file_name,
    to_yaml,
    train,
)
from apps.rl.trainer.calls import Source
from apps.rl.trainer.candidates import choose, veto, waiting
from apps.rl.trainer.features import ALL_SLOTS
from apps.rl.trainer.plots import plots
from apps.rl.trainer.report import report
from apps.rl.variants import Catalog, load_catalog
from benchmarks.learning.scenarios import SCENARIOS, TWELVE
from benchmarks.trainer.logs import truth_of
from tests.rl.seeded_store import seed_store, simulated_calls

KNOWN = Known("v1a", TWELVE, {})
NOW = datetime(2026, 5, 4, 2, 17, 33, tzinfo=UTC)


def gathered(calls: tuple[TrainingCall, ...], served: tuple[str, ...] = tuple(TWELVE)) -> Gathered:
    return Gathered(calls, {}, Source("a-store", 4711, 5000), frozenset(served))


@pytest.fixture(scope="module")
def calls() -> tuple[TrainingCall, ...]:
    return simulated_calls(1000, seed=2)


@pytest.fixture(scope="module")
def training(calls: tuple[TrainingCall, ...]) -> Training:
    found = train(gathered(calls), KNOWN)
    assert isinstance(found, Training)
    return found


def file_of(training: Training) -> str:
    return to_yaml(training.candidates, training.gathered.source, base="v1a", level=0.95, made=NOW)


def test_its_candidates_are_truly_better_than_the_base_variant(training: Training) -> None:
    truth = truth_of(SCENARIOS["stationary"], 2)
    base = truth[ALL_SLOTS.index(TWELVE["v1a"])]
    gains = [truth[ALL_SLOTS.index(c.score.slots)] - base for c in training.candidates]
    assert len(gains) == 3
    assert min(gains) > 0.0
    expected = [score.gain for score in training.scores if not score.served]
    real = [truth[i] - base for i, score in enumerate(training.scores) if not score.served]
    assert np.corrcoef(expected, real)[0, 1] > 0.5


def test_candidates_are_new_combinations_with_the_best_lower_bound_first(
    training: Training,
) -> None:
    assert not {c.score.slots for c in training.candidates} & set(TWELVE.values())
    bounds = [c.score.gain - 0.5 * c.score.gain_error for c in training.candidates]
    assert bounds == sorted(bounds, reverse=True)
    assert all(c.score.better >= 0.85 for c in training.candidates)


def test_the_parts_of_a_gain_add_up_to_it(training: Training) -> None:
    for candidate in training.candidates:
        total = sum(candidate.score.parts.values())
        assert total == pytest.approx(candidate.score.gain, abs=0.02)


def test_the_same_calls_and_seed_give_the_same_file(
    calls: tuple[TrainingCall, ...], training: Training
) -> None:
    again = train(gathered(calls), KNOWN)
    assert isinstance(again, Training)
    assert file_of(again) == file_of(training)


@pytest.mark.parametrize(
    ("few", "says"),
    [
        (lambda c: (), "There are 0 rewarded calls; it takes 200."),
        (lambda c: c[:150], "There are 150 rewarded calls; it takes 200."),
        (lambda c: tuple(replace(x, caller="one") for x in c), "The calls are of 1 caller;"),
        (lambda c: tuple(x for x in c if x.variant != "v1a"), "The base variant v1a has 0 calls"),
        (
            lambda c: tuple(x for x in c * 2 if x.variant in ("v1a", "v1b")),
            "Only 2 variants have 10",
        ),
    ],
)
def test_on_too_little_data_it_says_so_and_offers_nothing(
    calls: tuple[TrainingCall, ...],
    few: Callable[[tuple[TrainingCall, ...]], tuple[TrainingCall, ...]],
    says: str,
) -> None:
    found = train(gathered(few(calls)), KNOWN)
    assert isinstance(found, TooLittle)
    assert found.sentence.startswith(says)
    assert "No candidates" in found.sentence or "no candidates were exported" in found.sentence
    assert "no candidates were exported" in report(found, made=NOW)


def test_rewards_that_nothing_explains_hardly_ever_bring_candidates(
    calls: tuple[TrainingCall, ...],
) -> None:
    offering = 0
    for seed in range(3):
        noise = np.random.default_rng(seed).normal(0.2, 0.4, 500).clip(-1, 1)
        blind = [replace(c, reward=float(r)) for c, r in zip(calls, noise, strict=False)]
        found = train(gathered(tuple(blind)), KNOWN)
        assert isinstance(found, Training)
        offering += bool(found.candidates)
        assert found.candidates or "No candidates were exported." in found.sentence
    assert offering <= 1


def test_while_candidates_wait_to_be_tried_no_more_are_offered(
    calls: tuple[TrainingCall, ...], training: Training
) -> None:
    offered = {c.variant.id: c.score.slots for c in training.candidates}
    two = train(gathered(calls), Known("v1a", TWELVE, dict(list(offered.items())[:2])))
    assert isinstance(two, Training)
    assert [c.variant.id for c in two.candidates] == [training.candidates[2].variant.id]
    full = train(gathered(calls), Known("v1a", TWELVE, offered))
    assert isinstance(full, Training)
    assert full.candidates == ()
    assert "3 candidates wait to be tried" in full.sentence
    assert waiting(offered, {next(iter(offered))}, TWELVE) == sorted(list(offered)[1:])


def test_a_log_without_usable_probabilities_still_trains_without_off_policy(
    calls: tuple[TrainingCall, ...],
) -> None:
    lost = tuple(
        replace(c, decision=replace(c.decision, propensities={c.variant: 0.4}, propensity=0.4))
        for c in calls[:700]
    )
    found = train(gathered(lost), KNOWN)
    assert isinstance(found, Training)
    assert found.policies == {}
    assert found.not_evaluated == 700
    assert all(score.off_policy is None for score in found.scores)
    assert "700 calls have no usable probabilities" in report(found, made=NOW)


def test_what_the_log_itself_speaks_against_is_not_offered(training: Training) -> None:
    first = training.candidates[0].score
    assert first.off_policy is not None
    assert first.off_policy.interval is not None
    against = replace(first.off_policy, interval=replace(first.off_policy.interval, high=-0.01))
    assert "slot by slot" in (veto(replace(first, off_policy=against), Bar()) or "")
    lost = replace(first, preferred=-2.0, preferred_error=0.5)
    assert "In pairs" in (veto(lost, Bar()) or "")
    assert "than the base variant" in (veto(replace(first, better=0.84), Bar()) or "")
    assert "best variant served" in (veto(replace(first, best=0.05), Bar()) or "")
    assert choose([lost], Bar(), 3) == ()


def test_an_off_policy_estimate_of_too_few_calls_is_refused_in_a_sentence(
    calls: tuple[TrainingCall, ...],
) -> None:
    found = train(gathered(calls[:400]), KNOWN, rules=Rules(ess_floor=60.0))
    assert isinstance(found, Training)
    assert all(e.refusal is not None for name, e in found.policies.items() if name in TWELVE)
    page = report(found, made=NOW)
    assert "fewer than 60 are not believed" in page
    assert "refused" in page


def test_an_id_belongs_to_its_slots_for_good() -> None:
    ids = [candidate_id(slots) for slots in ALL_SLOTS]
    assert len(set(ids)) == 243
    assert all(re.fullmatch(r"c-[0-9a-f]{8}", name) for name in ids)
    assert candidate_id(TWELVE["v1a"]) == "c-abf6c1c5"


def test_the_file_loads_with_the_policy_files_own_checks(
    training: Training, catalog: Catalog, tmp_path: Path
) -> None:
    path = export(tmp_path, file_name(training.gathered.source, NOW), file_of(training))
    together = with_candidates(catalog, tmp_path)
    assert together.candidates == {c.variant.id for c in training.candidates}
    for candidate in training.candidates:
        assert together.variants[candidate.variant.id] == candidate.variant
    policy = yaml.safe_load(
        resource("policies", "prompt_variants.yaml").read_text(encoding="utf-8")
    )
    policy["variants"] |= yaml.safe_load(path.read_text(encoding="utf-8"))["variants"]
    whole = tmp_path / "whole.yml"
    whole.write_text(yaml.safe_dump(policy), encoding="utf-8")
    assert len(load_catalog(whole).variants) == 15


def test_the_file_says_what_it_was_learned_from_and_when_to_the_hour(training: Training) -> None:
    provenance = yaml.safe_load(file_of(training))["provenance"]
    assert provenance["trained_on"] == "a-store"
    assert (provenance["up_to_feedback"], provenance["up_to_decision"]) == (4711, 5000)
    assert provenance["made"] == "2026-05-04T02:00+00:00"
    for candidate in training.candidates:
        said = provenance["scores"][candidate.variant.id]
        assert said["interval"][0] < said["reward"] < said["interval"][1]


def test_an_older_file_is_never_overwritten(tmp_path: Path) -> None:
    first = export(tmp_path, "a.yaml", "one")
    second = export(tmp_path, "a.yaml", "two")
    assert (first.name, second.name) == ("a.yaml", "a-2.yaml")
    assert (first.read_text(), second.read_text()) == ("one", "two")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a-2.yaml", "a.yaml"]


def test_a_folder_that_cannot_be_written_is_an_error_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="The candidates cannot be written"):
        export(tmp_path / "file", "a.yaml", "text")


def test_the_report_stands_alone_and_can_be_read_without_seeing_it(training: Training) -> None:
    page = report(training, made=NOW, drawn=plots(training))
    assert "2026-05-04, 02 h UTC" in page
    assert not re.findall(r'(?:src|href)="(?!#)', page.replace("xlink:href", "href"))
    assert page.count("<svg aria-hidden") == page.count('<figure role="img"') == 6
    assert "prefers-color-scheme: dark" in page
    assert page.count("<caption>") == page.count("<table>") > 3
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(set(ids)) == len(ids)
    assert set(re.findall(r'aria-(?:labelledby|describedby)="([^"]+)"', page)) <= set(ids)
    for candidate in training.candidates:
        assert candidate.variant.id in page


class TestCommand:
    """`tom rl train`."""

    @pytest.fixture(autouse=True)
    def folder(self, settings_in: Callable[..., Path]) -> Path:
        return settings_in(COLUMNS="140")

    def run(self, *args: str) -> Result:
        return CliRunner().invoke(rl_app, ["train", *args])

    def test_on_an_empty_store_it_says_so_and_ends_well(self, folder: Path) -> None:
        found = self.run("--out", str(folder / "out"), "--report", str(folder / "r.html"))
        assert found.exit_code == 0
        assert "There are 0 rewarded calls; it takes 200." in found.output
        assert not (folder / "out").exists()
        assert "0 rewarded calls" in (folder / "r.html").read_text(encoding="utf-8")

    def test_it_offers_and_the_next_run_waits_for_what_it_offered(
        self, folder: Path, calls: tuple[TrainingCall, ...]
    ) -> None:
        seed_store(folder / "s.db", calls).close()
        args = ("--db", str(folder / "s.db"), "--out", str(folder / "out"))
        first = self.run(*args)
        assert first.exit_code == 0, first.output
        assert "Candidates: " in first.output
        assert "3 candidates wait to be tried" in self.run(*args).output
        assert len(list((folder / "out").iterdir())) == 1

    def test_a_store_that_is_not_there_is_an_error(self, folder: Path) -> None:
        found = self.run("--db", str(folder / "none.db"))
        assert found.exit_code == 1
        assert "There is no database" in found.output
        assert not (folder / "none.db").exists()

    def test_a_report_that_cannot_be_written_is_an_error(self, folder: Path) -> None:
        (folder / "file").write_text("")
        found = self.run("--report", str(folder / "file" / "r.html"))
        assert found.exit_code == 1
        assert "cannot be written" in found.output
