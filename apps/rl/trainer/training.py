"""The whole training: calls in; models, scores and candidates out. Pure, and seeded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from threadpoolctl import threadpool_limits

from apps.core.plural import plural
from apps.core.policy import PolicySlots
from apps.rl.off_policy import Evaluation
from apps.rl.trainer.calls import Gathered, TrainingCall
from apps.rl.trainer.candidates import Bar, Candidate, choose, waiting
from apps.rl.trainer.evidence import policies, proper, slot_wise
from apps.rl.trainer.features import Encoder, Floats, caller_numbers, slot_columns
from apps.rl.trainer.grid import Score, search
from apps.rl.trainer.preferences import Preferences, pair_up, prefer
from apps.rl.trainer.reward_model import Fits, RewardModel, fit
from apps.rl.trainer.validation import Validation, validate
from apps.rl.variants import Catalog

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Rules:
    """When there is enough to learn from, and what is offered.

    Attributes:
        min_calls: Fewer rewarded calls than this are too few.
        min_callers: So are fewer callers.
        min_variants: So are fewer variants with ``min_pulls`` calls each, the base among them.
        min_pulls: See there.
        top: At most so many candidates wait to be tried at a time.
        bar: What a candidate must reach.
        margin: Rewards that differ by less are a tie.
        ess_floor: Off-policy estimates of fewer effective calls are refused.
        level: Of all intervals.
        newest: Only this many of the newest calls are looked at.
    """

    min_calls: int = 200
    min_callers: int = 30
    min_variants: int = 3
    min_pulls: int = 10
    top: int = 3
    bar: Bar = field(default_factory=Bar)
    margin: float = 0.1
    ess_floor: float = 50.0
    level: float = 0.95
    newest: int = 20_000


@dataclass(frozen=True, slots=True)
class Known:
    """The variants that there are.

    Attributes:
        base: The base variant's id.
        variants: The slots of those of the policy file.
        offered: The slots of candidates of earlier trainings.
    """

    base: str
    variants: Mapping[str, PolicySlots]
    offered: Mapping[str, PolicySlots]

    @classmethod
    def of(cls, catalog: Catalog) -> Known:
        """Return those of a catalog, the candidates in it among them."""
        slots = catalog.slots
        return cls(
            catalog.rules.base_variant,
            {name: s for name, s in slots.items() if name not in catalog.candidates},
            {name: s for name, s in slots.items() if name in catalog.candidates},
        )

    @property
    def everything(self) -> dict[str, PolicySlots]:
        """Return the slots of all of them."""
        return {**self.offered, **self.variants}


@dataclass(frozen=True, slots=True)
class TooLittle:
    """There is not enough to learn from: nothing is trained, and nothing offered."""

    gathered: Gathered
    sentence: str


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """What was learned.

    Attributes:
        gathered: From what.
        known: The variants there are.
        rules: By which rules.
        encoder: How calls become numbers.
        model: The reward model.
        validation: How good it is.
        arms: The variants that were compared in pairs.
        preferences: Their strengths.
        policies: What serving one variant to all would have earned, by its id;
            and ``evidence.LEADER``.
        not_evaluated: Calls whose logged probabilities are none, which off-policy leaves out.
        scores: All combinations.
        waiting: Candidates of earlier trainings that nobody has tried yet.
        candidates: What is offered now.
        sentence: The outcome, for a person.
    """

    gathered: Gathered
    known: Known
    rules: Rules
    encoder: Encoder
    model: RewardModel
    validation: Validation
    arms: tuple[str, ...]
    preferences: Preferences
    policies: Mapping[str, Evaluation]
    not_evaluated: int
    scores: tuple[Score, ...]
    waiting: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    sentence: str


def train(
    gathered: Gathered,
    known: Known,
    *,
    rules: Rules | None = None,
    seed: int = 0,
    progress: Progress = lambda step: None,
) -> Training | TooLittle:
    """Learn from calls; the same calls, rules and seed give the same result.

    Args:
        gathered: The calls.
        known: The variants there are.
        rules: What is enough, and what is offered.
        seed: Of the bootstrap.
        progress: Is told each step as it begins.
    """
    rules = rules or Rules()
    lacking = too_little(gathered, known, rules)
    if lacking is not None:
        return TooLittle(gathered, lacking)
    # Small matrices: more threads would cost time, and change the last digits.
    with threadpool_limits(limits=1, user_api="blas"):
        return _train(gathered, known, rules, seed, progress)


@dataclass(frozen=True, slots=True, eq=False)
class _Learned:
    encoder: Encoder
    model: RewardModel
    validation: Validation
    fits: Fits
    arms: tuple[str, ...]
    strengths: Preferences
    by_slot: Preferences


def _learn(calls: Sequence[TrainingCall], rules: Rules, progress: Progress) -> _Learned:
    progress("Turning calls into numbers")
    encoder = Encoder.of(calls)
    rows, caller = encoder.rows(calls), caller_numbers(calls)
    reward = np.array([call.reward for call in calls])
    progress("Fitting the reward model")
    model = fit(rows, reward, caller, encoder.blocks, parts=components(calls))
    progress("Predicting calls and variants that it has not seen")
    validation = validate(calls, rows, reward, caller, encoder.blocks, model)
    progress("Comparing calls in pairs")
    arms, strengths, by_slot = _preferences(calls, rules)
    fits = Fits(rows, reward, caller, encoder.blocks)
    return _Learned(encoder, model, validation, fits, arms, strengths, by_slot)


def _train(
    gathered: Gathered, known: Known, rules: Rules, seed: int, progress: Progress
) -> Training:
    calls = gathered.calls
    learned = _learn(calls, rules, progress)
    encoder, fits, validation = learned.encoder, learned.fits, learned.validation
    floor, level = rules.ess_floor, rules.level
    progress("Evaluating policies on the log")
    sound = proper(calls)
    earned = policies(calls, sound, fits, encoder, floor=floor, level=level, seed=seed)
    progress("Searching all combinations")
    slots, base = known.everything, known.base
    scores = search(
        encoder,
        learned.model,
        encoder.contexts(calls),
        slots,
        base,
        widening=validation.widening,
        level=level,
        wisdom=slot_wise(calls, sound, fits, encoder, slots, base, floor=floor, level=level),
        preferences=learned.by_slot,
    )
    idle = waiting(known.offered, gathered.served, known.variants)
    offered, sentence = _offer(scores, validation, idle, rules)
    return Training(
        gathered=gathered,
        known=known,
        rules=rules,
        encoder=encoder,
        model=learned.model,
        validation=validation,
        arms=learned.arms,
        preferences=learned.strengths,
        policies=earned,
        not_evaluated=len(calls) - len(sound),
        scores=scores,
        waiting=tuple(idle),
        candidates=offered,
        sentence=sentence,
    )


def too_little(gathered: Gathered, known: Known, rules: Rules) -> str | None:
    """Return what is lacking to learn from these calls, in a sentence, or None."""
    pulls = Counter(call.variant for call in gathered.calls)
    callers = len({call.caller for call in gathered.calls})
    tried = sum(count >= rules.min_pulls for count in pulls.values())
    nothing = " Nothing was trained, and no candidates were exported."
    if len(gathered.calls) < rules.min_calls:
        verb = "is" if len(gathered.calls) == 1 else "are"
        there = plural(len(gathered.calls), "rewarded call")
        return f"There {verb} {there}; it takes {rules.min_calls}.{nothing}"
    if callers < rules.min_callers:
        return (
            f"The calls are of {plural(callers, 'caller')}; it takes {rules.min_callers}.{nothing}"
        )
    if pulls[known.base] < rules.min_pulls:
        return (
            f"The base variant {known.base} has {plural(pulls[known.base], 'call')}; it takes"
            f" {rules.min_pulls} to compare with.{nothing}"
        )
    if tried < rules.min_variants:
        return (
            f"Only {plural(tried, 'variant has', 'variants have')} {rules.min_pulls} calls or"
            f" more; it takes {rules.min_variants}.{nothing}"
        )
    return None


def components(calls: Sequence[TrainingCall]) -> dict[str, Floats]:
    """Return the reward's terms, each of shape (calls,); one that is not known adds nothing."""
    names = sorted({name for call in calls for name in call.components})
    return {name: np.array([c.components.get(name, 0.0) for c in calls]) for name in names}


def _preferences(
    calls: Sequence[TrainingCall], rules: Rules
) -> tuple[tuple[str, ...], Preferences, Preferences]:
    """Return the variants, their strengths, and those of the slots' columns."""
    arms = tuple(sorted({call.variant for call in calls}))
    own = np.array([[float(call.variant == arm) for arm in arms] for call in calls])
    pairs = pair_up(calls, margin=rules.margin)
    return (
        arms,
        prefer(calls, pairs, own),
        prefer(calls, pairs, slot_columns([c.slots for c in calls])),
    )


def _offer(
    scores: Sequence[Score], validation: Validation, idle: Sequence[str], rules: Rules
) -> tuple[tuple[Candidate, ...], str]:
    """Return what is offered, and a sentence about it."""
    none = "No candidates were exported."
    model, plain = validation.left_out_rmse
    if not validation.foresees:
        return (), (
            "The reward model does not surely foresee unseen variants better than their"
            f" mean does (error {model:.3f} against {plain:.3f}). {none}"
        )
    room = rules.top - len(idle)
    if room <= 0:
        waiting = plural(len(idle), "candidate waits", "candidates wait")
        return (), f"{waiting} to be tried: {', '.join(idle)}. {none}"
    chosen = choose(scores, rules.bar, room)
    if not chosen:
        return (), (
            "No combination that nobody serves is better than the base variant with"
            f" {rules.bar.better:.0%} probability and may be better than the best one. {none}"
        )
    best = chosen[0]
    return chosen, (
        f"{plural(len(chosen), 'candidate')}; the first, {best.variant.id}, is expected to earn"
        f" {best.score.gain:+.3f} more than the base variant and is better than it with"
        f" {best.score.better:.0%} probability."
    )
