"""Move executions in the database, by the rules of the model.

Whoever moves a run first locks the row of its pipeline execution. So there is one at a time for each run, and no two
wait for each other. More output moves no run, and locks its job alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from attrs import evolve, fields, frozen
from sqlalchemy import Table, bindparam, func, literal_column, select, update

from ..api.request import JobExecutionRequest, JobStatusUpdate
from ..api.response import JobExecutionResponse
from ..enums import ExecutionStatus
from ..model import Span, StatusCounts, UpdateOutcome
from ..model.status import counted_status
from ..model.update import JobState, join
from .columns import Status
from .errors import unknown_execution, unknown_job
from .handing_out import hand_out, handed_out, release
from .hot import BEGIN, COMMIT, Call, Hot, Session
from .outputs import put_chunk
from .progress import PROGRESS, SPAN, run_values, span_of, span_values
from .tables import IS_GOING, IS_WAITING, dependencies, job_executions, jobs, pipeline_executions, stage_executions

__all__ = ["Applied", "apply", "cancel"]

# The columns of a job that updates move.
_MOVING = tuple(field.name for field in fields(JobState))


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


@frozen(kw_only=True)
class _State:
    """A job with its parents, all locked.

    Attributes:
        id: The id of the job execution.
        job: How the job stands.
        job_id: The id of the job.
        allow_failure: Whether the job counts as a success if it fails.
        is_needed: Whether other jobs depend on it.
        stage_id: The id of the stage execution.
        stage: The span of the stage execution.
        run_id: The id of the pipeline execution.
        run: The span of the pipeline execution.
        canceled_at: When canceling was asked for; none if it was not.
    """

    id: UUID
    job: JobState
    job_id: UUID
    allow_failure: bool
    is_needed: bool
    stage_id: UUID
    stage: Span
    run_id: UUID
    run: Span
    canceled_at: datetime | None

    @property
    def counted(self) -> ExecutionStatus:
        """What the job counts as in its stage."""
        return counted_status(self.job.status, self.allow_failure)

    def moved(self, job: JobState) -> _State:
        """The state after the job has moved."""
        counted = counted_status(job.status, self.allow_failure)
        stage = self.stage.after(self.counted, counted, job.start_time, job.completion_time)
        run = self.run.after(self.stage.counts.status, stage.counts.status, stage.start, stage.end)
        return evolve(self, job=job, stage=stage, run=run)


# --- statements ------------------------------------------------------------------------------------------------


def _span(table: Table, prefix: str) -> list[Any]:
    return [table.c[name].label(prefix + name) for name in SPAN]


def _change(table: Table, columns: Sequence[str]) -> Hot:
    return Hot(update(table).where(table.c.id == bindparam("key")), sets=columns)


# The order of what is locked is that of the list: the run comes first.
_LOCK_JOB = Hot(
    select(
        *(job_executions.c[name] for name in _MOVING),
        job_executions.c.job_id,
        job_executions.c.allow_failure,
        job_executions.c.stage_execution_id.label("stage_id"),
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
_LOCK_RUN = Hot(
    select(pipeline_executions.c.canceled_at, *_span(pipeline_executions, ""))
    .where(pipeline_executions.c.id == bindparam("run_id"))
    .with_for_update(key_share=True)
)
# This is `join` for a job that runs and is told to run. It started no later than it is told to have.
_MORE_OUTPUT = Hot(
    update(job_executions)
    .where(
        job_executions.c.id == bindparam("job"),
        job_executions.c.status == literal_column("'RUNNING'", Status),
        job_executions.c.last_sequence < bindparam("number"),
        job_executions.c.start_time <= bindparam("occurred_at"),
    )
    .values(last_sequence=bindparam("number"))
    .returning(
        select(pipeline_executions.c.canceled_at)
        .where(pipeline_executions.c.id == job_executions.c.pipeline_execution_id)
        .scalar_subquery()
        .label("canceled_at")
    )
)
_MOVE_JOB = _change(job_executions, _MOVING)
_MOVE_STAGE = _change(stage_executions, PROGRESS)
_MOVE_RUN = _change(pipeline_executions, (*PROGRESS, "canceled_at"))
_OF_RUN = job_executions.c.stage_execution_id.in_(
    select(stage_executions.c.id).where(stage_executions.c.pipeline_execution_id == bindparam("run_id"))
)
_WAITING_STAGES = Hot(
    select(stage_executions.c.id, *_span(stage_executions, ""), func.count().label("waiting"))
    .join(job_executions, job_executions.c.stage_execution_id == stage_executions.c.id)
    .where(stage_executions.c.pipeline_execution_id == bindparam("run_id"), IS_WAITING)
    .group_by(stage_executions.c.id)
)
_CANCEL_WAITING = Hot(update(job_executions).where(_OF_RUN, IS_WAITING).values(status=ExecutionStatus.CANCELED))
_TO_STOP = Hot(
    select(job_executions.c.id, job_executions.c.status)
    .join(jobs, job_executions.c.job_id == jobs.c.id)
    .where(_OF_RUN, IS_GOING)
    .order_by(jobs.c.place)
)


# --- updates ---------------------------------------------------------------------------------------------------


def apply(session: Session, update: JobStatusUpdate, at: datetime) -> Applied:
    """Join an update with what is known, and do what follows from it, in a transaction of its own.

    Args:
        session: In no transaction.
        update: The update.
        at: When the jobs that become ready are handed out.

    Raises:
        UnknownJobExecutionError: There is no such job.
    """
    return _more_output(session, update) or _joined(session, update, at)


def _more_output(session: Session, update: JobStatusUpdate) -> Applied | None:
    """Store more output of a job that runs, which moves nothing but its sequence, so that nothing need be known before.

    Most updates of long jobs are such. What is none is left as it is.
    """
    if update.status is not ExecutionStatus.RUNNING or update.sequence == 1:
        return None
    more = _MORE_OUTPUT(job=update.job_execution_id, number=update.sequence, occurred_at=update.occurred_at)
    chunk = put_chunk(update, if_last=True)
    done = session.run(BEGIN(), more, chunk, COMMIT())
    if not done[_MORE_OUTPUT]:
        return None
    (job,), (text,) = done[_MORE_OUTPUT], done[chunk[0]]
    stop = job["canceled_at"] is not None
    return Applied(outcome=UpdateOutcome.APPLIED, status=update.status, stop=stop, clashes=not text["is_same"])


def _joined(session: Session, update: JobStatusUpdate, at: datetime) -> Applied:
    """Join an update with what is known, and do what follows from it."""
    state = _locked(session, update.job_execution_id)
    job, outcome = join(state.job, update)
    moved = state if job is state.job else state.moved(job)
    chunk = put_chunk(update)
    done = session.run(chunk, *_changes(state, moved), *_following(state, moved, at))
    if _WAITING_STAGES in done:
        _halt(session, moved.run_id, moved.run, moved.canceled_at, done[_WAITING_STAGES])
        session.run(COMMIT())
    (text,) = done[chunk[0]]
    return Applied(
        outcome=outcome,
        status=job.status,
        stop=state.canceled_at is not None and not job.status.is_terminal,
        clashes=not text["is_same"],
        jobs=handed_out(done),
    )


def _locked(session: Session, job_execution_id: UUID) -> _State:
    """A job as it stands at the beginning of a transaction."""
    rows = session.run(BEGIN(), _LOCK_JOB(job_execution_id=job_execution_id))[_LOCK_JOB]
    if not rows:
        raise unknown_job(job_execution_id)
    (row,) = rows
    return _State(
        id=job_execution_id,
        job=JobState(*(row[name] for name in _MOVING)),
        job_id=row["job_id"],
        allow_failure=row["allow_failure"],
        is_needed=row["is_needed"],
        stage_id=row["stage_id"],
        stage=span_of(row, "stage_"),
        run_id=row["run_id"],
        run=span_of(row, "run_"),
        canceled_at=row["canceled_at"],
    )


def _changes(was: _State, now: _State) -> Iterator[Call]:
    """What changes in the rows of a job and its parents."""
    if now.job is not was.job:
        yield _MOVE_JOB(key=now.id, **{name: getattr(now.job, name) for name in _MOVING})
    if now.stage != was.stage:
        yield _MOVE_STAGE(key=now.stage_id, **span_values(now.stage))
    if now.run != was.run:
        yield _move_run(now.run_id, now.run, now.canceled_at)


def _move_run(run_id: UUID, span: Span, canceled_at: datetime | None) -> Call:
    return _MOVE_RUN(key=run_id, canceled_at=canceled_at, **run_values(span, canceled_at))


def _following(was: _State, now: _State, at: datetime) -> Iterator[Call]:
    """What follows from a job's new status: to hand out what waited for it, or to look what is to be canceled."""
    status = now.counted
    if status is not was.counted and status.is_terminal:
        if status is not ExecutionStatus.SUCCESS:
            yield _WAITING_STAGES(run_id=now.run_id)
            return
        if now.is_needed:
            yield release(now.stage_id, now.job_id)
        if now.is_needed or now.stage.counts.status is ExecutionStatus.SUCCESS:
            yield from hand_out(now.run_id, at)
    yield COMMIT()


# --- halting ---------------------------------------------------------------------------------------------------


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
        waiting = session.run(_WAITING_STAGES(run_id=execution_id))[_WAITING_STAGES]
        _halt(session, execution_id, span, at, waiting)
    to_stop = session.run(_TO_STOP(run_id=execution_id), COMMIT())[_TO_STOP]
    return tuple(JobExecutionResponse(job_execution_id=each["id"], status=each["status"]) for each in to_stop)


def _halt(
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
        stages.append(_MOVE_STAGE(key=row["id"], **span_values(now)))
    if stages:
        stages.append(_CANCEL_WAITING(run_id=run_id))
    session.run(*stages, _move_run(run_id, span, canceled_at))
