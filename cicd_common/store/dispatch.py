"""Hand jobs to Workers: find the ready jobs, mark them, and make their requests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import chain
from typing import Any
from uuid import UUID

from attrs import frozen
from sqlalchemy import Connection, select

from ..api.request import JobExecutionRequest
from ..dto import JobDTO, JobExecutionDTO, PipelineDTO, PipelineExecutionDTO
from ..enums import ExecutionStatus
from ..mapping import request_for
from ..model.job_execution import handed_out, is_ready
from ..model.status import open_stage, shifted
from .columns import is_one_of
from .rows import columns_for
from .states import JOB_ROWS, JobRow, RunStates
from .tables import (
    IS_WAITING,
    dependencies,
    job_executions,
    jobs,
    pipeline_executions,
    pipelines,
    stage_executions,
    stages,
)

__all__ = ["StoreRules", "hand_out", "requests", "send"]


@frozen(kw_only=True)
class StoreRules:
    """The settings of a store: how long it waits for Workers, and whether it has an outbox.

    Attributes:
        lease: How long a claimed job may go without an update before it counts as lost.
        max_losses: How often a job may be lost before it ends as ``FAILED``.
        resend_after: How long a request may be unclaimed before it is sent again. The wait doubles each time.
        has_outbox: Whether changed runs are noted in the outbox.
    """

    lease: timedelta
    max_losses: int
    resend_after: timedelta
    has_outbox: bool


def send(job: JobRow, at: datetime, rules: StoreRules) -> None:
    """Note that the request of a job's attempt is sent.

    Args:
        job: The job. The caller writes its row.
        at: The time.
        rules: The store's rules.
    """
    # The exponent is bounded: a wait of 5 minutes grows to two weeks at most.
    wait = rules.resend_after * 2 ** min(job.sendings, 12)
    # A job of a canceled run ends if no Worker claims it within a lease.
    job.send_at = shifted(at, wait if job.stage.run.canceled_at is None else rules.lease)
    job.sendings += 1


# --- ready jobs ------------------------------------------------------------------------------------------------

_STAGES = (
    select(stage_executions.c.id, stage_executions.c.pipeline_execution_id, stage_executions.c.status)
    .where(is_one_of(stage_executions.c.pipeline_execution_id))
    .order_by(stage_executions.c.pipeline_execution_id, stage_executions.c.execution_order)
)
_OF_STAGES = JOB_ROWS.where(
    is_one_of(job_executions.c.pipeline_execution_id, "run_ids"),
    is_one_of(job_executions.c.stage_execution_id, "stage_ids"),
    IS_WAITING,
)
# These jobs may wait for other jobs, too: `_NEEDS` reads all their dependencies.
_DEPENDENTS = _OF_STAGES.where(
    select(dependencies.c.job_id)
    .where(dependencies.c.job_id == job_executions.c.job_id, is_one_of(dependencies.c.dependency_id, "job_ids"))
    .exists()
)
_needed = job_executions.alias("needed")
_NEEDS = (
    select(job_executions.c.id.label("job"), _needed.c.id, _needed.c.status, _needed.c.allow_failure)
    .join(dependencies, dependencies.c.job_id == job_executions.c.job_id)
    .join(
        _needed,
        (_needed.c.pipeline_execution_id == job_executions.c.pipeline_execution_id)
        & (_needed.c.job_id == dependencies.c.dependency_id),
    )
    .where(is_one_of(job_executions.c.id))
    .order_by(dependencies.c.position)
)


def hand_out(
    connection: Connection, states: RunStates, succeeded: Iterable[JobRow], at: datetime, rules: StoreRules
) -> tuple[JobExecutionRequest, ...]:
    """Hand out the jobs that became ready because other jobs succeeded.

    Args:
        connection: A connection in a transaction that has locked the runs.
        states: The rows of the runs. Unwritten changes are written if there are jobs that may be ready.
        succeeded: The jobs that now count as ``SUCCESS``. Their runs are not halted.
        at: The time.
        rules: The store's rules.

    Returns:
        The requests. Those of one run are in the order of definition.
    """
    by_run: defaultdict[UUID, list[JobRow]] = defaultdict(list)
    for job in succeeded:
        by_run[job.stage.run.id].append(job)
    if not by_run:
        return ()
    candidates = _candidates(connection, states, by_run)
    if not candidates:
        return ()
    rows = connection.execute(_NEEDS, {"ids": [job.id for job in candidates]}).all()
    needs: defaultdict[UUID, list[ExecutionStatus]] = defaultdict(list)
    for row in rows:
        needs[row.job].append(states.counted(row))
    ready = [job for job in candidates if is_ready(job.state, needs[job.id])]
    for job in ready:
        states.move(job, handed_out(job.state, at))
        send(job, at, rules)
    states.write()
    return requests(connection, [job.id for job in ready], rules, rows)


def _candidates(connection: Connection, states: RunStates, by_run: dict[UUID, list[JobRow]]) -> list[JobRow]:
    """Load the waiting jobs of open stages that may be ready after the success of other jobs."""
    of_run: defaultdict[UUID, list[Any]] = defaultdict(list)
    for row in connection.execute(_STAGES, {"ids": sorted(by_run)}):
        of_run[row.pipeline_execution_id].append(row)
    wanted: dict[Any, list[tuple[UUID, UUID, list[UUID]]]] = {_DEPENDENTS: [], _OF_STAGES: []}
    for run_id, succeeded in by_run.items():
        rows = of_run[run_id]
        index = open_stage([states.status_of_stage(row) for row in rows])
        if index < len(rows):
            stage_id = rows[index].id
            # A success in the open stage frees the job's dependents. One in the stage before frees all jobs.
            statement = _DEPENDENTS if all(job.stage.id == stage_id for job in succeeded) else _OF_STAGES
            wanted[statement].append((run_id, stage_id, [job.job_id for job in succeeded]))
    found: list[JobRow] = []
    for statement, keys in wanted.items():
        if keys:
            run_ids, stage_ids, job_ids = zip(*keys, strict=True)
            found += states.load(
                statement, {"run_ids": run_ids, "stage_ids": stage_ids, "job_ids": list(chain.from_iterable(job_ids))}
            )
    return found


# --- requests --------------------------------------------------------------------------------------------------

_TABLES: dict[type[Any], Any] = {
    JobExecutionDTO: job_executions,
    JobDTO: jobs,
    PipelineExecutionDTO: pipeline_executions,
    PipelineDTO: pipelines,
}
# The id is the first column of each.
_COLUMNS = {record: columns_for(record, table) for record, table in _TABLES.items()}
_REQUESTS = (
    select(*(column.label(None) for columns in _COLUMNS.values() for column in columns), stages.c.name)
    .join(jobs, job_executions.c.job_id == jobs.c.id)
    .join(stages, jobs.c.stage_id == stages.c.id)
    .join(pipeline_executions, job_executions.c.pipeline_execution_id == pipeline_executions.c.id)
    .join(pipelines, pipeline_executions.c.pipeline_id == pipelines.c.id)
    .where(is_one_of(job_executions.c.id))
    .order_by(job_executions.c.pipeline_execution_id, jobs.c.place)
)


def requests(
    connection: Connection, ids: Collection[UUID], rules: StoreRules, needs: Iterable[Any] | None = None
) -> tuple[JobExecutionRequest, ...]:
    """Make the requests that hand jobs to Workers.

    Args:
        connection: A connection in a transaction.
        ids: The ids of the job executions.
        rules: The store's rules.
        needs: The rows of the dependencies of these jobs, and maybe of others; read from the database by default.

    Returns:
        The requests. Those of one run are in the order of definition.
    """
    if not ids:
        return ()
    key = {"ids": list(ids)}
    rows = connection.execute(_NEEDS, key).all() if needs is None else needs
    inputs: defaultdict[UUID, dict[UUID, None]] = defaultdict(dict)
    for row in rows:
        inputs[row.job][row.id] = None
    known: dict[tuple[type[Any], UUID], Any] = {}
    return tuple(_request(row, inputs, rules, known) for row in connection.execute(_REQUESTS, key))


def _request(
    row: Any, inputs: dict[UUID, dict[UUID, None]], rules: StoreRules, known: dict[tuple[type[Any], UUID], Any]
) -> JobExecutionRequest:
    run, job, execution, pipeline = _records(row, known)
    return request_for(
        job,
        run,
        execution=execution,
        pipeline=pipeline,
        stage_execution_id=run.stage_execution_id,
        stage_name=row[-1],
        inputs=inputs[run.id],
        lease_seconds=max(1, int(rules.lease.total_seconds())),
    )


_TUPLES = ("script", "secrets", "artifacts")


def _records(row: Any, known: dict[tuple[type[Any], UUID], Any]) -> Iterator[Any]:
    """Make the records of a row. Rows of one run share its record and that of its definition."""
    start = 0
    for record, columns in _COLUMNS.items():
        end = start + len(columns)
        key = (record, row[start])
        if key not in known:
            values = dict(zip((column.name for column in columns), row[start:end], strict=True))
            values |= {name: tuple(values[name]) for name in _TUPLES if name in values}
            known[key] = record(**values)
        yield known[key]
        start = end
