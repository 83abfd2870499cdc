"""What the parts of learning are made of when nobody says otherwise: the settings'.

Only ``PolicyBandit()``, ``DeployGuard()``, ``FeedbackCollector()`` without arguments and the
module-level functions come here; a server hands its own parts over.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from apps.core import secrets
from apps.rl.abuse import Limits
from apps.rl.guard.candidates import with_candidates
from apps.rl.policies import Policy, new_policy
from apps.rl.variants import Catalog, Prior, load_catalog
from apps.settings import Settings, load_settings
from apps.store.database import Database, open_database
from apps.store.purpose import is_sandbox

_looked_at: ContextVar[Path | None] = ContextVar("looked_at", default=None)


def settings_catalog(settings: Settings) -> Catalog:
    """Return the policy file's variants and rules, where a setting that is set wins.

    The candidates in ``RL_CANDIDATES_PATH`` are among the variants.

    Raises:
        ConfigError: The policy file cannot be used.
    """
    catalog = load_catalog(settings.policies_file)
    given = {
        "rl_traffic_split_new": "split_new",
        "rl_traffic_split_uncertain": "split_uncertain",
        "rl_blacklist_threshold": "blacklist_mean",
        "rl_min_pulls_for_blacklist": "blacklist_min_pulls",
        "rl_cap_window": "cap_window",
        "rl_blacklist_rule": "blacklist_rule",
        "rl_regret_budget": "regret_budget",
    }
    changes = {
        rule: getattr(settings, name)
        for name, rule in given.items()
        if name in settings.model_fields_set
    }
    catalog = replace(catalog, rules=replace(catalog.rules, **changes))
    return with_candidates(catalog, settings.candidates_folder)


def settings_limits(settings: Settings) -> Limits:
    """Return how much feedback of one caller counts, and what is held."""
    return Limits(
        per_hour=settings.rl_caller_events_per_hour,
        per_day=settings.rl_caller_rewards_per_day,
        share=settings.rl_caller_share,
        quality_floor=settings.rl_quality_floor,
        winsorise=settings.rl_winsorise,
        elsewhere=settings.rl_feedback_elsewhere,
    )


def feedback_limits() -> Limits:
    """Return the limits of the settings in force."""
    return settings_limits(load_settings())


def settings_policy(settings: Settings, prior: Prior) -> Policy:
    """Return the policy that the settings name, before it has learned anything."""
    half_life = settings.rl_forgetting or None
    return new_policy(settings.rl_policy, half_life=half_life, alpha=prior.alpha, beta=prior.beta)


def default_policy(prior: Prior) -> Policy:
    """Return the policy of the settings in force."""
    return settings_policy(load_settings(), prior)


def default_catalog() -> Catalog:
    """Return the catalog of the settings in force."""
    return settings_catalog(load_settings())


def default_database() -> Database:
    """Return the database of the settings in force, migrated once per process and path."""
    where = _looked_at.get() or load_settings().store
    return _open(where if isinstance(where, str) else where.absolute())


@contextmanager
def looking_at(store: Path | None) -> Iterator[None]:
    """Take another store's file for the settings' own meanwhile; None changes nothing."""
    before = _looked_at.set(store)
    try:
        yield
    finally:
        _looked_at.reset(before)


def default_state_path(db: Database) -> Path:
    """Return where a store's snapshot lies: that of the settings, for their own store.

    Snapshots of a sandbox, or of another file, lie beside it, so that none takes another's place.
    """
    settings = load_settings()
    store, file = settings.store, Path(db.name)
    own = isinstance(store, Path) and store.absolute() == file.absolute()
    with db.reading() as conn:
        if (own or not db.is_sqlite) and not is_sandbox(conn):
            return settings.bandit_state_file
    return state_path_beside(file)


def state_path_beside(store: Path) -> Path:
    """Return where the snapshot of a store's file lies that is not the settings' own."""
    return store.with_suffix(".snapshots") / "bandit_state.json"


def learning_enabled() -> bool:
    """Return whether calls may get other variants than the base variant."""
    return load_settings().rl_enabled


def default_hash_key() -> bytes:
    """Return the installation's hashing key."""
    settings = load_settings()
    return secrets.load_or_create(
        settings.data_dir, settings.hash_key, settings.operator_token
    ).hash_key


@lru_cache(maxsize=8)
def _open(where: Path | str) -> Database:
    # Whoever calls a function on its own closes nothing.
    return open_database(where, pooled=False)
