"""The domains that prompts are routed to, as docs/policies/adapter_routes.yaml says them.

A domain is what an adapter is for: a profile's id. Its keywords are what only its prompts say, its
examples are what they sound like, and the golden prompts are what no change to either may break.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from apps.rl.yaml_file import mistake, read_yaml

_HINT = "docs/adapter-routing.md has the form."
Text = Annotated[str, Field(min_length=1, max_length=400)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Domain(_Frozen):
    """What tells a domain's prompts from others'.

    Attributes:
        keywords: Words or word groups, each with how surely it means this domain, in (0, 1]. A
            ``*`` at the end stands for any ending: ``zulass*``.
        examples: Prompts of this domain.
    """

    keywords: dict[Text, Annotated[float, Field(gt=0.0, le=1.0)]] = {}
    examples: tuple[Text, ...] = ()


class GoldenPrompt(_Frozen):
    """A prompt whose route is known.

    Attributes:
        prompt: What is asked.
        domain: Where it must go; None for prompts that belong to no domain.
    """

    prompt: Text
    domain: str | None


class Routes(_Frozen):
    """The whole file.

    Attributes:
        domains: By name.
        golden: See ``GoldenPrompt``.
    """

    domains: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,23}$")], Domain]
    golden: tuple[GoldenPrompt, ...] = ()


def load_routes(path: Path) -> Routes:
    """Return what a file says.

    Raises:
        ConfigError: It cannot be used; the message names the line.
    """
    data, lines = read_yaml(path, what="file of adapter routes", hint=_HINT)
    try:
        return Routes.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        raise mistake(path, lines, first["loc"], f"{first['msg']}.", _HINT) from None
