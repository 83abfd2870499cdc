"""Prompt variants and the rules of their traffic, read from ``prompt_variants.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from apps.core.errors import ConfigError
from apps.core.policy import PolicySlots, Treatment
from apps.rl.yaml_file import Lines, mistake, read_yaml

BlacklistRule = Literal["confidence", "threshold", "both"]
VariantId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
ServedName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,99}$")]
_Shown = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$")]
"""Words for people: no control characters, which could write over an operator's terminal."""


@dataclass(frozen=True, slots=True)
class PolicyVariant:
    """One way to hold a call.

    Attributes:
        id: Short and lasting, e.g. ``v1a``.
        name: For people.
        parameters: Values of the policy's slots; one left out has the base variant's value.
        description: What it is for.
        adapter: The name under which the adapter is served that words its answers; None takes
            what is on the route of the call's domain. Only calls that it fits get the variant.
    """

    id: str
    name: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    description: str = ""
    adapter: str | None = None

    @property
    def slots(self) -> PolicySlots:
        """Return the five slots that this variant sets.

        Raises:
            ConfigError: A slot is unknown, or its value is; the variant is named.
        """
        try:
            return PolicySlots.from_parameters(self.parameters)
        except ConfigError as error:
            raise ConfigError(f"Variant {self.id}: {error.message}", hint=error.hint) from None

    @property
    def treatment(self) -> Treatment:
        """Return all that tells this variant from another.

        Raises:
            ConfigError: As ``slots``.
        """
        return Treatment(self.slots, self.adapter)


@dataclass(frozen=True, slots=True)
class Prior:
    """The Beta distribution that each variant's success rate begins with."""

    alpha: float = 1.0
    beta: float = 1.0


@dataclass(frozen=True, slots=True)
class GuardRules:
    """How much traffic variants may get, and when one gets none.

    Attributes:
        base_variant: The variant that is always there.
        split_new: Most of the traffic that all new variants together may get.
        split_uncertain: The same for all uncertain ones.
        exploration_rate: Share of the choices that is spread evenly.
        min_pulls_for_confidence: A variant with fewer pulls is new.
        blacklist_mean: A mean reward below this blacklists...
        blacklist_min_pulls: ...after this many pulls.
        confidence: How sure one must be that a variant's true mean reward is above
            ``blacklist_mean`` before it counts as established by the threshold rule.
        cap_window: Of any so many consecutive decisions the splits hold as hard counts.
        blacklist_rule: What blacklists and establishes: ``confidence`` is the anytime-valid
            comparison with the base variant, ``threshold`` the mean above, ``both`` blacklists by
            either and establishes by both.
        family_error: The chance that any variant is ever blacklisted though it is not worse than
            the base variant, over all variants together.
        margin: By how much an established variant may be worse than the base variant, in rewards.
        regret_budget: What trying variants may cost, as a share of what the base variant alone
            would have earned (rewards counted from -1 on).
        shadow_results: A candidate leaves the shadow after so many scored answers...
        shadow_pass_rate: ...of which this share did nothing that must not be done...
        shadow_score: ...with this mean score.
    """

    base_variant: str = "v1a"
    split_new: float = 0.1
    split_uncertain: float = 0.05
    exploration_rate: float = 0.1
    min_pulls_for_confidence: int = 10
    blacklist_mean: float = -0.2
    blacklist_min_pulls: int = 20
    confidence: float = 0.95
    cap_window: int = 200
    blacklist_rule: BlacklistRule = "confidence"
    family_error: float = 0.05
    margin: float = 0.15
    regret_budget: float = 0.05
    shadow_results: int = 50
    shadow_pass_rate: float = 0.98
    shadow_score: float = 0.6


@dataclass(frozen=True, slots=True)
class Catalog:
    """All that one policy file says, and the candidates beside it.

    Attributes:
        variants: By id, candidates too.
        prior: The posteriors' beginning.
        rules: The deploy guard's.
        candidates: Those of the variants that are only offered: no call gets them before they are
            promoted.
    """

    variants: Mapping[str, PolicyVariant]
    prior: Prior
    rules: GuardRules
    candidates: frozenset[str] = frozenset()

    @property
    def slots(self) -> dict[str, PolicySlots]:
        """Return every variant's slots."""
        return {name: variant.slots for name, variant in self.variants.items()}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Variant(_Strict):
    name: _Shown = Field(min_length=1)
    description: _Shown = ""
    parameters: dict[str, str]
    adapter: ServedName | None = None


class _Bandit(_Strict):
    initial_alpha: float = Field(1.0, gt=0, allow_inf_nan=False)
    initial_beta: float = Field(1.0, gt=0, allow_inf_nan=False)
    exploration_rate: float = Field(0.1, ge=0, le=1)
    min_pulls_for_confidence: int = Field(10, ge=1)


class _Split(_Strict):
    new_variants: float = Field(0.1, ge=0, le=1)
    uncertain_variants: float = Field(0.05, ge=0, le=1)
    base_variant: str


class _Blacklist(_Strict):
    reward_mean: float = Field(-0.2, ge=-1, le=1)
    min_pulls: int = Field(20, ge=1)


class _Deployment(_Strict):
    traffic_split: _Split
    blacklist_threshold: _Blacklist = _Blacklist()


class _File(_Strict):
    variants: dict[VariantId, _Variant] = Field(min_length=1)
    bandit_config: _Bandit = _Bandit()
    deployment: _Deployment


class _Variants(BaseModel):
    """A candidates' file; what else it says of them is for people."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    variants: dict[VariantId, _Variant]


def load_catalog(path: Path) -> Catalog:
    """Read a policy file.

    Raises:
        ConfigError: It cannot be read or used; the line or the variant is named.
    """
    data, lines = read_yaml(
        path,
        what="policy file",
        hint="Set RL_POLICIES_PATH to a file like docs/policies/prompt_variants.yaml.",
    )
    try:
        file = _File.model_validate(data)
    except ValidationError as error:
        raise _first(path, lines, error) from None
    return _catalog(path, lines, file)


def load_variants(path: Path) -> dict[str, PolicyVariant]:
    """Read the ``variants`` of a file, as the trainer writes its candidates.

    Raises:
        ConfigError: It cannot be read or used; the line or the variant is named.
    """
    data, lines = read_yaml(path)
    try:
        file = _Variants.model_validate(data)
    except ValidationError as error:
        raise _first(path, lines, error) from None
    return _variants(path, lines, file.variants)


def _first(path: Path, lines: Lines, error: ValidationError) -> ConfigError:
    """Return the first thing that is wrong with a file, in words of the file's own."""
    first = error.errors()[0]
    if not first["loc"]:
        return mistake(path, lines, (), "It must be a mapping that has `variants`.")
    return mistake(path, lines, first["loc"], first["msg"])


def _catalog(path: Path, lines: Lines, file: _File) -> Catalog:
    variants = _variants(path, lines, file.variants)
    split, blacklist = file.deployment.traffic_split, file.deployment.blacklist_threshold
    if split.base_variant not in variants:
        where = ("deployment", "traffic_split", "base_variant")
        raise mistake(path, lines, where, f"There is no variant {split.base_variant!r}.")
    if split.new_variants + split.uncertain_variants > 1:
        raise mistake(
            path,
            lines,
            ("deployment", "traffic_split"),
            "The two splits together are more than all traffic.",
        )
    bandit = file.bandit_config
    return Catalog(
        variants,
        Prior(bandit.initial_alpha, bandit.initial_beta),
        GuardRules(
            base_variant=split.base_variant,
            split_new=split.new_variants,
            split_uncertain=split.uncertain_variants,
            exploration_rate=bandit.exploration_rate,
            min_pulls_for_confidence=bandit.min_pulls_for_confidence,
            blacklist_mean=blacklist.reward_mean,
            blacklist_min_pulls=blacklist.min_pulls,
        ),
    )


def _variants(path: Path, lines: Lines, said: Mapping[str, _Variant]) -> dict[str, PolicyVariant]:
    variants = {
        name: PolicyVariant(name, v.name, v.parameters, v.description, v.adapter)
        for name, v in said.items()
    }
    for name, variant in variants.items():
        try:
            _ = variant.slots
        except ConfigError as error:
            raise mistake(path, lines, ("variants", name), error.message, error.hint) from None
    return variants
