"""Delete runs that ended long ago, with all rows that belong to them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, bindparam, delete, select, tuple_

from .columns import is_one_of
from .tables import (
    artifacts,
    execution_logs,
    job_executions,
    logs,
    outbox,
    pipeline_executions,
    pipeline_names,
    requests,
    stage_executions,
)

__all__ = ["forget_some", "keep_runs"]

_STEP = 50
"""How many runs one transaction deletes."""

_CHUNK_STEP = 1000
"""How many chunks of output one transaction deletes. Output is the largest part of a run."""

_OLD = (
    select(pipeline_executions.c.id)
    .join(pipeline_names, pipeline_names.c.name_key == pipeline_executions.c.name_key)
    .where(
        pipeline_executions.c.completion_time < bindparam("before"),
        pipeline_executions.c.run_number <= pipeline_names.c.last_run_number - bindparam("keep_last"),
    )
    .order_by(pipeline_executions.c.completion_time)
    .limit(_STEP)
    .with_for_update(of=pipeline_executions, skip_locked=True)
)
_JOB_IDS = select(job_executions.c.id).where(is_one_of(job_executions.c.pipeline_execution_id))
_CHUNK_KEY = tuple_(logs.c.job_execution_id, logs.c.sequence)
_SOME_CHUNKS = select(logs.c.job_execution_id, logs.c.sequence).where(logs.c.job_execution_id.in_(_JOB_IDS))
_DELETE_CHUNKS = delete(logs).where(_CHUNK_KEY.in_(_SOME_CHUNKS.limit(_CHUNK_STEP)))
# In the order of the foreign keys.
_DELETIONS = (
    delete(artifacts).where(artifacts.c.job_execution_id.in_(_JOB_IDS)),
    delete(execution_logs).where(is_one_of(execution_logs.c.run_id)),
    delete(job_executions).where(is_one_of(job_executions.c.pipeline_execution_id)),
    delete(stage_executions).where(is_one_of(stage_executions.c.pipeline_execution_id)),
    delete(outbox).where(is_one_of(outbox.c.pipeline_execution_id)),
    delete(requests).where(is_one_of(requests.c.pipeline_execution_id)),
    delete(pipeline_executions).where(is_one_of(pipeline_executions.c.id)),
)


def keep_runs(statement: Any) -> Any:
    """Make a query protect the runs that it finds from deletion until the transaction ends.

    On PostgreSQL the query waits for a transaction that is deleting such a run, and then does not find the run. It does
    not wait for transactions that change or protect the run.

    Args:
        statement: The query, which selects from the table of runs.
    """
    return statement.with_for_update(of=pipeline_executions, read=True, key_share=True)


def forget_some(connection: Connection, before: datetime, keep_last: int) -> int | None:
    """Delete some of the oldest runs with all their rows, or only some of their output if there is much of it.

    Args:
        connection: A connection in a transaction that writes.
        before: Only runs that completed before this time.
        keep_last: How many of the last runs of each pipeline's name stay.

    Returns:
        How many runs were deleted; None if there is nothing left to delete.
    """
    key = {"before": before, "keep_last": keep_last}
    ids: Sequence[UUID] = connection.execute(_OLD, key).scalars().all()
    if not ids:
        return None
    if connection.execute(_DELETE_CHUNKS, {"ids": ids}).rowcount == _CHUNK_STEP:
        return 0
    for deletion in _DELETIONS:
        connection.execute(deletion, {"ids": ids})
    return len(ids)
