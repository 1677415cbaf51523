"""Apply updates to executions in the database, by the rules of the model.

Whoever moves a run first locks the row of its pipeline execution. So there is one at a time for each run, and no two
wait for each other. More output moves no run, and locks its job alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from attrs import frozen
from sqlalchemy import bindparam, literal_column, select, update

from ..api.request import JobExecutionRequest, JobStatusUpdate
from ..enums import ExecutionStatus
from ..model import Span, UpdateOutcome
from ..model.status import counted_status
from ..model.update import JobState, join
from .columns import Status
from .errors import unknown_job
from .halting import WAITING_STAGES, halt
from .handing_out import hand_out, handed_out, release
from .hot import BEGIN, COMMIT, Call, Hot
from .moves import JOB_STATE, move_job, move_run, move_stage, span_columns
from .outputs import put_chunk
from .progress import span_of
from .sessions import Session
from .tables import dependencies, job_executions, pipeline_executions, stage_executions

__all__ = ["Applied", "apply"]


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
    """How a job and its parents stand.

    Attributes:
        job: How the job stands.
        stage: The span of its stage execution.
        run: The span of its pipeline execution.
    """

    job: JobState
    stage: Span
    run: Span


@frozen(kw_only=True)
class _Job:
    """A job execution of which the row is locked, with those of its parents.

    Attributes:
        id: Its id.
        job_id: The id of the job.
        allow_failure: Whether it counts as a success if it fails.
        is_needed: Whether other jobs depend on the job.
        stage_id: The id of the stage execution.
        run_id: The id of the pipeline execution.
        canceled_at: When canceling was asked for; none if it was not.
        state: How it and its parents stand.
    """

    id: UUID
    job_id: UUID
    allow_failure: bool
    is_needed: bool
    stage_id: UUID
    run_id: UUID
    canceled_at: datetime | None
    state: _State

    def counted(self, state: _State) -> ExecutionStatus:
        """What it counts as in its stage."""
        return counted_status(state.job.status, self.allow_failure)

    def moved(self, job: JobState) -> _State:
        """How all stand after the job has moved."""
        was = self.state
        now = counted_status(job.status, self.allow_failure)
        stage = was.stage.after(self.counted(was), now, job.start_time, job.completion_time)
        run = was.run.after(was.stage.counts.status, stage.counts.status, stage.start, stage.end)
        return _State(job, stage, run)


# --- statements ------------------------------------------------------------------------------------------------

# The order of what is locked is that of the list: the run comes first.
_LOCK_JOB = Hot(
    select(
        *(job_executions.c[name] for name in JOB_STATE),
        job_executions.c.job_id,
        job_executions.c.allow_failure,
        job_executions.c.stage_execution_id.label("stage_id"),
        stage_executions.c.pipeline_execution_id.label("run_id"),
        pipeline_executions.c.canceled_at,
        *span_columns(stage_executions, "stage_"),
        *span_columns(pipeline_executions, "run_"),
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
    job = _locked(session, update.job_execution_id)
    joined, outcome = join(job.state.job, update)
    state = job.state if joined is job.state.job else job.moved(joined)
    chunk = put_chunk(update)
    done = session.run(chunk, *_changes(job, state), *_following(job, state, at))
    if WAITING_STAGES in done:
        halt(session, job.run_id, state.run, job.canceled_at, done[WAITING_STAGES])
        session.run(COMMIT())
    (text,) = done[chunk[0]]
    return Applied(
        outcome=outcome,
        status=joined.status,
        stop=job.canceled_at is not None and not joined.status.is_terminal,
        clashes=not text["is_same"],
        jobs=handed_out(done),
    )


def _locked(session: Session, job_execution_id: UUID) -> _Job:
    """A job at the beginning of a transaction."""
    rows = session.run(BEGIN(), _LOCK_JOB(job_execution_id=job_execution_id))[_LOCK_JOB]
    if not rows:
        raise unknown_job(job_execution_id)
    (row,) = rows
    known = JobState(*(row[name] for name in JOB_STATE))
    return _Job(
        id=job_execution_id,
        job_id=row["job_id"],
        allow_failure=row["allow_failure"],
        is_needed=row["is_needed"],
        stage_id=row["stage_id"],
        run_id=row["run_id"],
        canceled_at=row["canceled_at"],
        state=_State(known, span_of(row, "stage_"), span_of(row, "run_")),
    )


def _changes(job: _Job, now: _State) -> Iterator[Call]:
    """What changes in the rows of a job and its parents."""
    was = job.state
    if now.job is not was.job:
        yield move_job(job.id, now.job)
    if now.stage != was.stage:
        yield move_stage(job.stage_id, now.stage)
    if now.run != was.run:
        yield move_run(job.run_id, now.run, job.canceled_at)


def _following(job: _Job, now: _State, at: datetime) -> Iterator[Call]:
    """What follows from a job's new status: to hand out what waited for it, or to look what is to be canceled."""
    status = job.counted(now)
    if status is not job.counted(job.state) and status.is_terminal:
        if status is not ExecutionStatus.SUCCESS:
            yield WAITING_STAGES(run_id=job.run_id)
            return
        if job.is_needed:
            yield release(job.stage_id, job.job_id)
        if job.is_needed or now.stage.counts.status is ExecutionStatus.SUCCESS:
            yield from hand_out(job.run_id, at)
    yield COMMIT()
