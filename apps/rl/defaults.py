"""What the parts of learning are made of when nobody says otherwise: the settings'.

Only ``PolicyBandit()``, ``DeployGuard()``, ``FeedbackCollector()`` without arguments and the
module-level functions come here; a server hands its own parts over.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from apps.core import secrets
from apps.core.resources import resource
from apps.rl.variants import Catalog, load_catalog
from apps.settings import Settings, load_settings
from apps.store.database import Database, open_database


def settings_catalog(settings: Settings) -> Catalog:
    """Return the policy file's variants and rules, where a setting that is set wins.

    Raises:
        ConfigError: The policy file cannot be used.
    """
    catalog = load_catalog(
        settings.rl_policies_path or resource("policies", "prompt_variants.yaml")
    )
    given = {
        "rl_traffic_split_new": "split_new",
        "rl_traffic_split_uncertain": "split_uncertain",
        "rl_blacklist_threshold": "blacklist_mean",
        "rl_min_pulls_for_blacklist": "blacklist_min_pulls",
    }
    changes = {
        rule: getattr(settings, name)
        for name, rule in given.items()
        if name in settings.model_fields_set
    }
    return replace(catalog, rules=replace(catalog.rules, **changes))


def default_catalog() -> Catalog:
    """Return the catalog of the settings in force."""
    return settings_catalog(load_settings())


def default_database() -> Database:
    """Return the database of the settings in force, migrated once per process and path."""
    return _open(load_settings().rl_feedback_db_path.absolute())


def default_state_path() -> Path:
    """Return where the bandit's snapshot lies."""
    return load_settings().rl_bandit_state_path


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
def _open(path: Path) -> Database:
    # Whoever calls a function on its own closes nothing, and may do so from several event loops.
    return open_database(path, pooled=False)
