"""Cancel what is not to run any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, func, select, update

from ..api.response import JobExecutionResponse
from ..enums import ExecutionStatus
from ..model import Span, StatusCounts
from .errors import unknown_execution
from .hot import BEGIN, COMMIT, Hot
from .moves import move_run, move_stage, span_columns
from .progress import span_of
from .sessions import Session
from .tables import IS_GOING, IS_WAITING, job_executions, jobs, pipeline_executions, stage_executions

__all__ = ["WAITING_STAGES", "cancel", "halt"]

_LOCK_RUN = Hot(
    select(pipeline_executions.c.canceled_at, *span_columns(pipeline_executions))
    .where(pipeline_executions.c.id == bindparam("run_id"))
    .with_for_update(key_share=True)
)
_OF_RUN = job_executions.c.stage_execution_id.in_(
    select(stage_executions.c.id).where(stage_executions.c.pipeline_execution_id == bindparam("run_id"))
)
WAITING_STAGES = Hot(
    select(stage_executions.c.id, *span_columns(stage_executions), func.count().label("waiting"))
    .join(job_executions, job_executions.c.stage_execution_id == stage_executions.c.id)
    .where(stage_executions.c.pipeline_execution_id == bindparam("run_id"), IS_WAITING)
    .group_by(stage_executions.c.id)
)
"""The stages of a run that have jobs which were not handed out."""
_CANCEL_WAITING = Hot(update(job_executions).where(_OF_RUN, IS_WAITING).values(status=ExecutionStatus.CANCELED))
_TO_STOP = Hot(
    select(job_executions.c.id, job_executions.c.status)
    .join(jobs, job_executions.c.job_id == jobs.c.id)
    .where(_OF_RUN, IS_GOING)
    .order_by(jobs.c.place)
)


def cancel(session: Session, execution_id: UUID, at: datetime) -> tuple[JobExecutionResponse, ...]:
    """Cancel what was not handed out, unless the run is at its end, in a transaction of its own.

    Args:
        session: In no transaction.
        execution_id: The pipeline execution.
        at: The time.

    Returns:
        The jobs of which the Workers are to be told to stop, in the order of definition.

    Raises:
        UnknownExecutionError: There is no such execution.
    """
    rows = session.run(BEGIN(), _LOCK_RUN(run_id=execution_id))[_LOCK_RUN]
    if not rows:
        raise unknown_execution(execution_id)
    (row,) = rows
    span = span_of(row)
    if span.counts.status.is_terminal:
        session.run(COMMIT())
        return ()
    if row["canceled_at"] is None:
        waiting = session.run(WAITING_STAGES(run_id=execution_id))[WAITING_STAGES]
        halt(session, execution_id, span, at, waiting)
    to_stop = session.run(_TO_STOP(run_id=execution_id), COMMIT())[_TO_STOP]
    return tuple(JobExecutionResponse(job_execution_id=each["id"], status=each["status"]) for each in to_stop)


def halt(
    session: Session, run_id: UUID, span: Span, canceled_at: datetime | None, waiting: Sequence[Mapping[str, Any]]
) -> None:
    """Cancel every job of a run that was not handed out, and store its span and when canceling was asked for.

    Args:
        session: In a transaction that has locked the run.
        run_id: The pipeline execution.
        span: Its span.
        canceled_at: When canceling was asked for; none if it was not.
        waiting: Its stages that have such jobs.
    """
    stages = []
    for row in waiting:
        was = span_of(row)
        now = Span(was.counts + StatusCounts(pending=-row["waiting"], canceled=row["waiting"]), was.start, was.end)
        span = span.after(was.counts.status, now.counts.status, now.start, now.end)
        stages.append(move_stage(row["id"], now))
    if stages:
        stages.append(_CANCEL_WAITING(run_id=run_id))
    session.run(*stages, move_run(run_id, span, canceled_at))
