"""The trainer's candidates: YAML files in a folder, each with ``variants`` as the policy file has.

A file that cannot be used keeps nobody from being served: it is passed over, and said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import structlog

from apps.core.errors import ConfigError
from apps.rl.variants import Catalog, PolicyVariant, load_variants

log = structlog.get_logger(__name__)


def with_candidates(catalog: Catalog, folder: Path) -> Catalog:
    """Return a catalog that knows the candidates in a folder too.

    A variant of the policy file wins over a candidate of the same id: its operator has taken it
    over. Of two candidates of one id the first file's is taken, since an id never gets another
    meaning.

    Args:
        catalog: The policy file's.
        folder: Where the ``*.yaml`` files lie; none of them when it does not exist.
    """
    found: dict[str, PolicyVariant] = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            offered = load_variants(path)
        except ConfigError as error:
            log.warning("candidates_not_read", file=path.name, error=error.message, hint=error.hint)
            continue
        for name, variant in offered.items():
            known = catalog.variants.get(name) or found.get(name)
            if known is not None and known.treatment != variant.treatment:
                log.warning("candidate_id_is_taken", file=path.name, variant=name)
            found.setdefault(name, variant)
    fresh = {name: found[name] for name in found if name not in catalog.variants}
    return replace(
        catalog,
        variants={**catalog.variants, **fresh},
        candidates=catalog.candidates | set(fresh),
    )


def same_treatment(variant: PolicyVariant, others: Mapping[str, PolicyVariant]) -> list[str]:
    """Return who else holds a call exactly as this variant does."""
    return [
        name
        for name, other in others.items()
        if name != variant.id and other.treatment == variant.treatment
    ]
