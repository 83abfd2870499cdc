"""What is known of an adapter: what its training says, and what the registry adds to that."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from apps.core.errors import ConfigError

TRAINED_FILE = "adapter.json"
"""Lies beside the weights: what training (or the arithmetic of composites) says of them."""

SHA_LENGTH = 12
"""Digits of the weights' SHA-256 in the name under which an adapter is served."""

ANY_DOMAIN = "general"
"""An adapter of this domain is for calls of every profile."""

Method = Literal["lora", "qlora", "dora", "kto", "additive", "weighted", "sequential"]
"""How the weights came to be; the last three are composites of others."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Domain = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,23}$")]

_ID = r"^([a-z0-9][a-z0-9_-]{0,23})/([a-z]+)-r([1-9][0-9]{0,3})-v([1-9][0-9]{0,3})$"


class AdapterState(StrEnum):
    """How far an adapter has come; ``rollout/machine.py`` is the table of what leads where."""

    TRAINED = "trained"
    """Registered: its files are there, and nothing was tried with it."""
    EVALUATED = "evaluated"
    """Its held-out loss and the golden prompts are good enough."""
    LOADING = "loading"
    """The language server is to load it."""
    SMOKE = "smoke"
    """It is loaded, and a first answer by it is awaited."""
    SHADOW = "shadow"
    """It answers real turns, which nobody hears."""
    CANARY = "canary"
    """Few calls have it, within the deploy guard's caps."""
    ACTIVE = "active"
    """New calls of its domain have it, but those of the control share."""
    STANDBY = "standby"
    """It was active before, and stays loaded until the one that took its place is confirmed."""
    DRAINING = "draining"
    """No new call gets it; those under way keep it."""
    UNLOADING = "unloading"
    """The language server is to let go of it."""
    RETIRED = "retired"
    """It had its time."""
    REJECTED = "rejected"
    """It did not pass before any caller heard it."""
    ROLLED_BACK = "rolled_back"
    """It was taken back, by the guard, by drift or by hand."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TrainedAdapter(_Frozen):
    """What ``adapter.json`` says beside an adapter's weights.

    Attributes:
        domain: The profiles whose calls it is for; ``general`` is for all.
        method: How it was made.
        rank: The LoRA rank r.
        precision: Of the weights as they are served, e.g. ``bf16``.
        base_model: The base model's name or folder, for people.
        base_model_hash: See ``hashing.base_model_hash``.
        tokenizer_hash: See ``hashing.tokenizer_hash``.
        metrics: Of its training and evaluation, e.g. ``loss_dev``, ``ppl_dev``.
        dataset_ref: The file that it learned from.
        dataset_sha256: That file's; empty for a composite.
        calls: Keyed hashes of the calls behind it, so that erasure can reach it.
        parents: Ids of the adapters that it was made of, or trained on from.
        environment: Versions of what trained it, by package.
        config: What it was trained with (learning rate, epochs, weights of a composite, ...).
    """

    domain: tuple[Domain, ...] = Field(min_length=1)
    method: Method
    rank: int = Field(ge=1, le=9999)
    precision: str = Field(min_length=1, max_length=16)
    base_model: str = ""
    base_model_hash: Sha256
    tokenizer_hash: Sha256
    metrics: dict[str, float] = {}
    dataset_ref: str = ""
    dataset_sha256: Sha256 | Literal[""] = ""
    calls: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    config: dict[str, str | int | float | bool | None] = {}


class AdapterRecord(TrainedAdapter):
    """One entry of the registry.

    Attributes:
        id: ``<domain>/<method>-rX-vY``; its folder's path below the adapters' folder, too.
        served: The name under which a server serves it: ``<id>-<sha12>``, a slash being a ``-``.
            It names these weights for ever.
        sha256: Of all its files together; see ``hashing.weights_hash``.
        files: SHA-256 of each of its files, by name.
        signature: Of all the above; see ``signing.py``.
        state: How far it has come.
        why: A sentence on that.
        state_hour: Since when, in UTC, cut to the hour.
        registered_hour: When it was registered.
    """

    id: str = Field(pattern=_ID)
    served: str
    sha256: Sha256
    files: dict[str, Sha256]
    signature: str
    state: AdapterState = AdapterState.TRAINED
    why: str = ""
    state_hour: str = ""
    registered_hour: str = ""


def adapter_id(domain: str, method: str, rank: int, version: int) -> str:
    """Return the id of a version of an adapter."""
    return f"{domain}/{method}-r{rank}-v{version}"


def version_of(found: str) -> int:
    """Return an id's version.

    Raises:
        ConfigError: It is no adapter's id.
    """
    match = re.fullmatch(_ID, found)
    if match is None:
        raise ConfigError(
            f"{found!r} is no adapter's id.",
            hint="Ids look like `residents/lora-r16-v1`; `tom adapters list` shows them.",
        )
    return int(match.group(4))


def served_name(found: str, sha256: str) -> str:
    """Return the immutable name under which these weights are served."""
    return f"{found.replace('/', '-')}-{sha256[:SHA_LENGTH]}"
