"""The rows of the runs that a transaction changes: loaded under a lock, changed in memory, written together.

The rules are the model's: `join` and the transitions of a job, and `Span.after` for its stage and its run. A
transaction first locks the rows of its pipeline executions, in the order of their ids. So a run is changed by one
transaction at a time, and no two transactions deadlock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import accumulate
from typing import Any
from uuid import UUID

from attrs import define, evolve, fields
from sqlalchemy import Connection, Table, bindparam, select, update

from ..enums import ExecutionStatus
from ..model.job_execution import JobState, skipped
from ..model.status import Span, StatusCounts, counted_status
from .columns import is_one_of
from .outbox import note
from .rows import execute_all
from .tables import IS_WAITING, job_executions, pipeline_executions, stage_executions

__all__ = ["JOB_ROWS", "JobRow", "RunStates", "span_values"]

_COUNTS = ("pending", "running", "success", "failed", "canceled")
_STATE = tuple(field.name for field in fields(JobState))
_LEASE = ("heard_at", "losses", "sendings", "send_at")


@define(eq=False)
class RunRow:
    """The row of a pipeline execution.

    Attributes:
        id: The id of the pipeline execution.
        canceled_at: When cancellation was requested; None if it was not.
        span: The roll-up of its stages.
    """

    id: UUID
    canceled_at: datetime | None
    span: Span


@define(eq=False)
class StageRow:
    """The row of a stage execution.

    Attributes:
        id: The id of the stage execution.
        run: The row of its run.
        span: The roll-up of its jobs.
    """

    id: UUID
    run: RunRow
    span: Span


@define(eq=False)
class JobRow:
    """The row of a job execution.

    Attributes:
        id: The id of the job execution.
        job_id: The id of the job.
        allow_failure: Whether the job is allowed to fail.
        stage: The row of its stage.
        state: The fields that updates and other transitions change.
        heard_at: When an update of its Worker was last received; None if none was.
        losses: How often the job was lost.
        sendings: How often the request of this attempt was sent.
        send_at: When to send the request again if no Worker claims it.
    """

    id: UUID
    job_id: UUID
    allow_failure: bool
    stage: StageRow
    state: JobState
    heard_at: datetime | None
    losses: int
    sendings: int
    send_at: datetime | None

    @property
    def counted(self) -> ExecutionStatus:
        """The status that the job counts as in its stage."""
        return counted_status(self.state.status, self.allow_failure)


def _span_columns(table: Table) -> list[Any]:
    return [table.c[name] for name in (*_COUNTS, "start_time", "end_time")]


def _span_of(values: Sequence[Any]) -> Span:
    """Make a span of the values of its columns."""
    return Span(StatusCounts(**dict(zip(_COUNTS, values, strict=False))), *values[len(_COUNTS) :])


def span_values(span: Span, canceled_at: datetime | None = None) -> dict[str, Any]:
    """Return the values of the columns that a `Span` determines.

    Args:
        span: The span of a stage or a pipeline execution.
        canceled_at: When a pipeline execution was canceled: it completes then if none of its jobs ever ran.
    """
    counts = {name: getattr(span.counts, name) for name in _COUNTS}
    status = span.counts.status
    completion = (span.completion or canceled_at) if status.is_terminal else None
    return {
        "status": status,
        "start_time": span.start,
        "end_time": span.end,
        "completion_time": completion,
        **counts,
    }


_RUN = (pipeline_executions.c.id, pipeline_executions.c.canceled_at, *_span_columns(pipeline_executions))
_STAGE = (stage_executions.c.id, *_span_columns(stage_executions))
_JOB = (job_executions.c.id, job_executions.c.job_id, job_executions.c.allow_failure)
_LOCK_RUN = select(*_RUN).where(pipeline_executions.c.id == bindparam("run_id")).with_for_update(key_share=True)
# A row is read by position, which takes half as long as by name.
_PARTS = (_JOB, [job_executions.c[name] for name in _STATE], [job_executions.c[name] for name in _LEASE], _STAGE, _RUN)
_ENDS = list(accumulate(len(part) for part in _PARTS))
_JOB_PART, _STATE_PART, _LEASE_PART, _STAGE_PART, _RUN_PART = (
    slice(end - len(part), end) for part, end in zip(_PARTS, _ENDS, strict=True)
)
JOB_ROWS = (
    select(*(column.label(None) for part in _PARTS for column in part))
    .select_from(pipeline_executions)
    .join(stage_executions, stage_executions.c.pipeline_execution_id == pipeline_executions.c.id)
    .join(job_executions, job_executions.c.stage_execution_id == stage_executions.c.id)
)
"""The query for rows of jobs, which `RunStates.load` executes with further conditions."""

# PostgreSQL locks the rows in this order, and reads each as it is once it is locked.
_LOCK_JOBS = (
    JOB_ROWS.where(is_one_of(job_executions.c.id))
    .order_by(pipeline_executions.c.id)
    .with_for_update(key_share=True, of=[pipeline_executions, stage_executions, job_executions])
)
_WAITING = JOB_ROWS.where(job_executions.c.pipeline_execution_id == bindparam("run_id"), IS_WAITING)


def _update_of(table: Table, *names: str) -> Any:
    return update(table).where(table.c.id == bindparam("row")).values({name: bindparam(name) for name in names})


_SPAN = ("status", "start_time", "end_time", "completion_time", *_COUNTS)
_WRITE_JOBS = _update_of(job_executions, *_STATE, *_LEASE)
_WRITE_OUTPUT = _update_of(job_executions, "last_sequence", "heard_at")
_WRITE_STAGES = _update_of(stage_executions, *_SPAN)
_WRITE_RUNS = _update_of(pipeline_executions, *_SPAN, "canceled_at")


class RunStates:
    """The rows of some jobs, of their stages and of their runs, in a transaction that has locked the runs.

    Args:
        connection: A connection in a transaction that writes.
        noted_at: The time of changes that are noted in the outbox; with None they are not noted.

    Attributes:
        jobs: The rows of the jobs that were loaded, by id.
    """

    def __init__(self, connection: Connection, noted_at: datetime | None) -> None:
        self._connection = connection
        self._noted_at = noted_at
        self._runs: dict[UUID, RunRow] = {}
        self._stages: dict[UUID, StageRow] = {}
        self.jobs: dict[UUID, JobRow] = {}
        self._changed_jobs: dict[UUID, JobRow] = {}
        self._heard_jobs: dict[UUID, JobRow] = {}  # Maybe nothing changed but what `_WRITE_OUTPUT` writes.
        self._changed_stages: dict[UUID, StageRow] = {}
        self._changed_runs: dict[UUID, RunRow] = {}
        self._noted: set[UUID] = set()

    def load_jobs(self, ids: Iterable[UUID]) -> None:
        """Lock the runs of jobs, and load the rows. A job that does not exist is left out.

        Args:
            ids: The ids of the job executions.
        """
        self.load(_LOCK_JOBS, {"ids": sorted(set(ids))})

    def load(self, statement: Any, key: dict[str, Any]) -> list[JobRow]:
        """Load jobs of runs that are locked. Those that are loaded already stay, since they may have changed in memory.

        Args:
            statement: The query, made of `JOB_ROWS`.
            key: Its parameters.
        """
        rows = self._connection.execute(statement, key)
        return [self.jobs.get(row[0]) or self._job(row) for row in rows]

    def load_run(self, run_id: UUID) -> RunRow | None:
        """Lock a run, and load its row.

        Args:
            run_id: The id of the pipeline execution.

        Returns:
            The row; None if the run does not exist.
        """
        row = self._connection.execute(_LOCK_RUN, {"run_id": run_id}).one_or_none()
        return None if row is None else self._run(row)

    def _run(self, values: Sequence[Any]) -> RunRow:
        run_id, canceled_at, *span = values
        if run_id not in self._runs:
            self._runs[run_id] = RunRow(run_id, canceled_at, _span_of(span))
        return self._runs[run_id]

    def _stage(self, row: Sequence[Any]) -> StageRow:
        stage_id, *span = row[_STAGE_PART]
        if stage_id not in self._stages:
            self._stages[stage_id] = StageRow(stage_id, self._run(row[_RUN_PART]), _span_of(span))
        return self._stages[stage_id]

    def _job(self, row: Sequence[Any]) -> JobRow:
        state = JobState(**dict(zip(_STATE, row[_STATE_PART], strict=True)))
        job_execution_id, job_id, allow_failure = row[_JOB_PART]
        job = JobRow(job_execution_id, job_id, allow_failure, self._stage(row), state, *row[_LEASE_PART])
        self.jobs[job.id] = job
        return job

    def status_of_stage(self, row: Any) -> ExecutionStatus:
        """Return the status of a stage, with changes that are not written yet.

        Args:
            row: The row in the database, with ``id`` and ``status``.
        """
        known = self._stages.get(row.id)
        status: ExecutionStatus = row.status if known is None else known.span.counts.status
        return status

    def counted(self, row: Any) -> ExecutionStatus:
        """Return the status that a job counts as, with changes that are not written yet.

        Args:
            row: The row in the database, with ``id``, ``status`` and ``allow_failure``.
        """
        known = self.jobs.get(row.id)
        return counted_status(row.status, row.allow_failure) if known is None else known.counted

    # --- changes ------------------------------------------------------------------------------------------------

    def move(self, job: JobRow, state: JobState) -> None:
        """Change the state of a job, and the roll-ups of its stage and its run.

        Args:
            job: The job.
            state: Its new state.
        """
        if state is job.state:
            return
        before, was = job.state, job.counted
        job.state = state
        if evolve(state, last_sequence=before.last_sequence) == before:
            # An update that only appends output is frequent. It changes no roll-up, and is not delivered by the outbox.
            self._heard_jobs[job.id] = job
            return
        self.touch(job)
        stage, run = job.stage, job.stage.run
        if self._noted_at is not None:
            self._noted.add(run.id)
        stage_before = stage.span
        stage.span = stage_before.after(was, job.counted, state.start_time, state.completion_time)
        if stage.span == stage_before:
            return
        self._changed_stages[stage.id] = stage
        run_before = run.span
        run.span = run_before.after(
            stage_before.counts.status, stage.span.counts.status, stage.span.start, stage.span.end
        )
        if run.span != run_before:
            self._changed_runs[run.id] = run

    def touch(self, job: JobRow) -> None:
        """Mark the row of a job as changed.

        Args:
            job: The job.
        """
        self._changed_jobs[job.id] = job

    def hear(self, job: JobRow, at: datetime) -> None:
        """Note when the Worker of a job was last heard of.

        Args:
            job: The job.
            at: The time.
        """
        job.heard_at = at
        self._heard_jobs[job.id] = job

    def cancel(self, run: RunRow, at: datetime) -> None:
        """Mark a run as canceled.

        Args:
            run: The run.
            at: The time.
        """
        run.canceled_at = at
        self._changed_runs[run.id] = run
        self._noted.add(run.id)

    def skip_waiting(self, run: RunRow) -> None:
        """Cancel every job of a run that was not handed out.

        Args:
            run: The run.
        """
        if self._changed_jobs:
            self.write()  # The query below reads from the database which jobs wait.
        for job in self.load(_WAITING, {"run_id": run.id}):
            self.move(job, skipped(job.state))

    def write(self) -> None:
        """Write the rows that changed."""
        jobs = [
            {
                "row": job.id,
                **{name: getattr(job.state, name) for name in _STATE},
                **{name: getattr(job, name) for name in _LEASE},
            }
            for job in self._changed_jobs.values()
        ]
        heard = [
            {"row": job.id, "last_sequence": job.state.last_sequence, "heard_at": job.heard_at}
            for job in self._heard_jobs.values()
            if job.id not in self._changed_jobs
        ]
        stages = [{"row": stage.id, **span_values(stage.span)} for stage in self._changed_stages.values()]
        runs = [
            {"row": run.id, **span_values(run.span, run.canceled_at), "canceled_at": run.canceled_at}
            for run in self._changed_runs.values()
        ]
        for statement, rows in (
            (_WRITE_JOBS, jobs),
            (_WRITE_OUTPUT, heard),
            (_WRITE_STAGES, stages),
            (_WRITE_RUNS, runs),
        ):
            execute_all(self._connection, statement, rows)
        if self._noted_at is not None:
            note(self._connection, self._noted, self._noted_at)
        self._changed_jobs, self._heard_jobs = {}, {}
        self._changed_stages, self._changed_runs, self._noted = {}, {}, set()
