"""Learning, by seed 004's names."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from apps.settings.base import SettingsGroup, Share


class LearningSettings(SettingsGroup):
    """Learning, by seed 004's names."""

    rl_enabled: bool = Field(
        True, description="False serves the base variant to everybody and learns nothing."
    )
    rl_feedback_db_path: Path | None = Field(
        None,
        description="TOM's database: calls, decisions, feedback;"
        " `rl/feedback.db` in TOM_DATA_DIR when unset.",
    )
    store_url: str = Field(
        "",
        description="PostgreSQL instead of that file: `postgresql://user:password@host/database`"
        " (needs the extra `postgres`); for workers on several machines.",
        json_schema_extra={"secret": True},
    )
    rl_bandit_state_path: Path | None = Field(
        None,
        description="Snapshot of the posteriors; rebuildable."
        " `rl/bandit_state.json` in TOM_DATA_DIR when unset.",
    )
    rl_policies_path: Path | None = Field(
        None, description="Prompt variants; docs/policies/prompt_variants.yaml when unset."
    )
    rl_policy: Literal["nig", "beta", "linear", "linear-ucb"] = Field(
        "nig",
        description="How variants are learned: by their rewards alone (nig, or seed 004's"
        " beta), or by slots and context too (linear, linear-ucb).",
    )
    rl_forgetting: int = Field(
        0,
        ge=0,
        description="A reward counts half after this many further rewards; 0 forgets nothing.",
    )
    rl_traffic_split_new: Share = Field(
        0.1,
        description="Most of the traffic that all new variants together may get."
        " When set, this and the next three win over the policy file.",
    )
    rl_traffic_split_uncertain: Share = Field(
        0.05, description="The same for all uncertain variants together."
    )
    rl_blacklist_threshold: float = Field(
        -0.2, ge=-1.0, le=1.0, description="A mean reward below this blacklists a variant..."
    )
    rl_min_pulls_for_blacklist: int = Field(20, ge=1, description="...after this many pulls.")
    rl_blacklist_rule: Literal["confidence", "threshold", "both"] = Field(
        "confidence",
        description="What blacklists: `confidence`, being surely worse than the base variant;"
        " `threshold`, the mean reward above; `both`, either of them.",
    )
    rl_cap_window: int = Field(
        200,
        ge=20,
        le=10_000,
        description="Of any so many consecutive calls the traffic splits hold as hard counts.",
    )
    rl_regret_budget: Share = Field(
        0.05,
        description="What trying variants may cost, as a share of what the base variant alone"
        " would have earned; then it serves alone until that is made good. 1 is no limit.",
    )
    rl_candidates_path: Path | None = Field(
        None,
        description="Where the trainer puts candidates, as YAML files with `variants`;"
        " `rl/candidates` in TOM_DATA_DIR when unset.",
    )
    rl_shadow_share: Share = Field(
        0.25,
        description="Share of answered turns that a variant in the shadow answers too, unheard.",
    )

    rl_reward_window_s: int = Field(
        86_400,
        ge=0,
        le=2_592_000,
        description="Seconds after a call's end in which its rating still counts; 0 for none.",
    )
    rl_caller_events_per_hour: int = Field(
        4, ge=1, description="Feedback of one caller within an hour; more is held as a burst."
    )
    rl_caller_rewards_per_day: int = Field(
        6, ge=1, description="Rewards of one caller that count within 24 hours."
    )
    rl_caller_share: float = Field(
        0.05,
        gt=0.0,
        le=1.0,
        description="Largest share of one caller among the latest rewards of a variant.",
    )
    rl_quality_floor: Share = Field(
        0.5, description="Feedback whose quality score is below this is held; 0 holds none for it."
    )
    rl_winsorise: float = Field(
        2.0,
        ge=0.0,
        description="Robust standard deviations from a variant's median reward at which further"
        " rewards are cut; 0 cuts none.",
    )
    rl_feedback_elsewhere: Share = Field(
        0.1,
        description="Largest share of calls that did not run here among a variant's latest rewards,"
        " once any call has run here.",
    )
    rl_seed: int | None = Field(
        None, description="Seeds the choice of variants, for demonstrations and tests alone."
    )
