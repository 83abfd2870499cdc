"""Parts of learning on a database of each test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from apps.core.resources import resource
from apps.rl import defaults
from apps.rl.deploy_guard import DeployGuard
from apps.rl.policy_bandit import PolicyBandit
from apps.rl.variants import Catalog, load_catalog
from apps.settings import load_settings
from apps.store.database import Database, open_database
from apps.store.decisions import DecisionRow, add_decision
from apps.store.feedback import FeedbackKind, FeedbackRow, append_feedback


@dataclass
class Parts:
    """One installation's learning: make as many bandits and guards of it as processes it has."""

    db: Database
    catalog: Catalog
    state_path: Path

    def bandit(self, seed: int = 0) -> PolicyBandit:
        return PolicyBandit(
            self.db,
            catalog=self.catalog,
            state_path=self.state_path,
            rng=np.random.default_rng(seed),
        )

    def guard(self, seed: int = 0, **rules: object) -> DeployGuard:
        changed = replace(self.catalog.rules, **rules)  # type: ignore[arg-type]
        return DeployGuard(self.bandit(), rules=changed, rng=np.random.default_rng(seed))

    def reward(self, rewards: Mapping[str, Sequence[float]]) -> None:
        """Put rewards by hand into the store, all at once."""
        with self.db.transaction() as conn:
            for variant, values in rewards.items():
                for value in values:
                    event = FeedbackRow(uuid4().hex, FeedbackKind.ADMIN, variant, value)
                    append_feedback(conn, event)

    def calls(
        self,
        propensities: Mapping[str, float],
        ends: Iterable[tuple[str, float | None, Sequence[str]]],
    ) -> None:
        """Put calls into the store that have ended: variant, reward (None: abandoned), flags."""
        with self.db.transaction() as conn:
            for variant, reward, flags in ends:
                ref = uuid4().hex
                chosen = DecisionRow(
                    ref, variant, propensities[variant], propensities, {}, "", True, 0
                )
                add_decision(conn, chosen)
                kind = FeedbackKind.ABANDONED if reward is None else FeedbackKind.FEEDBACK
                append_feedback(
                    conn, FeedbackRow(ref, kind, variant, reward, call_ref=ref, flags=flags)
                )


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return load_catalog(resource("policies", "prompt_variants.yaml"))


@pytest.fixture
def parts(new_store: Path | str, tmp_path: Path, catalog: Catalog) -> Iterator[Parts]:
    db = open_database(new_store)
    yield Parts(db, catalog, tmp_path / "bandit_state.json")
    db.close()


@pytest.fixture
def settings_in(
    new_store: Path | str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Path]]:
    """Return a function that puts the settings in force into this test's folder."""

    def put(**env: str) -> Path:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("TOM_DATA_DIR", str(tmp_path / "data"))
        monkeypatch.setenv("RL_FEEDBACK_DB_PATH", str(tmp_path / "data/rl/feedback.db"))
        monkeypatch.setenv("RL_BANDIT_STATE_PATH", str(tmp_path / "data/rl/bandit_state.json"))
        if isinstance(new_store, str):
            monkeypatch.setenv("TOM_STORE_URL", new_store)
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        load_settings.cache_clear()
        return tmp_path

    yield put
    load_settings.cache_clear()
    defaults._open.cache_clear()
