"""The report's tables, as HTML; empty where there is nothing to show."""

from __future__ import annotations

from html import escape
from math import isfinite

from apps.rl.missing import Value
from apps.rl.off_policy import Evaluation
from apps.rl.pages.frame import table
from apps.rl.policies.policy import Estimate
from apps.rl.report.evaluations import SERVED, Judged
from apps.rl.report.findings import Findings, held_by_reason
from apps.rl.report.timeline import MOST_ACTS

_MOMENTS = 5


def variants(found: Findings) -> str:
    """Return stage, rewards and share of every variant."""
    rows = []
    for name, status in found.material.status.items():
        last = found.posteriors.estimates[name][-1]
        mean = "" if status.mean_reward is None else f"{status.mean_reward:+.2f}"
        rows.append(
            [
                name,
                status.stage.value,
                str(status.pulls),
                mean,
                _between(last),
                f"{status.probability:.1%}",
                status.why,
            ]
        )
    head = ["variant", "stage", "rewards", "mean", "95 % of the truth", "next call", "why"]
    return table("As the guard and the policy see them now", head, rows)


def posteriors(found: Findings) -> str:
    """Return what the policy knew at some moments."""
    known = found.posteriors
    if len(known.at) < 2:
        return ""
    some = _some(len(known.at))
    rows = [
        [name, *[f"{each[i].mean:+.2f} ({_between(each[i])})" for i in some]]
        for name, each in known.estimates.items()
    ]
    head = ["variant", *[f"after {known.at[i]} rewards" for i in some]]
    return table("Mean, and where the truth lies with 95 % probability", head, rows)


def traffic(found: Findings) -> str:
    """Return each variant's calls and its share of some stretches."""
    seen = found.traffic
    if not seen.until:
        return ""
    some = _some(len(seen.until))
    head = ["variant", "calls"]
    for i in some:
        hour = seen.hours[i]
        head.append(f"up to call {seen.until[i]}" + (f", {hour:%Y-%m-%d %H}h" if hour else ""))
    rows = [
        [name, str(sum(counts)), *[f"{seen.shares(name)[i]:.0%}" for i in some]]
        for name, counts in seen.counts.items()
    ]
    return table(f"Shares of {len(some)} of the plot's {len(seen.until)} stretches", head, rows)


def acts(found: Findings) -> str:
    """Return the latest acts with their reasons."""
    done = list(enumerate(found.material.acts, 1))
    if not done:
        return ""
    rows = [
        [
            str(number),
            "" if act.at_hour is None else f"{act.at_hour:%Y-%m-%d %H}h",
            act.actor,
            act.action,
            act.variant or "all",
            act.why,
        ]
        for number, act in done[-MOST_ACTS:]
    ]
    shown = f"The latest {len(rows)} of {len(done)} acts" if len(done) > len(rows) else "All acts"
    return table(shown, ["number", "hour", "who", "did", "to", "why"], rows)


def regret(found: Findings) -> str:
    """Return the regret by each source, how it was estimated, and which variant may be best."""
    if not found.regret:
        return ""
    rows = [
        [
            each.source,
            f"{each.mean[-1]:.1f}",
            _range(each.low[-1], each.high[-1], ".1f"),
            f"{each.mean[-1] / each.compared:.3f}",
            str(each.compared),
            str(each.left_out),
            ", ".join(f"{n} {p:.0%}" for n, p in each.best.items() if p >= 0.05),
        ]
        for each in found.regret
    ]
    head = ["by", "missed", "95 %", "per call", "calls compared", "not compared", "best of them"]
    how = (
        "The true means are not known: they are drawn from what is believed of them, and each "
        "draw's best variant is what the calls are measured by. Variants of which too little is "
        "known are not compared; one of them may be better still. Posteriors hold for the calls "
        "that the policy remembers, off-policy estimates for all callers of the log alike."
    )
    return table("Rewards missed, summed over the calls", head, rows) + f"<p>{escape(how)}</p>"


def makeup(found: Findings) -> str:
    """Return the mean of each component of the rewards, by variant."""
    if not found.makeups:
        return ""
    signals = list(next(iter(found.makeups.values())).parts)
    rows = [
        [n, str(m.calls), f"{m.reward:+.3f}", *[f"{m.parts[s]:+.3f}" for s in signals]]
        for n, m in found.makeups.items()
    ]
    head = ["variant", "rewards", "reward", *signals]
    return table("Means; a component that is not known counts 0", head, rows)


def ratings(found: Findings) -> str:
    """Return the mean ratings given and corrected, by variant."""
    asked = {n: r for n, r in found.ratings.items() if r.asked}
    if not asked:
        return ""
    rows = [
        [
            n,
            str(r.asked),
            str(r.answered),
            _value(r.complete_case),
            _value(r.dr),
            _value(r.reward, "+"),
            _value(r.corrected_reward, "+"),
            r.too_little or "",
        ]
        for n, r in asked.items()
    ]
    head = ["variant", "asked", "rated", "stars given", "corrected", "reward"]
    head += ["corrected reward", "too little"]
    note = ""
    if found.answers is not None:
        off = 100 * found.answers.calibration_error
        note = f"<p>The chance of an answer is off by {off:.0f} points on average.</p>"
    return table("Mean stars and rewards, 95 % intervals", head, rows) + note


def policies(found: Findings) -> str:
    """Return what each policy would have earned, or why that cannot be told."""
    if not found.judged.policies:
        return ""
    head = ["policy", "rewards as logged", "as if all asked had rated", "worth calls", "doubts"]
    rows = [_policy(one) for one in found.judged.policies]
    told = table("Mean reward had it served every call, 95 % intervals", head, rows)
    return told + _drift(found) + _calibration(found)


def _drift(found: Findings) -> str:
    """Return the estimates that are not refused, by fifths of the log."""
    told = [(p.policy, p.logged.drift) for p in found.judged.policies if p.logged.drift]
    if not told:
        return ""
    most = max(len(drift.windows) for _, drift in told)
    rows = []
    for policy, drift in told:
        cells = [f"{w.value:+.3f}" if isfinite(w.value) else "" for w in drift.windows]
        p = "" if drift.p_value is None else f"{drift.p_value:.2g}"
        rows.append([policy, *cells, *[""] * (most - len(cells)), p])
    head = ["policy", *[f"part {i + 1}" for i in range(most)], "p if nothing changed"]
    return table("The same over time, by equal parts of its calls, oldest first", head, rows)


def _calibration(found: Findings) -> str:
    """Return whether choices came as often as their logged probabilities say."""
    served = found.judged.of(SERVED)
    if served is None or not served.logged.diagnostics.calibration:
        return ""
    rows = [
        [
            _range(b.low, b.high, ".3f"),
            f"{b.expected:.1f}",
            str(b.observed),
            f"{b.z:+.1f}",
        ]
        for b in served.logged.diagnostics.calibration
    ]
    head = ["logged probability", "choices due", "choices made", "standard deviations apart"]
    return table("Are the logged probabilities true? Among rewarded calls", head, rows)


def _policy(one: Judged) -> list[str]:
    refused = (one.logged.refusal or "").split(". ")[0].rstrip(".")
    refusal = [f"Refused: {refused}."] if refused else []
    return [
        one.policy,
        _earned(one.logged),
        "too few ratings" if one.corrected is None else _earned(one.corrected),
        f"{one.logged.diagnostics.effective:.0f}",
        " ".join([*refusal, *one.logged.doubts, *one.notes]),
    ]


def held(found: Findings) -> str:
    """Return how much feedback is held, by reason."""
    rows = [
        [reason, str(count), str(released)]
        for reason, (count, released) in held_by_reason(found.material.held).items()
    ]
    return table("Events by reason", ["reason", "held", "of them released"], rows) if rows else ""


def _some(n: int) -> list[int]:
    """Return up to five places out of n, evenly, the last one among them."""
    return sorted({round((i + 1) * n / _MOMENTS) - 1 for i in range(_MOMENTS)} - {-1})


def _between(estimate: Estimate) -> str:
    return _range(estimate.low, estimate.high, "+.2f")


def _value(value: Value | None, sign: str = "") -> str:
    if value is None:
        return ""
    low, high = value.interval.low, value.interval.high
    told = f" ({_range(low, high, f'{sign}.2f')})" if low == low else ""
    return f"{value.value:{sign}.2f}{told}"


def _earned(found: Evaluation) -> str:
    if found.best is None:
        return "refused"
    best = found.estimate(found.best)
    return f"{best.value:+.3f} ({_range(best.delta.low, best.delta.high, '+.3f')})"


def _range(low: float, high: float, form: str) -> str:
    """Return both ends, never broken over two lines."""
    return f"{low:{form}}\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}{high:{form}}"
