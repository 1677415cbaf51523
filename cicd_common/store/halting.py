"""Halt runs: cancel what was not handed out."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, bindparam, func, select, update

from ..api.response import JobExecutionResponse
from ..enums import ExecutionStatus
from ..model import Span, StatusCounts
from .batch import Change, change
from .errors import unknown_execution
from .progress import run_values, span_of, span_values
from .state import span_columns
from .tables import IS_WAITING, job_executions, jobs, pipeline_executions, stage_executions

__all__ = ["cancel", "halt"]

_RUNNING = (ExecutionStatus.PENDING, ExecutionStatus.RUNNING)
_LOCK_RUN = (
    select(pipeline_executions.c.canceled_at, *span_columns(pipeline_executions))
    .where(pipeline_executions.c.id == bindparam("run_id"))
    .with_for_update(key_share=True)
)
_OF_RUN = job_executions.c.stage_execution_id.in_(
    select(stage_executions.c.id).where(stage_executions.c.pipeline_execution_id == bindparam("run_id"))
)
_WAITING_STAGES = (
    select(stage_executions.c.id, *span_columns(stage_executions), func.count().label("waiting"))
    .join(job_executions, job_executions.c.stage_execution_id == stage_executions.c.id)
    .where(stage_executions.c.pipeline_execution_id == bindparam("run_id"), IS_WAITING)
    .group_by(stage_executions.c.id)
)
_CANCEL_WAITING = update(job_executions).where(_OF_RUN, IS_WAITING).values(status=ExecutionStatus.CANCELED)
_TO_STOP = (
    select(job_executions.c.id, job_executions.c.status)
    .join(jobs, job_executions.c.job_id == jobs.c.id)
    .where(_OF_RUN, job_executions.c.status.in_(_RUNNING))
    .order_by(jobs.c.place)
)


def cancel(connection: Connection, execution_id: UUID, at: datetime) -> tuple[JobExecutionResponse, ...]:
    """Cancel what was not handed out, unless the run is at its end.

    Args:
        connection: In a transaction that writes.
        execution_id: The pipeline execution.
        at: The time.

    Returns:
        The jobs of which the Workers are to be told to stop, in the order of definition.

    Raises:
        UnknownExecutionError: There is no such execution.
    """
    row = connection.execute(_LOCK_RUN, {"run_id": execution_id}).one_or_none()
    if row is None:
        raise unknown_execution(execution_id)
    if span_of(row._mapping).counts.status.is_terminal:
        return ()
    if row.canceled_at is None:
        halt(connection, execution_id, span_of(row._mapping), at)
    rows = connection.execute(_TO_STOP, {"run_id": execution_id})
    return tuple(JobExecutionResponse(job_execution_id=each.id, status=each.status) for each in rows)


def halt(connection: Connection, run_id: UUID, run: Span, canceled_at: datetime | None) -> None:
    """Cancel every job of a run that was not handed out, and store its span and when canceling was asked for.

    Args:
        connection: In a transaction that has locked the run.
        run_id: The pipeline execution.
        run: Its span.
        canceled_at: When canceling was asked for; none if it was not.
    """
    stages = []
    for row in connection.execute(_WAITING_STAGES, {"run_id": run_id}):
        was = span_of(row._mapping)
        now = Span(was.counts + StatusCounts(pending=-row.waiting, canceled=row.waiting), was.start, was.end)
        run = run.after(was.counts.status, now.counts.status, now.start, now.end)
        stages.append(Change(stage_executions, row.id, span_values(now)))
    if stages:
        connection.execute(_CANCEL_WAITING, {"run_id": run_id})
    change(connection, stage_executions, stages)
    values = {"canceled_at": canceled_at, **run_values(run, canceled_at)}
    change(connection, pipeline_executions, [Change(pipeline_executions, run_id, values)])
