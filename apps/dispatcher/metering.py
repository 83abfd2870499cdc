"""Puts down what a call's answers cost: a row in the store, a record in the call's log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from apps.core.ids import DEFAULT_TENANT
from apps.dispatcher.call_log import CallLog
from apps.llm.usage import Account, Usage
from apps.store.llm_usage import UsageRow


@dataclass(frozen=True, slots=True)
class Meter:
    """Opens the accounts of one call's answers.

    Args:
        log: The call's event log.
        put: Takes the rows for the store; None where nobody keeps them.
        tenant: Whose call it is.
    """

    log: CallLog
    put: Callable[[UsageRow], None] | None = None
    tenant: str = DEFAULT_TENANT

    def account(self) -> Account:
        """Return a new account, for one answer."""
        return Account(self._post)

    def _post(self, usage: Usage, turn_id: int | None) -> None:
        if usage.purpose == "answer":
            self._note(usage, turn_id)
        if self.put is not None:
            self.put(usage_row(usage, self.log.call_ref, turn_id, self.tenant))

    def _note(self, usage: Usage, turn_id: int | None) -> None:
        adapter = {"adapter": usage.adapter} if usage.adapter else {}
        missing = {"adapter_missing": True} if usage.adapter_missing else {}
        failed = {"code": usage.code} if usage.code else {}
        self.log.note(
            "answer.provider",
            turn_id,
            provider=usage.provider,
            model=usage.model,
            outcome=usage.outcome.value,
            first_token_ms=usage.first_token_ms,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            **adapter,
            **missing,
            **failed,
        )


def usage_row(
    usage: Usage, call_ref: str | None, turn_id: int | None, tenant: str = DEFAULT_TENANT
) -> UsageRow:
    """Return what a request cost as a row of the store."""
    return UsageRow(
        call_ref=call_ref,
        turn_id=turn_id,
        purpose=usage.purpose,
        provider=usage.provider,
        model=usage.model,
        outcome=usage.outcome.value,
        adapter=usage.adapter or None,
        adapter_missing=usage.adapter_missing,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        estimated=usage.estimated,
        cost_micros=usage.cost_micros,
        first_token_ms=usage.first_token_ms,
        tenant=tenant,
    )
