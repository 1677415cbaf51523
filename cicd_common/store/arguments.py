"""What the methods of the store are given, checked by the rules of the contract's fields."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from attrs import frozen

from .._fields import checked
from .._rules import Count, Name, PageSize

__all__ = ["Arguments"]


@frozen(kw_only=True)
@checked
class Arguments:
    """Arguments of the methods; each takes some of them. A page is never unlimited.

    Attributes:
        after: The id that was the last of the page before.
        after_sequence: The sequence that was the last of the page before.
        at: The time.
        commit_hash: The commit to run on.
        execution_id: A pipeline execution.
        is_local: Whether a run is for the caller's own machine.
        job_execution_id: A job execution.
        limit: How much a page holds at most.
        name: The name of a pipeline.
        path: The path that was the last of the page before.
        pipeline_id: A pipeline.
        request_id: An idempotency key.

    Raises:
        ContractError: An argument is refused.
    """

    after: UUID | None = None
    after_sequence: Count = 0
    at: datetime | None = None
    commit_hash: str | None = None
    execution_id: UUID | None = None
    is_local: bool = False
    job_execution_id: UUID | None = None
    limit: PageSize = 1000
    name: Name | None = None
    path: str | None = None
    pipeline_id: UUID | None = None
    request_id: UUID | None = None
