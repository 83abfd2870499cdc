"""Every setting of TOM, in one frozen model. Read by main.py, cli and seed 004's functions alone.

Names: a field ``http_port`` is the environment variable ``TOM_HTTP_PORT``; fields that start with
``rl_`` or ``prometheus_`` keep seed 004's names (``RL_ENABLED``, ``PROMETHEUS_PORT``). The fields
stand in the groups beside this file.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from apps.core.errors import ConfigError
from apps.core.resources import resource
from apps.settings.adapters import AdapterSettings
from apps.settings.base import env_name
from apps.settings.calls import CallSettings
from apps.settings.carriers import CarrierSettings
from apps.settings.data import DataSettings
from apps.settings.engines import EngineSettings
from apps.settings.generation import GenerationSettings
from apps.settings.knowledge import KnowledgeSettings
from apps.settings.learning import LearningSettings
from apps.settings.metrics import MetricsSettings
from apps.settings.outgoing import OutgoingSettings
from apps.settings.privacy import PrivacySettings
from apps.settings.server import ServerSettings
from apps.settings.telephony import TelephonySettings

__all__ = ["Settings", "env_name", "load_settings", "read_settings"]


# The last base's fields come first.
class Settings(
    MetricsSettings,
    AdapterSettings,
    LearningSettings,
    GenerationSettings,
    EngineSettings,
    PrivacySettings,
    KnowledgeSettings,
    TelephonySettings,
    CallSettings,
    DataSettings,
    CarrierSettings,
    OutgoingSettings,
    ServerSettings,
):
    """All settings; docs/settings.md is generated from their descriptions."""

    @property
    def store(self) -> Path | str:
        """Where the database is: its file, or its URL.

        Raises:
            ConfigError: It was left behind when the data folder was moved.
        """
        return self.store_url or self._learned("rl_feedback_db_path", "feedback.db")

    @property
    def bandit_state_file(self) -> Path:
        """Where the snapshot of the posteriors lies, which is made anew where there is none."""
        return self.rl_bandit_state_path or self.data_dir / "rl" / "bandit_state.json"

    @property
    def candidates_folder(self) -> Path:
        """Where the trainer puts candidates.

        Raises:
            ConfigError: They were left behind when the data folder was moved.
        """
        return self._learned("rl_candidates_path", "candidates")

    @property
    def adapters_folder(self) -> Path:
        """Where adapters lie."""
        return self.adapter_dir or self.models_dir / "adapters"

    @property
    def profiles_folder(self) -> Path:
        """Where profiles lie: the operator's own, or the sample's."""
        return self.profile_dir / "profiles" if self.profile_dir else resource("profiles")

    @property
    def entries_folder(self) -> Path:
        """Where the knowledge base's entries lie: the operator's own, or the sample's."""
        return self.profile_dir / "knowledge" if self.profile_dir else resource("knowledge")

    @property
    def policies_file(self) -> Path:
        """The prompt variants and their rules: the operator's own, or the sample's."""
        return self.rl_policies_path or resource("policies", "prompt_variants.yaml")

    @property
    def routes_file(self) -> Path:
        """The routes of the adapter router: the operator's own, or the sample's."""
        return self.adapter_routes or resource("policies", "adapter_routes.yaml")

    @property
    def documents_folder(self) -> Path:
        """Where documents lie, a folder a knowledge space in it."""
        return self.kb_dir or (self.profile_dir or self.data_dir) / "documents"

    @property
    def knowledge_store(self) -> Path | str:
        """Where documents' passages are: with all else on a server, else in a file of their own."""
        return self.store_url or self.data_dir / "knowledge" / "knowledge.db"

    @property
    def cache_folder(self) -> Path:
        """Where language models and indexes lie."""
        return self.cache_dir or self.data_dir / "cache"

    def _learned(self, field: str, name: str) -> Path:
        """Return the path that a field sets, or what has this name below the data folder.

        Raises:
            ConfigError: Nothing is there, but something is where it lay before the data folder was
                moved: to begin with nothing would look as if all had been lost.
        """
        given: Path | None = getattr(self, field)
        if given is not None:
            return given
        here = self.data_dir / "rl" / name
        before = Path(type(self).model_fields["data_dir"].default) / "rl" / name
        if _lies(here) or not _holds(before):
            return here
        raise ConfigError(
            f"TOM_DATA_DIR is {self.data_dir}, but {before} lies where it was, and there is no"
            f" {here}.",
            hint=f"Move {before.parent} to {here.parent} while no TOM runs, or set"
            f" {env_name(field)}: to {before} to keep using it, or to {here} to begin anew.",
            code="left_behind",
        )


def _lies(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # whoever opens it says what is wrong
        return True


def _holds(path: Path) -> bool:
    """Return whether something lies there that may be read."""
    try:
        return path.is_file() or any(path.glob("*"))
    except OSError:
        return False


def read_settings(**given: Any) -> Settings:
    """Return the settings of the environment and ``.env``.

    Args:
        **given: Fields that win over both, such as a command's options.

    Raises:
        ConfigError: A value cannot be used.
    """
    try:
        return Settings(**given)
    except ValidationError as error:
        names = sorted({str(problem["loc"][0]) for problem in error.errors()})
        raise ConfigError(
            f"What is set cannot be used: {', '.join(names)}.",
            hint="`tom config check` says what is wrong with it.",
        ) from None


@cache
def load_settings() -> Settings:
    """Return the settings of the environment and ``.env``, read once.

    Raises:
        ConfigError: A value cannot be used.
    """
    return read_settings()
