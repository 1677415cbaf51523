"""Start runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from attrs import frozen
from sqlalchemy import Connection, bindparam, insert, select, update

from ..api.request import JobExecutionRequest, PipelineExecutionRequest
from ..api.response import PipelineExecutionResponse
from ..errors import Problem
from ..mapping import execution_to_records, job_execution_request, pipeline_execution_response
from ..model import JobExecution, Pipeline, PipelineExecution, StageExecution, StatusCounts
from ..model.status import Span, shifted
from .definitions import load_pipeline, save_pipeline
from .dispatch import StoreRules
from .errors import DefinitionError, UnknownPipelineError
from .outbox import note
from .rows import insert_new, row_of
from .states import span_values
from .tables import job_executions, name_key, pipeline_executions, pipeline_names, requests, stage_executions

__all__ = ["Started", "start", "started"]


@frozen(kw_only=True)
class Started:
    """A run that was started.

    Attributes:
        execution: The run: its id, its number, and its status.
        jobs: The requests of the jobs that are ready at once: each is for one Worker. Empty if the same request had
            started the run before.
    """

    execution: PipelineExecutionResponse
    jobs: tuple[JobExecutionRequest, ...]


_KNOWN = select(pipeline_executions.c.id, pipeline_executions.c.run_number, pipeline_executions.c.status).where(
    pipeline_executions.c.id
    == select(requests.c.pipeline_execution_id).where(requests.c.id == bindparam("request_id")).scalar_subquery()
)
_NEXT_RUN = (
    update(pipeline_names)
    .where(pipeline_names.c.name_key == bindparam("key"))
    .values(last_run_number=pipeline_names.c.last_run_number + 1)
    .returning(pipeline_names.c.last_run_number)
)


def start(connection: Connection, request: PipelineExecutionRequest, at: datetime, rules: StoreRules) -> Started:
    """Start a run, unless its request has started it before.

    Args:
        connection: A connection in a transaction that writes.
        request: The request.
        at: The time.
        rules: The store's rules.

    Raises:
        DefinitionError: The definition has the id of another one, or the request names another repository.
        UnknownPipelineError: There is no definition of the id, or the request names only a file, or a definition and
            the id of another one.
    """
    execution_id = uuid4()
    row = {"id": request.request_id, "pipeline_execution_id": execution_id}
    if not insert_new(connection, requests, row):
        known = started(connection, request.request_id)
        assert known is not None
        return Started(execution=known, jobs=())
    pipeline = _definition(connection, request, at)
    execution = PipelineExecution.of(
        pipeline,
        id=execution_id,
        run_number=_next_run_number(connection, pipeline.name),
        branch=request.branch,
        commit_hash=request.commit_hash,
        environment=request.environment,
        is_local=request.is_local,
    )
    execution, ready = execution.hand_out(at)
    _insert(connection, execution, shifted(at, rules.resend_after))
    if rules.has_outbox:
        note(connection, [execution.id], at)
    lease_seconds = max(1, int(rules.lease.total_seconds()))
    return Started(
        execution=pipeline_execution_response(execution),
        jobs=tuple(job_execution_request(execution, job.id, lease_seconds=lease_seconds) for job in ready),
    )


def _definition(connection: Connection, request: PipelineExecutionRequest, at: datetime) -> Pipeline:
    """Return the definition of a request, and store it if it is new."""
    pipeline = request.pipeline
    if pipeline is not None and request.pipeline_id not in (None, pipeline.id):
        raise _unknown("/pipeline_id", f"expected the id of the definition, {pipeline.id}, or none")
    if pipeline is None:
        if request.pipeline_id is None:
            raise _unknown("/pipeline", "expected a definition or the id of one that is stored; a store reads no files")
        pipeline = load_pipeline(connection, request.pipeline_id)
    if request.repo != pipeline.repo_url:
        # Its code would run with the pipeline's secrets.
        message = "expected the repository of the pipeline, found another one"
        raise DefinitionError(PipelineExecutionRequest, [Problem("/repo", "value", message)])
    if request.pipeline is not None:
        save_pipeline(connection, pipeline, at)
    return pipeline


def _unknown(pointer: str, message: str) -> UnknownPipelineError:
    return UnknownPipelineError(PipelineExecutionRequest, [Problem(pointer, "value", message)])


def _next_run_number(connection: Connection, name: str) -> int:
    """Take the next run number of a pipeline's name. No other run of the name starts until the transaction ends."""
    key = name_key(name)
    insert_new(connection, pipeline_names, {"name_key": key, "last_run_number": 0})
    number: int = connection.execute(_NEXT_RUN, {"key": key}).scalar_one()
    return number


def started(connection: Connection, request_id: UUID) -> PipelineExecutionResponse | None:
    """Return the status of the run that a request has started; None if it has started none.

    Args:
        connection: A connection in a transaction.
        request_id: The idempotency key.
    """
    row = connection.execute(_KNOWN, {"request_id": request_id}).one_or_none()
    if row is None:
        return None
    return PipelineExecutionResponse(execution_id=row.id, run_number=row.run_number, status=row.status)


def _insert(connection: Connection, execution: PipelineExecution, send_at: datetime) -> None:
    records = execution_to_records(execution)
    name, number = execution.pipeline.name, execution.run_number
    span = Span(StatusCounts.of(stage.status for stage in execution.stages), None, None)  # Nothing has run yet.
    run = row_of(pipeline_executions, records.execution, **span_values(span), name_key=name_key(name))
    stages: list[dict[str, Any]] = [
        row_of(
            stage_executions,
            record,
            **span_values(Span(stage.counts, None, None)),
            name_key=name_key(name, stage.name),
            run_number=number,
        )
        for record, stage in zip(records.stages, execution.stages, strict=True)
    ]
    jobs = [
        row_of(
            job_executions,
            record,
            name_key=name_key(name, stage.name, job.job.name),
            run_number=number,
            pipeline_execution_id=execution.id,
            losses=0,
            sendings=0 if job.is_waiting else 1,
            send_at=None if job.is_waiting else send_at,
        )
        for record, (stage, job) in zip(records.jobs, _jobs_of(execution), strict=True)
    ]
    connection.execute(insert(pipeline_executions), run)
    connection.execute(insert(stage_executions), stages)
    connection.execute(insert(job_executions), jobs)


def _jobs_of(execution: PipelineExecution) -> Iterator[tuple[StageExecution, JobExecution]]:
    """Yield the jobs in the order of definition, each with its stage."""
    for stage in execution.stages:
        for job in stage.jobs:
            yield stage, job
