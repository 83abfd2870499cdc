"""What Prometheus gets to see, and what it must never see."""

import math

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from apps.core.errors import ConfigError
from apps.monitor import metrics as module
from apps.monitor.endpoint import serve_metrics
from apps.monitor.metric_info import REWARD_BUCKETS, STAGES, TURN_BUCKETS_S
from apps.monitor.metrics import Metrics

SEED_METRICS = {
    "rl_feedback_total": "counter",
    "rl_reward_distribution": "histogram",
    "rl_user_rating_distribution": "histogram",
    "rl_policy_pulls_total": "counter",
    "rl_policy_success_rate": "gauge",
    "rl_bandit_exploration_rate": "gauge",
    "rl_active_variants_total": "gauge",
    "rl_blacklisted_variants_total": "gauge",
}

# What a label may say; anything else would let the number of series grow with the calls.
BOUNDED_LABELS = {"kind", "policy_variant", "stage", "engine", "role", "door", "reason"}
BOUNDED_LABELS |= {"covered", "outcome", "act", "alarm", "state", "provider", "direction"}
BOUNDED_LABELS |= {"phase", "domain"}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def samples(metrics: Metrics) -> dict[str, float]:
    """Read the exposition as Prometheus would: series with sorted labels to value."""
    text = metrics.exposition()[0].decode()
    return {
        sample.name + "".join(f"|{k}={v}" for k, v in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_eight_learning_metrics_keep_their_names_and_kinds(metrics):
    kinds = {info.name: info.kind for info in metrics.declared}
    assert {name: kinds.get(name) for name in SEED_METRICS} == SEED_METRICS


def test_every_declared_metric_is_exposed_under_its_declared_names(metrics):
    observe_everything(metrics)
    exposed = {key.partition("|")[0] for key in samples(metrics)}
    declared = {series for info in metrics.declared for series in info.series}
    assert declared <= exposed
    assert {name for name in exposed if not name.startswith("process_")} <= declared


def test_labels_are_of_the_bounded_kinds_alone(metrics):
    assert {label for info in metrics.declared for label in info.labels} <= BOUNDED_LABELS


def test_names_carry_their_base_unit_and_counters_end_in_total(metrics):
    for info in metrics.declared:
        assert info.help.endswith(".")
        assert (info.kind == "counter") <= info.name.endswith("_total")
        assert not info.name.endswith(("_ms", "_milliseconds"))


def test_a_reward_is_counted_in_the_bucket_that_the_blacklist_looks_at(metrics):
    metrics.rewarded("v1a", -0.2, rating=1)
    metrics.rewarded("v1a", 0.7, rating=5)
    seen = samples(metrics)
    assert seen["rl_reward_distribution_bucket|le=-0.2|policy_variant=v1a"] == 1
    assert seen["rl_reward_distribution_bucket|le=0.8|policy_variant=v1a"] == 2
    assert seen["rl_reward_distribution_count|policy_variant=v1a"] == 2
    assert seen["rl_user_rating_distribution_bucket|le=1.0|policy_variant=v1a"] == 1
    assert seen["rl_user_rating_distribution_count|policy_variant=v1a"] == 2


def test_known_variants_begin_at_zero_so_that_their_first_call_shows_as_an_increase(metrics):
    metrics.know_variants(["v1a", "v1b"])
    seen = samples(metrics)
    for name in ("rl_feedback_total", "rl_policy_pulls_total", "rl_reward_distribution_count"):
        assert seen[f"{name}|policy_variant=v1a"] == 0
        assert seen[f"{name}|policy_variant=v1b"] == 0
    assert "rl_policy_success_rate|policy_variant=v1a" not in seen


def test_known_doors_and_reasons_begin_at_zero_too(metrics):
    metrics.know_calls(doors=["websocket"], ends=["completed", "failure"], refusals=["busy"])
    seen = samples(metrics)
    assert seen["tom_calls_total|door=websocket|reason=failure"] == 0
    assert seen["tom_calls_refused_total|door=websocket|reason=busy"] == 0
    assert "tom_calls_refused_total|door=websocket|reason=failure" not in seen


def test_a_step_of_an_adapter_shows_as_0_before_it_happens(metrics):
    # An increase from nothing to 1 is none to Prometheus, and the alert would miss the first one.
    metrics.rollout.know_steps(["stopped"])
    seen = samples(metrics)
    assert seen["tom_adapter_steps_total|act=stopped"] == 0
    assert "tom_adapter_steps_total|act=drifted" not in seen


@settings(max_examples=10, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=20))
def test_the_mean_reward_can_be_had_from_sums_that_never_fall(rewards):
    metrics = Metrics()
    before = (0.0, 0.0)
    for reward in rewards:
        metrics.rewarded("v1a", reward, rating=None)
        seen = samples(metrics)
        sums = (
            seen["rl_reward_gained_total|policy_variant=v1a"],
            seen["rl_reward_lost_total|policy_variant=v1a"],
        )
        assert sums[0] >= before[0]
        assert sums[1] >= before[1]
        before = sums
    mean = (before[0] - before[1]) / seen["rl_reward_distribution_count|policy_variant=v1a"]
    assert mean == pytest.approx(sum(rewards) / len(rewards), abs=1e-9)


def test_a_reward_without_a_rating_is_counted_as_missing_one(metrics):
    metrics.rewarded("v2b", 0.4, rating=None)
    seen = samples(metrics)
    assert seen["tom_ratings_missing_total|policy_variant=v2b"] == 1
    assert not any(key.startswith("rl_user_rating_distribution") for key in seen)


def test_a_choice_is_counted_with_the_probability_it_was_made_with(metrics):
    metrics.policy_chosen("v1a", 0.93)
    metrics.policy_chosen("v3c", 0.02)
    seen = samples(metrics)
    assert seen["rl_policy_pulls_total|policy_variant=v1a"] == 1
    assert seen["rl_policy_pulls_total|policy_variant=v3c"] == 1
    assert seen["tom_choice_propensity_bucket|le=0.02"] == 1


def test_gauges_say_the_latest_value(metrics):
    metrics.stages({"new": 3, "paused": 0})
    metrics.stages({"new": 2, "paused": 1})
    metrics.alarms({"rollback": True})
    metrics.alarms({"rollback": False})
    metrics.variants(active=12, blacklisted=0)
    metrics.variants(active=11, blacklisted=1)
    metrics.exploration_rate(0.25)
    metrics.success_rate("v1a", 0.5)
    metrics.success_rate("v1a", 0.75)
    seen = samples(metrics)
    assert seen["rl_active_variants_total"] == 11
    assert seen["rl_blacklisted_variants_total"] == 1
    assert (seen["rl_variants|stage=new"], seen["rl_variants|stage=paused"]) == (2, 1)
    assert seen["rl_guard_alarm|alarm=rollback"] == 0
    assert seen["rl_bandit_exploration_rate"] == 0.25
    assert seen["rl_policy_success_rate|policy_variant=v1a"] == 0.75


def test_live_calls_rise_and_fall_with_the_calls(metrics):
    metrics.call_started("websocket")
    metrics.call_started("websocket")
    metrics.call_ended("websocket", "goodbye")
    metrics.call_refused("websocket", "busy")
    seen = samples(metrics)
    assert seen["tom_live_calls"] == 1
    assert seen["tom_door_calls|door=websocket"] == 1
    assert seen["tom_calls_total|door=websocket|reason=goodbye"] == 1
    assert seen["tom_calls_refused_total|door=websocket|reason=busy"] == 1


@pytest.mark.parametrize("stage", STAGES)
def test_milliseconds_of_a_turn_are_exposed_in_seconds(metrics, stage):
    metrics.turn_stage(stage, 640.0)
    seen = samples(metrics)
    assert seen[f"tom_turn_latency_seconds_sum|stage={stage}"] == pytest.approx(0.64)
    assert seen[f"tom_turn_latency_seconds_bucket|le=0.6|stage={stage}"] == 0
    assert seen[f"tom_turn_latency_seconds_bucket|le=0.75|stage={stage}"] == 1


def test_the_latency_target_and_the_blacklist_threshold_are_bucket_edges():
    assert 0.9 in TURN_BUCKETS_S
    assert {-0.2, 0.0} <= set(REWARD_BUCKETS)
    for buckets in (TURN_BUCKETS_S, REWARD_BUCKETS):
        assert list(buckets) == sorted(set(buckets))


def test_questions_are_counted_by_whether_the_knowledge_covers_them(metrics):
    metrics.question_asked(covered=True)
    metrics.question_asked(covered=False)
    metrics.question_asked(covered=False)
    seen = samples(metrics)
    assert seen["tom_questions_total|covered=yes"] == 1
    assert seen["tom_questions_total|covered=no"] == 2


def test_an_engine_that_is_down_is_zero_and_not_absent(metrics):
    serves = True
    metrics.watch_engine("stt.en", "pocketsphinx", lambda: serves)
    assert samples(metrics)["tom_engine_up|engine=pocketsphinx|role=stt.en"] == 1
    serves = False
    assert samples(metrics)["tom_engine_up|engine=pocketsphinx|role=stt.en"] == 0


def test_a_watched_engine_begins_with_no_restarts(metrics):
    metrics.watch_engine("tts.en", "espeak", lambda: True)
    assert samples(metrics)["tom_engine_restarts_total|engine=espeak"] == 0
    metrics.engine_restarted("espeak")
    assert samples(metrics)["tom_engine_restarts_total|engine=espeak"] == 1


def test_two_servers_in_one_process_do_not_share_their_numbers():
    first, second = Metrics(), Metrics()
    first.barge_in()
    assert samples(first)["tom_barge_ins_total"] == 1
    assert samples(second)["tom_barge_ins_total"] == 0


def test_the_convenience_functions_change_the_process_own_metrics():
    module.default_metrics.cache_clear()
    module.record_feedback("v1a")
    module.record_reward("v1a", 0.6, rating=4)
    module.record_policy_pull("v1a", propensity=0.5)
    module.update_policy_success_rate("v1a", 0.8)
    module.update_exploration_rate(0.1)
    module.update_variant_counts(active=12, blacklisted=0)
    text = module.metrics_text().decode()
    module.default_metrics.cache_clear()
    for line in (
        'rl_feedback_total{policy_variant="v1a"} 1.0',
        'rl_reward_distribution_count{policy_variant="v1a"} 1.0',
        'rl_user_rating_distribution_sum{policy_variant="v1a"} 4.0',
        'rl_policy_pulls_total{policy_variant="v1a"} 1.0',
        'rl_policy_success_rate{policy_variant="v1a"} 0.8',
        "rl_bandit_exploration_rate 0.1",
        "rl_active_variants_total 12.0",
        "rl_blacklisted_variants_total 0.0",
    ):
        assert line in text.splitlines()


async def test_a_port_of_their_own_serves_the_metrics_and_nothing_else(metrics):
    metrics.barge_in()
    async with serve_metrics(metrics, "127.0.0.1", 0, "t" * 32) as port:
        at = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=at, trust_env=False) as client:
            found = await client.get("/metrics")
            other = await client.get("/")
    assert found.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "tom_barge_ins_total 1.0" in found.text.splitlines()
    assert other.status_code == 404
    async with httpx.AsyncClient(base_url=at, trust_env=False) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("/metrics")


async def test_other_machines_need_the_operator_token_for_the_metrics(metrics):
    """A name that was made to point at this machine stands for another machine here."""
    foreign = {"Host": "rebound.example:9100"}
    async with (
        serve_metrics(metrics, "127.0.0.1", 0, "t" * 32) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        refused = await client.get("/metrics", headers=foreign)
        wrong = await client.get("/metrics", headers={**foreign, "Authorization": "Bearer x"})
        token = {**foreign, "Authorization": f"Bearer {'t' * 32}"}
        allowed = await client.get("/metrics", headers=token)
    assert [answer.status_code for answer in (refused, wrong, allowed)] == [403, 403, 200]
    assert "tom_" not in refused.text


async def test_a_port_that_answers_goes_on_while_the_event_loop_hangs(metrics):
    async with serve_metrics(metrics, "127.0.0.1", 0, "t" * 32) as port:
        with httpx.Client(trust_env=False, timeout=5) as client:
            found = client.get(f"http://127.0.0.1:{port}/metrics")  # noqa: ASYNC212 - blocks it
    assert found.status_code == 200


async def test_a_scrape_that_fails_is_not_printed_with_its_address(metrics, capfd, monkeypatch):
    def broken():
        raise BrokenPipeError

    monkeypatch.setattr(metrics, "exposition", broken)
    async with (
        serve_metrics(metrics, "127.0.0.1", 0, "t" * 32) as port,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get(f"http://127.0.0.1:{port}/metrics")
    assert "Exception occurred" not in capfd.readouterr().err


async def test_a_taken_metrics_port_is_a_clear_error(metrics):
    async with serve_metrics(metrics, "127.0.0.1", 0, "t" * 32) as port:
        with pytest.raises(ConfigError, match=str(port)) as error:
            async with serve_metrics(metrics, "127.0.0.1", port, "t" * 32):
                pass
    assert "PROMETHEUS_PORT" in error.value.hint


def observe_everything(metrics: Metrics) -> None:
    metrics.feedback_stored("v1a")
    metrics.rewarded("v1a", 0.5, rating=4)
    metrics.rewarded("v1a", 0.5, rating=None)
    metrics.feedback_held("burst")
    metrics.shadow_answered(True)
    metrics.rated_late("v1a", 4)
    metrics.policy_chosen("v1a", 0.9)
    metrics.success_rate("v1a", 0.5)
    metrics.exploration_rate(0.1)
    metrics.guard_acted("pause")
    metrics.rollout.adapter_stepped("loaded")
    metrics.rollout.adapters({"active": 1}, loaded=1)
    metrics.adapters.adapter_routed("bandit", "kfz", 0.5, 0.002)
    metrics.adapters.model_update("kfz", True)
    metrics.adapters.sample_quality("kfz", 0.4)
    metrics.llm.know(["vllm"], ["answered"])
    metrics.llm.watch("vllm", lambda: True, lambda: "closed")
    metrics.stages({"new": 3})
    metrics.alarms({"rollback": False})
    metrics.variants(active=1, blacklisted=0)
    metrics.call_started("websocket")
    metrics.call_ended("websocket", "goodbye")
    metrics.call_refused("websocket", "busy")
    metrics.turn_stage("total", 500)
    metrics.question_asked(covered=True)
    metrics.barge_in()
    metrics.outgoing_attempt("busy")
    metrics.no_input()
    metrics.handover()
    metrics.watch_engine("stt.en", "fake", lambda: True)
    metrics.engine_restarted("fake")
    metrics.fell_back("llm")
    metrics.loop_lag(0.01, 0.02)
    metrics.late_event_dropped()
    metrics.illegal_event()
    metrics.log_overflowed(3)
    assert math.isclose(samples(metrics)["tom_event_log_overflow_total"], 3)
