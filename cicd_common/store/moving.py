"""Move executions in the database, by the rules of the model.

Whoever moves a run first locks the row of its pipeline execution. So there is one at a time for each run, and no two
wait for each other.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from attrs import evolve, frozen
from sqlalchemy import Connection, Table, bindparam, func, select, update

from ..api.request import JobExecutionRequest, JobStatusUpdate
from ..api.response import JobExecutionResponse
from ..dto import JobExecutionDTO
from ..enums import ExecutionStatus
from ..model import Span, StatusCounts, UpdateOutcome
from ..model.status import counted_status
from ..model.update import join
from .batch import Change, change, put_all
from .errors import unknown_execution, unknown_job
from .handing_out import hand_out, release
from .hot import Hot
from .outputs import chunk_of, is_stored
from .progress import SPAN, run_values, span_of, span_values
from .rows import columns_for
from .tables import IS_WAITING, dependencies, job_executions, jobs, logs, pipeline_executions, stage_executions

__all__ = ["Applied", "apply", "cancel"]

_RUNNING = (ExecutionStatus.PENDING, ExecutionStatus.RUNNING)
# The columns of a job that updates move.
_MOVING = ("status", "start_time", "completion_time", "exit_code", "last_sequence")


@frozen(kw_only=True)
class Applied:
    """What became of an update.

    Attributes:
        outcome: What became of it.
        status: How the job stands with it.
        stop: Whether the job's Worker is to be told to stop: its run was canceled, and the job is not at its end.
        clashes: Whether another text was stored for its sequence before, so that someone else reports on the job too.
        jobs: The jobs that became ready by it, handed out: each is for one Worker, and is never handed out again.
    """

    outcome: UpdateOutcome
    status: ExecutionStatus
    stop: bool
    clashes: bool
    jobs: tuple[JobExecutionRequest, ...] = ()


@frozen
class _State:
    """A job with its parents, all locked.

    Attributes:
        job: The job.
        run_id: The id of the pipeline execution.
        stage: The span of the stage execution.
        run: The span of the pipeline execution.
        canceled_at: When canceling was asked for; none if it was not.
        is_needed: Whether other jobs depend on it.
    """

    job: JobExecutionDTO
    run_id: UUID
    stage: Span
    run: Span
    canceled_at: datetime | None
    is_needed: bool

    @property
    def counted(self) -> ExecutionStatus:
        """What the job counts as in its stage."""
        return counted_status(self.job.status, self.job.allow_failure)


# --- statements ------------------------------------------------------------------------------------------------


def _span(table: Table, prefix: str) -> list[Any]:
    return [table.c[name].label(prefix + name) for name in SPAN]


_JOB = columns_for(JobExecutionDTO, job_executions)
# The order of what is locked is that of the list: the run comes first.
_LOCK_JOB = Hot(
    select(
        *_JOB,
        stage_executions.c.pipeline_execution_id.label("run_id"),
        pipeline_executions.c.canceled_at,
        *_span(stage_executions, "stage_"),
        *_span(pipeline_executions, "run_"),
        select(dependencies.c.job_id)
        .where(dependencies.c.dependency_id == job_executions.c.job_id)
        .exists()
        .label("is_needed"),
    )
    .join(stage_executions, job_executions.c.stage_execution_id == stage_executions.c.id)
    .join(pipeline_executions, stage_executions.c.pipeline_execution_id == pipeline_executions.c.id)
    .where(job_executions.c.id == bindparam("job_execution_id"))
    .with_for_update(of=[pipeline_executions, stage_executions, job_executions], key_share=True)
)
_LOCK_RUN = (
    select(pipeline_executions.c.canceled_at, *_span(pipeline_executions, ""))
    .where(pipeline_executions.c.id == bindparam("run_id"))
    .with_for_update(key_share=True)
)
_OF_RUN = job_executions.c.stage_execution_id.in_(
    select(stage_executions.c.id).where(stage_executions.c.pipeline_execution_id == bindparam("run_id"))
)
_WAITING_STAGES = (
    select(stage_executions.c.id, *_span(stage_executions, ""), func.count().label("waiting"))
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


# --- updates ---------------------------------------------------------------------------------------------------


def apply(connection: Connection, update: JobStatusUpdate, at: datetime) -> Applied:
    """Join an update with what is known, and do what follows from it.

    Args:
        connection: In a transaction that writes.
        update: The update.
        at: When the jobs that become ready are handed out.

    Raises:
        UnknownJobExecutionError: There is no such job.
    """
    state = _locked(connection, update.job_execution_id)
    job, outcome = join(state.job, update)
    moved = state if job is state.job else _moved(state, job)
    is_new = put_all(connection, _changes(state, moved), logs, chunk_of(update))
    return Applied(
        outcome=outcome,
        status=job.status,
        stop=state.canceled_at is not None and not job.status.is_terminal,
        clashes=not (is_new or is_stored(connection, update)),
        jobs=_follow(connection, state, moved, at),
    )


def _locked(connection: Connection, job_execution_id: UUID) -> _State:
    rows = _LOCK_JOB.run(connection, {"job_execution_id": job_execution_id})
    if not rows:
        raise unknown_job(job_execution_id)
    (row,) = rows
    job = JobExecutionDTO(**{column.name: row[column.name] for column in _JOB})
    stage, run = span_of(row, "stage_"), span_of(row, "run_")
    return _State(job, row["run_id"], stage, run, row["canceled_at"], row["is_needed"])


def _moved(state: _State, job: JobExecutionDTO) -> _State:
    """The state after the job has changed."""
    counted = counted_status(job.status, job.allow_failure)
    stage = state.stage.after(state.counted, counted, job.start_time, job.completion_time)
    run = state.run.after(state.stage.counts.status, stage.counts.status, stage.start, stage.end)
    return evolve(state, job=job, stage=stage, run=run)


def _changes(was: _State, now: _State) -> list[Change]:
    changes = []
    if now.job is not was.job:
        changes.append(Change(job_executions, now.job.id, {name: getattr(now.job, name) for name in _MOVING}))
    if now.stage != was.stage:
        changes.append(Change(stage_executions, now.job.stage_execution_id, span_values(now.stage)))
    if now.run != was.run:
        changes.append(Change(pipeline_executions, now.run_id, run_values(now.run, now.canceled_at)))
    return changes


def _follow(connection: Connection, was: _State, now: _State, at: datetime) -> tuple[JobExecutionRequest, ...]:
    """Do what follows from a job's new status: hand out what waited for it, or cancel what is not to run any more."""
    status = now.counted
    if status is was.counted or not status.is_terminal:
        return ()
    if status is not ExecutionStatus.SUCCESS:
        _halt(connection, now.run_id, now.run, now.canceled_at)
        return ()
    if now.is_needed:
        release(connection, now.run_id, now.job.job_id)
    if now.is_needed or now.stage.counts.status is ExecutionStatus.SUCCESS:
        return hand_out(connection, now.run_id, at)
    return ()


# --- halting ---------------------------------------------------------------------------------------------------


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
        _halt(connection, execution_id, span_of(row._mapping), at)
    rows = connection.execute(_TO_STOP, {"run_id": execution_id})
    return tuple(JobExecutionResponse(job_execution_id=each.id, status=each.status) for each in rows)


def _halt(connection: Connection, run_id: UUID, run: Span, canceled_at: datetime | None) -> None:
    """Cancel every job of a run that was not handed out, and store its span and when canceling was asked for."""
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
