"""The arguments of the store's methods, checked by the rules of the contract's fields."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from attrs import frozen

from ..errors import ContractError, Problem
from ..fields import Between, Count, Name, Ordinal, PageSize, Rule, checked

__all__ = ["Arguments", "expect", "now"]

_MAX_SECONDS = 100 * 365 * 24 * 60 * 60
Seconds = Annotated[
    int,
    Rule(
        f"a number of seconds from 1 to {_MAX_SECONDS}",
        Between(1, _MAX_SECONDS),
        {"minimum": 1, "maximum": _MAX_SECONDS},
    ),
]


@frozen(kw_only=True)
@checked
class Arguments:
    """The arguments of all methods; each method uses some of them. A page is never unlimited.

    Attributes:
        after: The last id of the page before.
        after_sequence: The last sequence of the page before.
        at: The time.
        claim_seconds: After how many seconds a claim of the outbox expires.
        count: How many runs to keep.
        cursor: The cursor of the page.
        execution_id: A pipeline execution.
        job_execution_id: A job execution.
        lease_seconds: How many seconds a lease lasts.
        limit: How many entries a page has at most.
        max_attempts: After how many attempts to give up.
        max_bytes: How many bytes are returned at most.
        max_losses: How often a job may be lost.
        name: The name of a pipeline.
        outbox: Whether to note changed runs in the outbox.
        path: The last path of the page before.
        pipeline_id: A pipeline.
        request_id: An idempotency key.
        resend_seconds: After how many seconds a request is sent again.
        upgrade: Whether to upgrade tables.

    Raises:
        ContractError: An argument is refused.
    """

    after: UUID | None = None
    after_sequence: Count = 0
    at: datetime | None = None
    claim_seconds: Seconds = 60
    count: Count = 0
    cursor: str | None = None
    execution_id: UUID | None = None
    job_execution_id: UUID | None = None
    lease_seconds: Seconds = 60
    limit: PageSize = 1000
    max_attempts: Ordinal = 100
    max_bytes: Ordinal = 65_536
    max_losses: Ordinal = 3
    name: Name | None = None
    outbox: bool = False
    path: str | None = None
    pipeline_id: UUID | None = None
    request_id: UUID | None = None
    resend_seconds: Seconds = 300
    upgrade: bool = False


def expect(value: Any, type: Any) -> Any:
    """Return a value, which must be an instance of a type.

    Args:
        value: The value.
        type: The type.

    Raises:
        ContractError: The value is not an instance of the type.
    """
    if not isinstance(value, type):
        raise ContractError(type, [Problem("", "type", f"expected a {type.__name__}")])
    return value


def now() -> datetime:
    """Return the current time, for methods whose argument ``at`` is not given."""
    return datetime.now(UTC)
