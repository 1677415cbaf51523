"""Convert models to flat records and back, and models to messages. All functions are pure.

Values that a model does not have are arguments. Models that are converted to records and back are equal. Fields of the
same name are copied, so a new field needs no line here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn, TypeVar, cast
from uuid import UUID

from attrs import fields, frozen

from .api.request import JobExecutionRequest
from .api.response import JobExecutionResponse, PipelineExecutionResponse
from .dto import JobDTO, JobExecutionDTO, PipelineDTO, PipelineExecutionDTO, StageDTO, StageExecutionDTO
from .errors import ContractError, Problem
from .model import Job, JobExecution, Pipeline, PipelineExecution, Stage, StageExecution, job_environment

__all__ = [
    "ExecutionRecords",
    "PipelineRecords",
    "execution_from_records",
    "execution_to_records",
    "job_execution_request",
    "job_execution_response",
    "pipeline_execution_response",
    "pipeline_from_records",
    "pipeline_to_records",
    "request_for",
]

T = TypeVar("T")


def _copied(source: Any, cls: type[T], **others: Any) -> T:
    """Make an instance of a class from the attributes of a source with the names of its fields, and other values."""
    names = (field.name for field in fields(cast(Any, cls)) if hasattr(source, field.name))
    return cls(**{name: getattr(source, name) for name in names if name not in others}, **others)


@frozen(kw_only=True)
class PipelineRecords:
    """The records of a pipeline.

    Attributes:
        pipeline: The record of the pipeline.
        stages: The records of its stages, in the order in which they run.
        jobs: The records of its jobs, in the order of definition, which a `JobDTO` does not have.
    """

    pipeline: PipelineDTO
    stages: tuple[StageDTO, ...]
    jobs: tuple[JobDTO, ...]


@frozen(kw_only=True)
class ExecutionRecords:
    """The records of a pipeline execution.

    Attributes:
        execution: The record of the pipeline execution.
        stages: The records of its stages, in the order in which they run.
        jobs: The records of its jobs, in the order of definition.
    """

    execution: PipelineExecutionDTO
    stages: tuple[StageExecutionDTO, ...]
    jobs: tuple[JobExecutionDTO, ...]


# --- pipelines -------------------------------------------------------------------------------------------------


def pipeline_to_records(pipeline: Pipeline, *, created_at: datetime, updated_at: datetime) -> PipelineRecords:
    """Convert a pipeline to records. Names of dependencies become ids.

    Args:
        pipeline: The pipeline.
        created_at: When the records were made.
        updated_at: When they were last changed.

    Raises:
        ContractError: A time has no offset.
    """
    ids = {job.name: job.id for stage in pipeline.stages for job in stage.jobs}
    times = {"created_at": created_at, "updated_at": updated_at}
    return PipelineRecords(
        pipeline=_copied(pipeline, PipelineDTO, **times),
        stages=tuple(
            _copied(stage, StageDTO, pipeline_id=pipeline.id, execution_order=order, **times)
            for order, stage in enumerate(pipeline.stages)
        ),
        jobs=tuple(
            _copied(job, JobDTO, stage_id=stage.id, dependencies=tuple(ids[name] for name in job.dependencies), **times)
            for stage in pipeline.stages
            for job in stage.jobs
        ),
    )


def pipeline_from_records(pipeline: PipelineDTO, stages: Iterable[StageDTO], jobs: Iterable[JobDTO]) -> Pipeline:
    """Make a pipeline from its records. Ids of dependencies become names.

    Args:
        pipeline: The record of the pipeline.
        stages: The records of its stages, in any order.
        jobs: The records of its jobs; those of one stage in the order of definition.

    Raises:
        ContractError: A record belongs to another pipeline or stage, a dependency is not among the jobs, or the records
            do not make a valid pipeline.
    """
    jobs = tuple(jobs)
    stages = sorted(stages, key=lambda stage: stage.execution_order)
    names = {job.id: job.name for job in jobs}
    of_stage = _grouped("/jobs", "stage_id", jobs, [stage.id for stage in stages])
    _grouped("/stages", "pipeline_id", stages, [pipeline.id])
    return _copied(
        pipeline,
        Pipeline,
        stages=tuple(
            _copied(stage, Stage, jobs=tuple(_job(job, names) for job in of_stage[stage.id])) for stage in stages
        ),
    )


def _job(record: JobDTO, names: Mapping[UUID, str]) -> Job:
    for job_id in record.dependencies:
        if job_id not in names:
            message = f"expected job {record.name} to depend on jobs of the pipeline, not on {job_id}"
            _refuse(Pipeline, "/jobs", message)
    return _copied(record, Job, dependencies=tuple(names[job_id] for job_id in record.dependencies))


def _grouped(pointer: str, key: str, records: Iterable[Any], ids: Iterable[UUID]) -> dict[UUID, list[Any]]:
    """Group records by the id of their owner, and keep their order."""
    groups: dict[UUID, list[Any]] = {each: [] for each in ids}
    for record in records:
        owner = getattr(record, key)
        if owner not in groups:
            _refuse(type(record), pointer, f"expected the {key} of the record {record.id} to be of those given")
        groups[owner].append(record)
    return groups


def _one_each(pointer: str, key: str, records: Iterable[Any], ids: Sequence[UUID]) -> dict[UUID, Any]:
    """Return the only record of each owner, by the owner's id."""
    groups = _grouped(pointer, key, records, ids)
    for each, group in groups.items():
        if len(group) != 1:
            _refuse(PipelineExecution, pointer, f"expected one record of the {key} {each}, found {len(group)}")
    return {each: record for each, (record,) in groups.items()}


def _refuse(type: Any, pointer: str, message: str) -> NoReturn:
    raise ContractError(type, [Problem(pointer, "value", message)])


# --- executions ------------------------------------------------------------------------------------------------


def execution_to_records(
    execution: PipelineExecution,
    *,
    logs: Mapping[UUID, str] | None = None,
    heard_at: Mapping[UUID, datetime] | None = None,
    jobs: Iterable[JobDTO] = (),
) -> ExecutionRecords:
    """Convert an execution to records.

    Args:
        execution: The execution.
        logs: The output of each job, by the id of its execution; None means no output.
        heard_at: When the Backend last heard of each job's Worker, by the id of the job's execution; None means never.
        jobs: The records of jobs to include in the records of their executions.

    Returns:
        The records, with the status and the times that follow from the jobs.
    """
    logs, heard_at = logs or {}, heard_at or {}
    records = {job.id: job for job in jobs}
    return ExecutionRecords(
        execution=_copied(execution, PipelineExecutionDTO, pipeline_id=execution.pipeline.id),
        stages=tuple(
            _copied(
                run, StageExecutionDTO, stage_id=stage.id, pipeline_execution_id=execution.id, execution_order=order
            )
            for order, (stage, run) in enumerate(zip(execution.pipeline.stages, execution.stages, strict=True))
        ),
        jobs=tuple(
            _copied(
                run,
                JobExecutionDTO,
                stage_execution_id=stage.id,
                job_id=run.job.id,
                allow_failure=run.job.allow_failure,
                logs=logs.get(run.id, ""),
                heard_at=heard_at.get(run.id),
                job=records.get(run.job.id),
            )
            for stage in execution.stages
            for run in stage.jobs
        ),
    )


def execution_from_records(
    pipeline: Pipeline,
    execution: PipelineExecutionDTO,
    stages: Iterable[StageExecutionDTO],
    jobs: Iterable[JobExecutionDTO],
) -> PipelineExecution:
    """Make an execution from its records. The status and the times of the run and its stages follow from the jobs.

    Args:
        pipeline: The pipeline that ran.
        execution: The record of the execution.
        stages: The records of its stages, in any order.
        jobs: The records of its jobs, in any order.

    Raises:
        ContractError: A record belongs to another execution, or a record is missing.
    """
    if execution.pipeline_id != pipeline.id:
        _refuse(PipelineExecution, "/pipeline_id", f"expected the id of the pipeline, {pipeline.id}")
    stages = tuple(stages)
    _grouped("/stages", "pipeline_execution_id", stages, [execution.id])
    runs = _one_each("/stages", "stage_id", stages, [stage.id for stage in pipeline.stages])
    of_stage = _grouped("/jobs", "stage_execution_id", jobs, [stage.id for stage in stages])
    return _copied(
        execution,
        PipelineExecution,
        pipeline=pipeline,
        stages=tuple(
            StageExecution(
                id=runs[stage.id].id, name=stage.name, jobs=_job_executions(stage, of_stage[runs[stage.id].id])
            )
            for stage in pipeline.stages
        ),
    )


def _job_executions(stage: Stage, records: Sequence[JobExecutionDTO]) -> tuple[JobExecution, ...]:
    runs = _one_each("/jobs", "job_id", records, [job.id for job in stage.jobs])
    return tuple(_copied(runs[job.id], JobExecution, job=job) for job in stage.jobs)


# --- messages --------------------------------------------------------------------------------------------------


def job_execution_request(
    execution: PipelineExecution, job_execution_id: UUID, *, lease_seconds: int = 60
) -> JobExecutionRequest:
    """Make the request that hands a job of an execution to a Worker.

    Args:
        execution: The execution that the job is part of.
        job_execution_id: The id of the job's execution.
        lease_seconds: After how many seconds without an update the job counts as lost, from 1; 60 by default.

    Raises:
        UnknownJobError: The execution has no job of this id.
        ContractError: The lease is refused.
    """
    stage = execution.stage_of(job_execution_id)
    run = execution.job(job_execution_id)
    ids = {each.job.name: each.id for stage in execution.stages for each in stage.jobs}
    return request_for(
        run.job,
        run,
        execution=execution,
        pipeline=execution.pipeline,
        stage_execution_id=stage.id,
        stage_name=stage.name,
        inputs=tuple(ids[name] for name in dict.fromkeys(run.job.dependencies)),
        lease_seconds=lease_seconds,
    )


def request_for(
    job: Job | JobDTO,
    run: JobExecution | JobExecutionDTO,
    *,
    execution: PipelineExecution | PipelineExecutionDTO,
    pipeline: Pipeline | PipelineDTO,
    stage_execution_id: UUID,
    stage_name: str,
    inputs: Iterable[UUID],
    lease_seconds: int = 60,
) -> JobExecutionRequest:
    """Make the request that hands a job to a Worker, from models or from records.

    Args:
        job: The job.
        run: The execution of the job.
        execution: The pipeline execution.
        pipeline: The pipeline.
        stage_execution_id: The id of the stage execution.
        stage_name: The name of the stage.
        inputs: The ids of the executions of the job's dependencies.
        lease_seconds: After how many seconds without an update the job counts as lost, from 1; 60 by default.

    Raises:
        ContractError: The lease is refused.
    """
    return _copied(
        job,
        JobExecutionRequest,
        job_execution_id=run.id,
        stage_execution_id=stage_execution_id,
        pipeline_execution_id=execution.id,
        job_id=job.id,
        job_name=job.name,
        stage_name=stage_name,
        pipeline_name=pipeline.name,
        run_number=execution.run_number,
        repo=pipeline.repo_url,
        branch=execution.branch,
        commit_hash=execution.commit_hash,
        is_local=execution.is_local,
        environment=job_environment(pipeline.environment, job.environment, execution.environment),
        commands=job.script,
        inputs=tuple(inputs),
        attempt=run.attempt,
        last_sequence=run.last_sequence,
        lease_seconds=lease_seconds,
    )


def job_execution_response(
    run: JobExecution, *, is_cancel_requested: bool = False, is_superseded: bool = False
) -> JobExecutionResponse:
    """Make the response of a Backend about a job execution.

    Args:
        run: The job execution.
        is_cancel_requested: Whether the Worker is to stop the job and to report how it ended.
        is_superseded: Whether the Worker is to stop the job and to report nothing more.
    """
    return JobExecutionResponse(
        job_execution_id=run.id,
        status=run.status,
        is_cancel_requested=is_cancel_requested,
        is_superseded=is_superseded,
    )


def pipeline_execution_response(execution: PipelineExecution) -> PipelineExecutionResponse:
    """Make the response of a Backend about a pipeline execution.

    Args:
        execution: The execution.
    """
    return PipelineExecutionResponse(
        execution_id=execution.id, run_number=execution.run_number, status=execution.status
    )
