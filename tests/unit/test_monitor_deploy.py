"""The Prometheus rules, the Grafana dashboard and the documented queries ask for what exists."""

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path

import promql_parser
import pytest
import yaml

from apps.monitor.metric_info import MetricInfo
from apps.monitor.metrics import Metrics

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "deploy/grafana/dashboards/tom.json"
GENERATOR = ROOT / "deploy/grafana/generate.py"
ALERTS = ROOT / "deploy/prometheus/alerts.yml"

# What Prometheus adds of its own.
PROMETHEUS_SERIES = {"up": {"job", "instance"}}
PROMETHEUS_LABELS = {"job", "instance"}


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def alerts() -> list[dict]:
    groups = yaml.safe_load(text(ALERTS))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard_queries() -> Iterator[tuple[str, str]]:
    for panel in json.loads(text(DASHBOARD))["panels"]:
        for target in panel.get("targets", []):
            yield f"panel {panel['title']} {target['refId']}", target["expr"]


def documented_queries() -> list[str]:
    return re.findall(r"```promql\n(.*?)```", text(ROOT / "docs/metrics.md"), re.DOTALL)


def all_queries() -> list:
    """Every query of the project, named after where it stands."""
    named = [
        *dashboard_queries(),
        *((f"alert {rule['alert']}", rule["expr"]) for rule in alerts()),
        *((f"docs {n}", query) for n, query in enumerate(documented_queries())),
    ]
    return [pytest.param(query, id=name) for name, query in named]


def parsed(query: str) -> promql_parser.Expr:
    # Grafana fills these in before Prometheus sees the query.
    plain = query.replace("$__rate_interval", "1m").replace("$__range", "24h")
    return promql_parser.parse(plain)


def selectors(query: str) -> list[promql_parser.VectorSelector]:
    found = []

    def visit(expr):
        if isinstance(expr, promql_parser.MatrixSelector):
            expr = expr.vector_selector
        if isinstance(expr, promql_parser.VectorSelector):
            found.append(expr)

    promql_parser.walk(parsed(query), visit)
    return found


def labels_of_series() -> dict[str, set[str]]:
    known = {series: labels_of(info) for info in Metrics().declared for series in info.series}
    process = {family.name for family in Metrics().registry.collect() if "process" in family.name}
    counters = {f"{name}_total" for name in process}
    return known | PROMETHEUS_SERIES | dict.fromkeys(process | counters, PROMETHEUS_LABELS)


def labels_of(info: MetricInfo) -> set[str]:
    return {*info.labels, *PROMETHEUS_LABELS, *(["le"] if info.kind == "histogram" else [])}


@pytest.mark.parametrize("query", all_queries())
def test_a_query_asks_only_for_series_and_labels_that_exist(query):
    known = labels_of_series()
    found = selectors(query)
    assert found
    for selector in found:
        assert selector.name in known
        asked = {matcher.name for matcher in selector.matchers.matchers}
        assert asked <= known[selector.name]
    grouped = {
        label.strip()
        for labels in re.findall(r"\bby \(([^)]*)\)", query)
        for label in labels.split(",")
    }
    assert grouped <= set.union(*(known[selector.name] for selector in found))


def test_the_bucket_edges_that_queries_name_are_exposed_under_that_name():
    exposed = {le for info in Metrics().declared for le in map(str, info.buckets)} | {"+Inf"}
    asked = {
        matcher.value
        for query in [*documented_queries(), *(query for _, query in dashboard_queries())]
        for selector in selectors(query)
        for matcher in selector.matchers.matchers
        if matcher.name == "le"
    }
    assert asked
    assert asked <= exposed


@pytest.mark.parametrize("query", all_queries())
def test_rates_are_taken_of_counters_and_never_of_gauges(query):
    kinds = {series: info.kind for info in Metrics().declared for series in info.series}
    for name in re.findall(r"\b(?:rate|increase)\(\s*(\w+)", query):
        assert kinds.get(name, "counter") != "gauge"
    for name in re.findall(r"\b(?:delta|\w+_over_time)\(\s*(\w+)", query):
        assert kinds[name] == "gauge"


def test_the_check_itself_finds_a_misspelt_metric():
    assert selectors("rate(tom_turn_latency_secnds_count[5m])")[0].name not in labels_of_series()
    with pytest.raises(ValueError):
        parsed("sum(rate(tom_calls_total[5m])")


def test_the_committed_dashboard_is_what_the_generator_writes():
    spec = importlib.util.spec_from_file_location("generate_dashboard", GENERATOR)
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    assert text(DASHBOARD) == generator.dashboard(), "run deploy/grafana/generate.py"


def test_the_dashboard_shows_what_an_operator_watches():
    shown = {selector.name for _, query in dashboard_queries() for selector in selectors(query)}
    for info in Metrics().declared:
        assert shown & set(info.series), f"no panel shows {info.name}"


def test_every_panel_has_a_title_a_description_and_an_id_of_its_own():
    panels = json.loads(text(DASHBOARD))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["title"]
        assert panel["type"] == "row" or panel["description"]


def test_every_alert_has_a_severity_a_summary_and_a_place_in_the_operators_guide():
    guide = text(ROOT / "docs/operations.md")
    for rule in alerts():
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert set(rule["annotations"]) == {"summary", "description"}
        assert f"`{rule['alert']}`" in guide


def test_every_alert_has_a_trouble_in_which_promtool_expects_it():
    tests = yaml.safe_load(text(ALERTS.with_name("alerts.test.yml")))["tests"]
    quiet, trouble = (case["promql_expr_test"][-1]["exp_samples"] for case in tests)
    expected = {re.search(r'"(\w+)"', sample["labels"]).group(1) for sample in trouble}
    assert expected == {rule["alert"] for rule in alerts()}
    assert quiet == []


def test_prometheus_loads_the_rules_and_scrapes_the_default_port():
    config = yaml.safe_load(text(ROOT / "deploy/prometheus/prometheus.yml"))
    assert config["rule_files"] == [ALERTS.name]
    (job,) = config["scrape_configs"]
    assert job["job_name"] == "tom"
    assert job["metrics_path"] == "/metrics"
    assert job["static_configs"] == [{"targets": ["127.0.0.1:8080"]}]


def test_the_documents_answer_reward_success_and_exploration():
    asked = [{selector.name for selector in selectors(query)} for query in documented_queries()]
    reward = {"rl_reward_gained_total", "rl_reward_lost_total", "rl_reward_distribution_count"}
    success = {"rl_reward_distribution_bucket", "rl_reward_distribution_count"}
    for names in (reward, success, {"rl_bandit_exploration_rate"}):
        assert names in asked
