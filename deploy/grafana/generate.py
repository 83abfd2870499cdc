"""Writes the Grafana dashboard; the JSON beside it is committed, so that Grafana needs no Python.

After a change here: ``python deploy/grafana/generate.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, TypeVar

from grafana_foundation_sdk.builders import bargauge, prometheus, stat, timeseries
from grafana_foundation_sdk.builders import common as common_builder
from grafana_foundation_sdk.builders import dashboard as board
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as model

DASHBOARD = Path(__file__).parent / "dashboards" / "tom.json"
DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")

Panel = timeseries.Panel | bargauge.Panel | stat.Panel
AnyPanel = TypeVar("AnyPanel", timeseries.Panel, bargauge.Panel, stat.Panel)

LATEST = common_builder.ReduceDataOptions().calcs(["lastNotNull"])
PER_VARIANT = "sum by (policy_variant)"


class Query(NamedTuple):
    """One PromQL expression and the legend of its lines."""

    expr: str
    legend: str


def quantiles(histogram: str, matchers: str = "") -> list[Query]:
    """Return the median and the 95th percentile of a histogram."""
    rate = f"sum by (le) (rate({histogram}_bucket{matchers}[$__rate_interval]))"
    return [Query(f"histogram_quantile({q}, {rate})", f"p{q * 100:.0f}") for q in (0.5, 0.95)]


def over_range(metric: str) -> str:
    """Return a counter's increase per variant over the time that the dashboard shows."""
    return f"{PER_VARIANT} (increase({metric}[$__range]))"


MEAN_REWARD = (
    f"({over_range('rl_reward_gained_total')} - {over_range('rl_reward_lost_total')})"
    f" / {over_range('rl_reward_distribution_count')}"
)
MEAN_RATING = (
    f"{over_range('rl_user_rating_distribution_sum')}"
    f" / {over_range('rl_user_rating_distribution_count')}"
)
POSITIVE_SHARE = (
    f'1 - {PER_VARIANT} (increase(rl_reward_distribution_bucket{{le="0.0"}}[$__range]))'
    f" / {over_range('rl_reward_distribution_count')}"
)
TRAFFIC_SHARE = (
    f"{PER_VARIANT} (increase(rl_policy_pulls_total[$__range]))"
    " / scalar(sum(increase(rl_policy_pulls_total[$__range])))"
)
STAGE_MEAN = (
    'sum by (stage) (rate(tom_turn_latency_seconds_sum{stage!="total"}[$__rate_interval]))'
    " / sum by (stage) (rate(tom_turn_latency_seconds_count[$__rate_interval]))"
)


def lines(
    title: str, text: str, queries: list[Query], unit: str = "short", *, stacked: bool = False
) -> timeseries.Panel:
    """Return a panel of lines over time."""
    panel = timeseries.Panel().fill_opacity(30 if stacked else 8).line_width(1).min(0)
    panel.legend(
        common_builder.VizLegendOptions()
        .show_legend(True)
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
    )
    panel.tooltip(common_builder.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
    if stacked:
        panel.stacking(common_builder.StackingConfig().mode(common.StackingMode.NORMAL))
    return _filled(panel.span(12).height(8), title, text, queries, unit)


def bars(title: str, text: str, expr: str, unit: str, low: float, high: float) -> bargauge.Panel:
    """Return a panel with one bar per variant, over the time that the dashboard shows."""
    panel = bargauge.Panel().orientation(common.VizOrientation.HORIZONTAL).min(low).max(high)
    panel.reduce_options(LATEST)
    query = [Query(expr, "{{policy_variant}}")]
    return _filled(panel.span(6).height(9), title, text, query, unit, instant=True)


def number(title: str, text: str, expr: str, unit: str = "short") -> stat.Panel:
    """Return a panel that shows the latest value."""
    panel = stat.Panel().reduce_options(LATEST).span(4).height(4)
    return _filled(panel, title, text, [Query(expr, "")], unit, instant=True)


def _filled(
    panel: AnyPanel,
    title: str,
    text: str,
    queries: list[Query],
    unit: str,
    *,
    instant: bool = False,
) -> AnyPanel:
    panel.title(title).description(text).unit(unit).datasource(DATASOURCE)
    for index, query in enumerate(queries):
        target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend)
        panel.with_target((target.instant() if instant else target.range()).ref_id("ABCDEF"[index]))
    return panel


def calls() -> list[Panel]:
    """Return the panels about calls."""
    ended = "sum by (reason) (increase(tom_calls_total[$__rate_interval]))"
    refused = "sum by (reason) (increase(tom_calls_refused_total[$__rate_interval]))"
    asked = "sum(increase(tom_questions_total[$__range]))"
    retrieved = "sum by (outcome) (increase(tom_retrievals_total[$__rate_interval]))"
    unlogged = "sum(increase(tom_retrieval_log_lost_total[$__rate_interval]))"
    dialled = "sum by (outcome) (increase(tom_outgoing_attempts_total[$__rate_interval]))"
    missed = 'sum(increase(tom_questions_total{covered="no"}[$__range]))'
    return [
        number("Live calls", "Calls going on now.", "sum(tom_live_calls)"),
        number("Calls", "Calls that ended.", "sum(increase(tom_calls_total[$__range]))"),
        number("Refused", "Calls not taken.", "sum(increase(tom_calls_refused_total[$__range]))"),
        number("Handed over", "To a person.", "sum(increase(tom_handovers_total[$__range]))"),
        number(
            "Barge-ins",
            "Callers who talked over TOM.",
            "sum(increase(tom_barge_ins_total[$__range]))",
        ),
        number(
            "Not covered", "Questions without an answer here.", f"{missed} / {asked}", "percentunit"
        ),
        lines(
            "Calls by door",
            "Calls going on, by the door that they came through.",
            [Query("sum by (door) (tom_door_calls)", "{{door}}")],
            stacked=True,
        ),
        lines("Calls by end", "Why calls ended.", [Query(ended, "{{reason}}")], stacked=True),
        lines("Calls refused", "Why calls were not taken.", [Query(refused, "{{reason}}")]),
        lines(
            "Retrievals",
            "How much of the search in documents came in time, and rows that its log lacks.",
            [Query(retrieved, "{{outcome}}"), Query(unlogged, "not logged")],
        ),
        lines(
            "Time of a retrieval",
            "All its stages together.",
            quantiles("tom_retrieval_seconds", '{stage="total"}'),
            "s",
        ),
        lines(
            "Outgoing calls",
            "What became of each attempt, refused ones included.",
            [Query(dialled, "{{outcome}}")],
            stacked=True,
        ),
    ]


def latency() -> list[Panel]:
    """Return the panels about how long a caller waits."""
    guessed = "sum by (outcome) (increase(tom_speculations_total[$__rate_interval]))"
    fillers = "sum(increase(tom_fillers_total[$__rate_interval]))"
    return [
        lines(
            "Voice to voice",
            "From the caller's last sound to the assistant's first.",
            quantiles("tom_turn_latency_seconds", '{stage="total"}'),
            "s",
        ),
        lines(
            "Turn by stage",
            "Mean time of every stage, one upon the other.",
            [Query(STAGE_MEAN, "{{stage}}")],
            "s",
            stacked=True,
        ),
        lines(
            "Answers begun early",
            "What became of them, and callers who had to be asked for a moment's patience.",
            [Query(guessed, "{{outcome}}"), Query(fillers, "one moment, please")],
        ),
        lines(
            "Won by beginning early",
            "Time that an answer begun early spared its caller.",
            quantiles("tom_speculation_won_seconds"),
            "s",
        ),
    ]


def learning() -> list[Panel]:
    """Return the panels about what is learned."""
    shares = f"{PER_VARIANT} (increase(rl_policy_pulls_total[1h]))"
    return [
        number(
            "Exploration",
            "Choices beside the best variant.",
            "max(rl_bandit_exploration_rate)",
            "percentunit",
        ),
        number("Active variants", "Calls may get them.", "max(rl_active_variants_total)"),
        number("Blacklisted", "No call gets them.", "max(rl_blacklisted_variants_total)"),
        number("Feedback", "Events stored.", "sum(increase(rl_feedback_total[$__range]))"),
        number(
            "Unrated",
            "Rewarded calls without a rating.",
            "sum(increase(tom_ratings_missing_total[$__range]))",
        ),
        number(
            "Rated late",
            "Ratings that came after the call.",
            "sum(increase(tom_ratings_late_total[$__range]))",
        ),
        number(
            "Held",
            "Feedback that does not count.",
            "sum(increase(rl_feedback_held_total[$__range]))",
        ),
        number(
            "Success",
            "Mean of the posteriors' means.",
            "avg(rl_policy_success_rate)",
            "percentunit",
        ),
        bars("Mean reward", "Per variant, from -1 to 1.", MEAN_REWARD, "none", -1, 1),
        bars("Mean rating", "Per variant, 1 to 5.", MEAN_RATING, "none", 1, 5),
        bars(
            "Calls with a positive reward",
            "Share per variant.",
            POSITIVE_SHARE,
            "percentunit",
            0,
            1,
        ),
        bars(
            "Traffic split", "Share of the choices per variant.", TRAFFIC_SHARE, "percentunit", 0, 1
        ),
        lines(
            "Choices per hour",
            "Which variants calls got.",
            [Query(shares, "{{policy_variant}}")],
            stacked=True,
        ),
        lines(
            "Success rate",
            "Mean of each variant's posterior.",
            [Query("max by (policy_variant) (rl_policy_success_rate)", "{{policy_variant}}")],
            "percentunit",
        ),
        lines(
            "Propensity of the choices",
            "Low values mean that rarely served variants were served.",
            quantiles("tom_choice_propensity"),
            "percentunit",
        ),
        lines(
            "Blacklist",
            "Variants in service and out of it.",
            [
                Query("max(rl_active_variants_total)", "active"),
                Query("max(rl_blacklisted_variants_total)", "blacklisted"),
            ],
        ),
        lines(
            "Stages",
            "How far the variants have come.",
            [Query("max by (stage) (rl_variants)", "{{stage}}")],
            stacked=True,
        ),
        lines(
            "Guard",
            "What the deploy guard did by itself, and which of its alarms stand.",
            [
                Query("sum by (act) (increase(rl_guard_acts_total[1h]))", "{{act}}"),
                Query("max by (alarm) (rl_guard_alarm)", "alarm: {{alarm}}"),
            ],
        ),
        lines(
            "Shadow",
            "Answers of variants in the shadow, which nobody heard.",
            [Query("sum by (outcome) (increase(rl_shadow_answers_total[1h]))", "{{outcome}}")],
        ),
    ]


def adapters() -> list[Panel]:
    """Return the panels about adapters."""
    routes = "sum by (phase, domain) (increase(tom_adapter_routes_total[1h]))"
    return [
        lines(
            "Roll-outs",
            "Adapters that are anywhere on their way, and how many are loaded.",
            [
                Query('max by (state) (tom_adapters{state!~"retired|rejected"})', "{{state}}"),
                Query("max(tom_adapters_loaded)", "loaded"),
            ],
        ),
        lines(
            "Steps of roll-outs",
            "What the servers did by themselves; drifted and stopped are adapters taken back.",
            [Query("sum by (act) (increase(tom_adapter_steps_total[1h]))", "{{act}}")],
        ),
        lines(
            "Routes",
            "Prompts by the domain that they were sent to, and by what decided.",
            [Query(routes, "{{domain}}: {{phase}}")],
        ),
        lines(
            "Confidence of routes",
            "How sure the adapter router was; a slide is drift.",
            quantiles("tom_adapter_route_confidence"),
        ),
        lines(
            "Continuous learning",
            "Trainings, those that made an adapter, and the quality of what they learned from.",
            [
                Query(
                    "sum by (domain) (increase(tom_adapter_model_updates_total[1d]))", "{{domain}}"
                ),
                Query(
                    "sum by (domain) (increase(tom_adapter_successful_trainings_total[1d]))",
                    "{{domain}}: successful",
                ),
                Query("max by (domain) (tom_adapter_sample_quality)", "{{domain}}: quality"),
            ],
        ),
        lines(
            "Time of a routing decision",
            "Its row in the store included.",
            quantiles("tom_adapter_route_seconds"),
            unit="s",
        ),
    ]


def machinery() -> list[Panel]:
    """Return the panels about engines and the process."""
    restarts = "sum by (engine) (increase(tom_engine_restarts_total[$__rate_interval]))"
    fallbacks = "sum by (role) (increase(tom_fallbacks_total[$__rate_interval]))"
    odd = [
        ("tom_late_events_dropped_total", "late events"),
        ("tom_illegal_events_total", "illegal events"),
        ("tom_event_log_overflow_total", "lost records"),
        ("tom_no_input_total", "no input"),
    ]
    return [
        lines(
            "Engines",
            "1 while an engine serves its role.",
            [Query("min by (role, engine) (tom_engine_up)", "{{role}}: {{engine}}")],
        ),
        lines(
            "Restarts and fallbacks",
            "Engine processes restarted, and answers by an engine of second choice.",
            [Query(restarts, "{{engine}} restarted"), Query(fallbacks, "{{role}} fell back")],
        ),
        lines(
            "Figures held back",
            "What a language model was about to name and no source holds; nobody heard it.",
            [Query("sum by (kind) (increase(tom_grounding_violations_total[1h]))", "{{kind}}")],
        ),
        lines(
            "Event-loop lag",
            "Callers hear gaps from about 60 ms on.",
            [
                *quantiles("tom_event_loop_lag_seconds"),
                Query("max(tom_event_loop_lag_peak_seconds)", "peak"),
            ],
            "s",
        ),
        lines(
            "Odd events",
            "What should be rare.",
            [Query(f"sum(increase({name}[$__rate_interval]))", legend) for name, legend in odd],
        ),
        lines(
            "Memory",
            "Resident, of the server's own process.",
            [Query('max(process_resident_memory_bytes{job="tom"})', "resident")],
            "bytes",
        ),
        lines(
            "CPU",
            "Of the server's own process; 1 is a whole core.",
            [Query('sum(rate(process_cpu_seconds_total{job="tom"}[$__rate_interval]))', "cores")],
        ),
    ]


def language_servers() -> list[Panel]:
    """Return the panels about the language servers."""
    requests = "sum by (provider, outcome) (increase(tom_llm_requests_total[$__rate_interval]))"
    rate = "sum by (le, provider) (rate(tom_llm_first_token_seconds_bucket[$__rate_interval]))"
    tokens = "sum by (provider, direction) (increase(tom_llm_tokens_total[$__rate_interval]))"
    missing = "sum by (provider) (increase(tom_llm_adapter_missing_total[$__rate_interval]))"
    refusing = 'max by (provider) (tom_llm_breaker_state{state!="closed"})'
    return [
        lines(
            "Requests to language servers",
            "By provider and what became of them.",
            [Query(requests, "{{provider}}: {{outcome}}")],
            stacked=True,
        ),
        lines(
            "First token",
            "Time until a provider's first text, 95th percentile.",
            [Query(f"histogram_quantile(0.95, {rate})", "{{provider}}")],
            "s",
        ),
        lines(
            "Tokens",
            "Read and written, estimates among them.",
            [Query(tokens, "{{provider}}: {{direction}}")],
            stacked=True,
        ),
        lines(
            "Cost",
            "In the currency of TOM_LLM_CURRENCY, by the hour.",
            [Query("sum by (provider) (increase(tom_llm_cost_total[1h]))", "{{provider}}")],
        ),
        lines(
            "Providers that are left alone",
            "1 while a circuit breaker is not closed, or probes say that the server is down.",
            [
                Query(refusing, "{{provider}}: breaker"),
                Query("1 - min by (provider) (tom_llm_provider_up)", "{{provider}}: down"),
                Query(missing, "{{provider}}: adapters missing"),
            ],
        ),
    ]


def dashboard() -> str:
    """Return the dashboard as the JSON that is committed."""
    builder = (
        board.Dashboard("TOM")
        .uid("tom")
        .description("Calls, their latency, what is learned from them, and the engines.")
        .tags(["tom"])
        .time("now-24h", "now")
        .refresh("30s")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .with_variable(
            board.DatasourceVariable("datasource").label("Prometheus").type("prometheus")
        )
    )
    sections = {
        "Calls": calls,
        "Latency": latency,
        "Learning": learning,
        "Adapters": adapters,
        "Language servers": language_servers,
        "Machinery": machinery,
    }
    panel_id = 0
    for title, panels in sections.items():
        panel_id += 1
        builder.with_row(board.Row(title).id(panel_id))
        for panel in panels():
            panel_id += 1
            builder.with_panel(panel.id(panel_id))
    return JSONEncoder(sort_keys=True, indent=2).encode(builder.build()) + "\n"


if __name__ == "__main__":
    DASHBOARD.write_text(dashboard(), encoding="utf-8")
