"""The report of a training: one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape

from apps.core.plural import plural
from apps.rl.off_policy import Evaluation
from apps.rl.pages.drawing import REACH, Plot
from apps.rl.pages.frame import figure, page
from apps.rl.pages.frame import table as _table
from apps.rl.pages.frame import when as _when
from apps.rl.trainer.candidates import Candidate, candidate_id, cautious, veto
from apps.rl.trainer.grid import Score
from apps.rl.trainer.training import TooLittle, Training

_SHOWN = 15


def report(training: Training | TooLittle, *, made: datetime, drawn: Sequence[Plot] = ()) -> str:
    """Return the page.

    Args:
        training: What was learned, or that it was too little.
        made: When; cut to the hour.
        drawn: Its plots; without any the tables stand alone.
    """
    body = [
        f"<p>{_when(made)}. {escape(_source(training))}</p>",
        f'<p class="verdict" role="status">{escape(training.sentence)}</p>',
        left_out(training),
    ]
    if isinstance(training, Training):
        body += [
            candidates(training),
            quality(training),
            variants(training),
            grid(training),
            *[figure(i, plot) for i, plot in enumerate(drawn)],
        ]
        if not drawn:
            body.append("<p>Without matplotlib there are no plots: see the tables.</p>")
    return page("Offline training", body)


def _source(training: Training | TooLittle) -> str:
    gathered = training.gathered
    callers = len({call.caller for call in gathered.calls})
    return (
        f"{plural(len(gathered.calls), 'rewarded call')} of {plural(callers, 'caller')}, up to"
        f" feedback {gathered.source.last_feedback} of store {gathered.source.store}."
    )


def left_out(training: Training | TooLittle) -> str:
    """Return which calls were not learned from, as HTML; nothing where all were."""
    left = training.gathered.left_out
    if not left:
        return ""
    said = "; ".join(f"{count} {escape(reason)}" for reason, count in sorted(left.items()))
    return f"<p>Calls left out: {said}.</p>"


def candidates(training: Training) -> str:
    """Return what is offered, and why, as HTML; nothing where nothing is."""
    if not training.candidates:
        return ""
    head = ["candidate", "slots", "expected reward", "gain over base", "better than base"]
    head += ["better than best", "the log says"]
    rows = [_candidate(c) for c in training.candidates]
    names = sorted(training.model.parts)
    by_signal = [
        [c.variant.id, *[f"{c.score.parts[name]:+.3f}" for name in names]]
        for c in training.candidates
    ]
    said = "<p>They are offered to the deploy guard as <em>offline</em>: no call gets one yet.</p>"
    return (
        "<h2>Candidates</h2>"
        + said
        + _table("Offered, the best lower bound first", head, rows)
        + _table("What each signal adds to the gain", ["candidate", *names], by_signal)
    )


def _candidate(candidate: Candidate) -> list[str]:
    score = candidate.score
    return [
        candidate.variant.id,
        _slots(score),
        f"{score.mean:+.3f} ({score.low:+.3f} to {score.high:+.3f})",
        f"{score.gain:+.3f} ± {REACH * score.gain_error:.3f}",
        f"{score.better:.0%}",
        f"{score.best:.0%}",
        _log_says(score),
    ]


def quality(training: Training) -> str:
    """Return how good the reward model is, as HTML."""
    found = training.validation
    model, plain = found.left_out_rmse
    gain, slope = found.gain_interval, found.slope_interval
    rows = [
        ["held-out calls", f"{found.calls}", "later calls, by callers that the model did not know"],
        ["R², model", f"{found.r2:.3f}", "share of the variance of single rewards explained"],
        ["R², means of the variants", f"{found.r2_means:.3f}", "the baseline"],
        ["gain over the baseline", f"{found.gain:+.3f}", f"{gain.low:+.3f} to {gain.high:+.3f}"],
        [
            "calibration slope",
            f"{found.slope:.2f}",
            f"{slope.low:.2f} to {slope.high:.2f}; 1 is best",
        ],
        ["error on unseen variants", f"{model:.3f}", f"predicting their mean: {plain:.3f}"],
        ["intervals widened by", f"{found.widening:.2f}", "because unseen variants were missed"],
        ["callers' share", f"{training.model.ratio:.2f}", "variance of their levels over the rest"],
    ]
    sizes = ", ".join(f"{name} {size:.3f}" for name, size in training.model.sizes.items())
    return (
        "<h2>How good the reward model is</h2>"
        + _table("On what it has not seen", ["what", "value", "note"], rows)
        + f"<p>Standard deviation of effects: {escape(sizes)}.</p>"
    )


def variants(training: Training) -> str:
    """Return what model and log say of what was served, as HTML."""
    scores = {v: s for s in training.scores for v in s.variants}
    rows = []
    for name, found in training.policies.items():
        score = scores.get(name)
        expected = "" if score is None else f"{score.mean:+.3f} ± {REACH * score.error:.3f}"
        worth = f"{found.diagnostics.effective:.0f}"
        rows.append([name, expected, _value(found), worth, found.refusal or " ".join(found.doubts)])
    without = training.not_evaluated
    note = (
        f"<p>{plural(without, 'call has', 'calls have')} no usable probabilities.</p>"
        if without
        else ""
    )
    head = ["policy", "model", "log", "worth calls", "doubts"]
    return (
        "<h2>What was served, and what serving one to all would have earned</h2>"
        + _table("Mean reward, 95 % intervals", head, rows)
        + note
    )


def grid(training: Training) -> str:
    """Return the best of all combinations and what became of each, as HTML."""
    best = sorted(training.scores, key=lambda s: -cautious(s, training.rules.bar))[:_SHOWN]
    offered = {c.variant.id for c in training.candidates}
    rows = [
        [
            candidate_id(score.slots),
            _slots(score),
            f"{score.gain:+.3f} ± {REACH * score.gain_error:.3f}",
            f"{score.better:.0%}",
            _log_says(score),
            f"{score.preferred:+.2f} ± {REACH * score.preferred_error:.2f}",
            "Exported." if candidate_id(score.slots) in offered else _why(score, training),
        ]
        for score in best
    ]
    head = ["id", "slots", "gain over base", "better", "the log says", "in pairs", "outcome"]
    title = f"The {_SHOWN} best of {len(training.scores)}, by the lower bound of their gain"
    return "<h2>All combinations</h2>" + _table(title, head, rows)


def _why(score: Score, training: Training) -> str:
    waits = candidate_id(score.slots) in training.waiting
    return (
        "It waits to be tried."
        if waits
        else veto(score, training.rules.bar) or "Others came first."
    )


def _log_says(score: Score) -> str:
    found = score.off_policy
    if found is None:
        return "nothing"
    if found.interval is None or found.value is None:
        return found.refusal or "nothing"
    return f"{found.value:+.3f} ({found.interval.low:+.3f} to {found.interval.high:+.3f})"


def _value(found: Evaluation) -> str:
    if found.best is None:
        return "refused"
    best = found.estimate(found.best)
    return f"{best.value:+.3f} ({best.delta.low:+.3f} to {best.delta.high:+.3f})"


def _slots(score: Score) -> str:
    return " ".join(score.slots.as_dict().values())
