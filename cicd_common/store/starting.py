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
from ..model import JobExecution, Pipeline, PipelineExecution, Span, StageExecution, StatusCounts
from .definitions import load_pipeline, save_pipeline
from .errors import UnknownPipelineError
from .progress import run_values, span_values
from .rows import insert_new, row_of
from .tables import job_executions, name_key, pipeline_executions, pipelines, requests, stage_executions

__all__ = ["Order", "Started", "start"]


@frozen(kw_only=True)
class Started:
    """A run that was started.

    Attributes:
        execution: The run: its id, its number, and its status.
        jobs: The jobs that are ready at once, handed out: each is for one Worker, and is never handed out again. None
            if the request had started the run before.
    """

    execution: PipelineExecutionResponse
    jobs: tuple[JobExecutionRequest, ...]


@frozen(kw_only=True)
class Order:
    """What is to be started.

    Attributes:
        pipeline: The definition; none if the id says it.
        pipeline_id: The id of a stored definition.
        request_id: The idempotency key; none if there is none.
        commit_hash: The commit to run on; none means that of the definition.
        is_local: Whether the run is for the caller's own machine.
    """

    pipeline: Pipeline | None
    pipeline_id: UUID
    request_id: UUID | None
    commit_hash: str | None
    is_local: bool

    @classmethod
    def of(cls, request: PipelineExecutionRequest) -> Order:
        """What a request asks for.

        Raises:
            UnknownPipelineError: It names a file alone, or a definition and the id of another one.
        """
        pipeline, pipeline_id = request.pipeline, request.pipeline_id
        if pipeline is not None:
            if pipeline_id not in (None, pipeline.id):
                raise _refusal("/pipeline_id", f"expected the id of the definition, {pipeline.id}, or none")
            pipeline_id = pipeline.id
        if pipeline_id is None:
            raise _refusal("/pipeline", "expected a definition or the id of one that is stored; a store reads no files")
        return cls(
            pipeline=pipeline,
            pipeline_id=pipeline_id,
            request_id=request.request_id,
            commit_hash=request.commit_hash,
            is_local=request.is_local,
        )


def _refusal(pointer: str, message: str) -> UnknownPipelineError:
    return UnknownPipelineError(PipelineExecutionRequest, [Problem(pointer, "value", message)])


_KNOWN = (
    select(pipeline_executions.c.id, pipeline_executions.c.run_number, pipeline_executions.c.status)
    .join(requests, requests.c.pipeline_execution_id == pipeline_executions.c.id)
    .where(requests.c.id == bindparam("request_id"))
)
_NEXT_RUN = (
    update(pipelines)
    .where(pipelines.c.id == bindparam("key"))
    .values(last_run_number=pipelines.c.last_run_number + 1)
    .returning(pipelines.c.last_run_number)
)


def start(connection: Connection, order: Order, at: datetime) -> Started:
    """Start a run, unless its request has started it before.

    Args:
        connection: In a transaction that writes.
        order: What is to be started.
        at: The time.

    Raises:
        DefinitionError: The definition has the id of something else.
        UnknownPipelineError: There is no definition of the id.
    """
    execution_id = uuid4()
    if order.request_id is not None:
        request = {"id": order.request_id, "pipeline_execution_id": execution_id}
        if not insert_new(connection, requests, request):
            return _known(connection, order.request_id)
    pipeline = order.pipeline
    if pipeline is None:
        pipeline = load_pipeline(connection, order.pipeline_id)
    else:
        save_pipeline(connection, pipeline, at)
    # From here to the end of the transaction, no other run of the pipeline is started.
    run_number = connection.execute(_NEXT_RUN, {"key": pipeline.id}).scalar_one()
    execution = pipeline.new_execution(
        id=execution_id, run_number=run_number, commit_hash=order.commit_hash, is_local=order.is_local
    )
    execution, ready = execution.hand_out(at)
    _insert(connection, execution)
    return Started(
        execution=pipeline_execution_response(execution),
        jobs=tuple(job_execution_request(execution, job.id) for job in ready),
    )


def _known(connection: Connection, request_id: UUID) -> Started:
    row = connection.execute(_KNOWN, {"request_id": request_id}).one()
    response = PipelineExecutionResponse(execution_id=row.id, run_number=row.run_number, status=row.status)
    return Started(execution=response, jobs=())


def _insert(connection: Connection, execution: PipelineExecution) -> None:
    records = execution_to_records(execution)
    name, number = execution.pipeline.name, execution.run_number
    span = Span(StatusCounts.of(stage.status for stage in execution.stages), None, None)  # Nothing has run yet.
    run = row_of(pipeline_executions, records.execution, **run_values(span, None), name_key=name_key(name))
    stages: list[dict[str, Any]] = [
        row_of(
            stage_executions, record, **span_values(stage.span), name_key=name_key(name, stage.name), run_number=number
        )
        for record, stage in zip(records.stages, execution.stages, strict=True)
    ]
    jobs = [
        row_of(
            job_executions,
            record,
            waits=len(of_stage.intersection(job.job.dependencies)),
            name_key=name_key(name, stage.name, job.job.name),
            run_number=number,
            pipeline_execution_id=execution.id,
        )
        for record, (stage, of_stage, job) in zip(records.jobs, _in_stages(execution), strict=True)
    ]
    connection.execute(insert(pipeline_executions), run)
    connection.execute(insert(stage_executions), stages)
    connection.execute(insert(job_executions), jobs)


def _in_stages(execution: PipelineExecution) -> Iterator[tuple[StageExecution, set[str], JobExecution]]:
    """The jobs in the order of definition, each with its stage and the names of all jobs in that."""
    for stage in execution.stages:
        names = {job.job.name for job in stage.jobs}
        for job in stage.jobs:
            yield stage, names, job
