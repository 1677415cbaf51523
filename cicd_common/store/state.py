"""A job execution with its parents, and what an update does to them, by the rules of the model."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self
from uuid import UUID

from attrs import evolve, frozen
from sqlalchemy import Connection, Table, bindparam, select

from ..api.request import JobStatusUpdate
from ..dto import JobExecutionDTO
from ..enums import ExecutionStatus
from ..model import Span, UpdateOutcome
from ..model.status import counted_status
from ..model.update import join
from .batch import Change, Sight, version_of
from .errors import unknown_job
from .hot import Hot
from .progress import SPAN, run_values, span_of, span_values
from .rows import columns_for
from .tables import dependencies, job_executions, pipeline_executions, stage_executions

__all__ = ["State", "Step", "lock", "see", "span_columns"]

# The columns of a job that updates move.
_MOVING = ("status", "start_time", "completion_time", "exit_code", "last_sequence")
# Those of them that its parents take from it.
_TAKEN = ("status", "start_time", "completion_time")


@frozen
class State:
    """A job with its parents.

    Attributes:
        job: The job.
        run_id: The id of the pipeline execution.
        stage: The span of the stage execution.
        run: The span of the pipeline execution.
        canceled_at: When canceling was asked for; none if it was not.
        is_needed: Whether other jobs depend on it.
        sights: The pipeline execution, the stage execution and the job as they were seen; none if they are locked.
    """

    job: JobExecutionDTO
    run_id: UUID
    stage: Span
    run: Span
    canceled_at: datetime | None
    is_needed: bool
    sights: tuple[Sight, ...] = ()

    @property
    def counted(self) -> ExecutionStatus:
        """What the job counts as in its stage."""
        return counted_status(self.job.status, self.job.allow_failure)

    def after(self, job: JobExecutionDTO) -> State:
        """The state after the job has changed.

        Args:
            job: The job as it is then.
        """
        counted = counted_status(job.status, job.allow_failure)
        stage = self.stage.after(self.counted, counted, job.start_time, job.completion_time)
        run = self.run.after(self.stage.counts.status, stage.counts.status, stage.start, stage.end)
        return evolve(self, job=job, stage=stage, run=run)


@frozen
class Step:
    """What an update does to a job and its parents.

    Attributes:
        outcome: What becomes of the update.
        was: The state before.
        now: The state after; the same one if nothing changes.
    """

    outcome: UpdateOutcome
    was: State
    now: State

    @classmethod
    def of(cls, state: State, update: JobStatusUpdate) -> Self:
        """The step that an update of the job makes from a state."""
        job, outcome = join(state.job, update)
        return cls(outcome, state, state if job is state.job else state.after(job))

    @property
    def grounds(self) -> tuple[Sight, ...]:
        """What was seen and must still be so for the step to be right, in the order in which it is to be locked."""
        was, now = self.was.job, self.now.job
        if was is now:
            return ()
        rests_on_parents = any(getattr(was, name) != getattr(now, name) for name in _TAKEN)
        return self.was.sights if rests_on_parents else self.was.sights[-1:]

    @property
    def is_followed(self) -> bool:
        """Whether other jobs are to be handed out or canceled."""
        was, now = self.was, self.now
        if now.counted is was.counted or not now.counted.is_terminal:
            return False
        success = ExecutionStatus.SUCCESS
        return now.counted is not success or now.is_needed or now.stage.counts.status is success

    def changes(self) -> list[Change]:
        """The rows that it changes."""
        was, now = self.was, self.now
        changes = []
        if now.job is not was.job:
            changes.append(Change(job_executions, now.job.id, {name: getattr(now.job, name) for name in _MOVING}))
        if now.stage != was.stage:
            changes.append(Change(stage_executions, now.job.stage_execution_id, span_values(now.stage)))
        if now.run != was.run:
            changes.append(Change(pipeline_executions, now.run_id, run_values(now.run, now.canceled_at)))
        return changes


def span_columns(table: Table, prefix: str = "") -> list[Any]:
    """The columns of a parent that `span_of` takes.

    Args:
        table: The table of the parent.
        prefix: What their names are to begin with.
    """
    return [table.c[name].label(prefix + name) for name in SPAN]


_JOB = columns_for(JobExecutionDTO, job_executions)
# In the order in which rows are locked: whoever moves a run locks its own row first.
_TABLES = (pipeline_executions, stage_executions, job_executions)
_SELECT = (
    select(
        *_JOB,
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
)
_LOCK = Hot(_SELECT.with_for_update(of=_TABLES, key_share=True))
_SEE = Hot(_SELECT.add_columns(*(version_of(table).label(f"{table.name}_version") for table in _TABLES)))


def lock(connection: Connection, job_execution_id: UUID) -> State:
    """A job with its parents, which nobody else changes before the transaction ends.

    Args:
        connection: In a transaction that writes.
        job_execution_id: The job.

    Raises:
        UnknownJobExecutionError: There is no such job.
    """
    return _state(_row(_LOCK, connection, job_execution_id))


def see(connection: Connection, job_execution_id: UUID) -> State:
    """A job with its parents as they are at the moment. Only of a database that `can_put_unlocked`.

    Args:
        connection: A connection.
        job_execution_id: The job.

    Raises:
        UnknownJobExecutionError: There is no such job.
    """
    row = _row(_SEE, connection, job_execution_id)
    keys = (row["run_id"], row["stage_execution_id"], row["id"])
    sights = tuple(Sight(table, key, row[f"{table.name}_version"]) for table, key in zip(_TABLES, keys, strict=True))
    return evolve(_state(row), sights=sights)


def _row(statement: Hot, connection: Connection, job_execution_id: UUID) -> dict[str, Any]:
    for row in statement.run(connection, {"job_execution_id": job_execution_id}):
        return row
    raise unknown_job(job_execution_id)


def _state(row: dict[str, Any]) -> State:
    job = JobExecutionDTO(**{column.name: row[column.name] for column in _JOB})
    stage, run = span_of(row, "stage_"), span_of(row, "run_")
    return State(job, row["run_id"], stage, run, row["canceled_at"], row["is_needed"])
