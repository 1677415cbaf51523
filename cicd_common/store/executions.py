"""Read executions: their status, their records, and the models made of them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import BindParameter, Connection, Executable, bindparam, select

from ..api.response import JobExecutionResponse, PipelineExecutionResponse
from ..dto import JobExecutionDTO, PipelineExecutionDTO, StageExecutionDTO
from ..mapping import execution_from_records
from ..model import PipelineExecution
from .definitions import load_pipeline
from .errors import unknown_execution, unknown_job
from .rows import columns_for
from .tables import job_executions, pipeline_executions, stage_executions

__all__ = ["check", "job_execution", "job_status", "load_execution", "status"]

_RUN_ID: BindParameter[UUID] = bindparam("run_id")
_RUN = select(*columns_for(PipelineExecutionDTO, pipeline_executions)).where(pipeline_executions.c.id == _RUN_ID)
_STAGES = select(*columns_for(StageExecutionDTO, stage_executions)).where(
    stage_executions.c.pipeline_execution_id == _RUN_ID
)
_JOBS = (
    select(*columns_for(JobExecutionDTO, job_executions))
    .join(stage_executions, job_executions.c.stage_execution_id == stage_executions.c.id)
    .where(stage_executions.c.pipeline_execution_id == _RUN_ID)
)
_STATUS = select(pipeline_executions.c.run_number, pipeline_executions.c.status).where(
    pipeline_executions.c.id == _RUN_ID
)
_JOB = select(*columns_for(JobExecutionDTO, job_executions)).where(job_executions.c.id == bindparam("job_execution_id"))
_JOB_STATUS = (
    select(job_executions.c.status, pipeline_executions.c.canceled_at)
    .join(pipeline_executions, job_executions.c.pipeline_execution_id == pipeline_executions.c.id)
    .where(job_executions.c.id == bindparam("job_execution_id"))
)


def status(connection: Connection, execution_id: UUID) -> PipelineExecutionResponse:
    """Return the status of a pipeline execution.

    Args:
        connection: A connection in a transaction.
        execution_id: The pipeline execution.

    Raises:
        UnknownExecutionError: There is no execution of this id.
    """
    row = connection.execute(_STATUS, {"run_id": execution_id}).one_or_none()
    if row is None:
        raise unknown_execution(execution_id)
    return PipelineExecutionResponse(execution_id=execution_id, run_number=row.run_number, status=row.status)


def job_status(connection: Connection, job_execution_id: UUID) -> JobExecutionResponse:
    """Return the status of a job execution, and whether its Worker is to stop it.

    Args:
        connection: A connection in a transaction.
        job_execution_id: The job execution.

    Raises:
        UnknownJobExecutionError: There is no execution of this id.
    """
    row = _one_job(connection, _JOB_STATUS, job_execution_id)
    return JobExecutionResponse(
        job_execution_id=job_execution_id,
        status=row.status,
        is_cancel_requested=row.canceled_at is not None and not row.status.is_terminal,
    )


def job_execution(connection: Connection, job_execution_id: UUID) -> JobExecutionDTO:
    """Load the record of a job execution, without its output.

    Args:
        connection: A connection in a transaction.
        job_execution_id: The job execution.

    Raises:
        UnknownJobExecutionError: There is no execution of this id.
    """
    return JobExecutionDTO(**_one_job(connection, _JOB, job_execution_id)._mapping)


def _one_job(connection: Connection, statement: Executable, job_execution_id: UUID) -> Any:
    row = connection.execute(statement, {"job_execution_id": job_execution_id}).one_or_none()
    if row is None:
        raise unknown_job(job_execution_id)
    return row


_EXISTS = {
    "pipeline_execution_id": (select(pipeline_executions.c.id), pipeline_executions.c.id, unknown_execution),
    "stage_execution_id": (select(stage_executions.c.id), stage_executions.c.id, unknown_execution),
    "job_execution_id": (select(job_executions.c.id), job_executions.c.id, unknown_job),
}


def check(connection: Connection, kind: str, execution_id: UUID) -> None:
    """Check that an execution exists.

    Args:
        connection: A connection in a transaction.
        kind: The kind of the id: ``pipeline_execution_id``, ``stage_execution_id`` or ``job_execution_id``.
        execution_id: The id of the execution.

    Raises:
        UnknownExecutionError: There is no pipeline or stage execution of this id.
        UnknownJobExecutionError: There is no job execution of this id.
    """
    statement, column, unknown = _EXISTS[kind]
    if connection.execute(statement.where(column == execution_id)).first() is None:
        raise unknown(execution_id)


def load_execution(connection: Connection, execution_id: UUID) -> PipelineExecution:
    """Load a pipeline execution with its definition, its stages and its jobs.

    Args:
        connection: A connection in a transaction in which all statements see the same state.
        execution_id: The pipeline execution.

    Raises:
        UnknownExecutionError: There is no execution of this id.
    """
    key: dict[str, Any] = {"run_id": execution_id}
    row = connection.execute(_RUN, key).one_or_none()
    if row is None:
        raise unknown_execution(execution_id)
    return execution_from_records(
        load_pipeline(connection, row.pipeline_id),
        PipelineExecutionDTO(**row._mapping),
        [StageExecutionDTO(**each._mapping) for each in connection.execute(_STAGES, key)],
        [JobExecutionDTO(**each._mapping) for each in connection.execute(_JOBS, key)],
    )
