"""In which order the providers are asked, and which are switched off: an operator's choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from apps.core.errors import ConfigError
from apps.llm.gateway.provider import Kind, Provider


@dataclass(frozen=True, slots=True)
class ProviderChoice:
    """What an operator changed; the list itself is the settings'.

    Attributes:
        first: The providers that are asked before all others, in this order.
        off: The providers that are not asked at all.
    """

    first: tuple[str, ...] = ()
    off: frozenset[str] = frozenset()

    def as_dict(self) -> dict[str, object]:
        """Return it as JSON."""
        return {"first": list(self.first), "off": sorted(self.off)}


def read_choice(data: Mapping[str, object]) -> ProviderChoice:
    """Return a choice that `as_dict` wrote; what cannot be read chooses nothing."""
    first, off = data.get("first"), data.get("off")
    return ProviderChoice(tuple(_names(first)), frozenset(_names(off)))


def _names(value: object) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []


def arranged(providers: Sequence[Provider], choice: ProviderChoice) -> tuple[Provider, ...]:
    """Return the providers that are asked, in order; the embedded answerer is always the last.

    Names that are not in the list any more are passed over: a list may change between starts.
    """
    rank = {name: place for place, name in enumerate(choice.first)}
    servers = [p for p in providers if p.kind is not Kind.EMBEDDED and p.name not in choice.off]
    servers.sort(key=lambda provider: rank.get(provider.name, len(rank)))
    return (*servers, *(p for p in providers if p.kind is Kind.EMBEDDED))


def check_choice(providers: Sequence[Provider], choice: ProviderChoice) -> None:
    """Make sure that an operator names servers of the list.

    Raises:
        ConfigError: One is none.
    """
    servers = [provider.name for provider in providers if provider.kind is not Kind.EMBEDDED]
    unknown = sorted({*choice.first, *choice.off} - set(servers))
    if unknown:
        raise ConfigError(
            f"There is no provider {unknown[0]!r}.",
            hint=f"There are {', '.join(servers)}." if servers else "No server is set up.",
            code="unknown_provider",
        )
