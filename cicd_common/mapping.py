"""Between the models and the flat records, and from the models to what is sent. Pure functions.

What a record does not hold is an argument. Nothing is lost: models made into records and back are the same models.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn
from uuid import UUID

from attrs import frozen

from .api.request import JobExecutionRequest
from .api.response import JobExecutionResponse, PipelineExecutionResponse
from .dto import JobDTO, JobExecutionDTO, PipelineDTO, PipelineExecutionDTO, StageDTO, StageExecutionDTO
from .errors import ContractError, Problem
from .model import Job, JobExecution, Pipeline, PipelineExecution, Stage, StageExecution

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
]


@frozen(kw_only=True)
class PipelineRecords:
    """The records of a pipeline.

    Attributes:
        pipeline: That of the pipeline.
        stages: Those of its stages, in the order in which they run.
        jobs: Those of its jobs, in the order of definition, which a `JobDTO` alone does not tell.
    """

    pipeline: PipelineDTO
    stages: tuple[StageDTO, ...]
    jobs: tuple[JobDTO, ...]


@frozen(kw_only=True)
class ExecutionRecords:
    """The records of a pipeline execution.

    Attributes:
        execution: That of the pipeline execution.
        stages: Those of its stages, in the order in which they run.
        jobs: Those of its jobs, in the order of definition.
    """

    execution: PipelineExecutionDTO
    stages: tuple[StageExecutionDTO, ...]
    jobs: tuple[JobExecutionDTO, ...]


# --- pipelines -------------------------------------------------------------------------------------------------


def pipeline_to_records(pipeline: Pipeline, *, created_at: datetime, updated_at: datetime) -> PipelineRecords:
    """Take a pipeline apart into records. Names of dependencies become ids.

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
        pipeline=PipelineDTO(
            id=pipeline.id,
            name=pipeline.name,
            repo_url=pipeline.repo_url,
            branch=pipeline.branch,
            commit_hash=pipeline.commit_hash,
            **times,
        ),
        stages=tuple(
            StageDTO(id=stage.id, pipeline_id=pipeline.id, name=stage.name, execution_order=order, **times)
            for order, stage in enumerate(pipeline.stages)
        ),
        jobs=tuple(_job_record(job, stage, ids, times) for stage in pipeline.stages for job in stage.jobs),
    )


def _job_record(job: Job, stage: Stage, ids: Mapping[str, UUID], times: Mapping[str, datetime]) -> JobDTO:
    return JobDTO(
        id=job.id,
        stage_id=stage.id,
        name=job.name,
        script=job.script,
        docker_image=job.docker_image,
        working_dir=job.working_dir,
        dependencies=tuple(ids[name] for name in job.dependencies),
        allow_failure=job.allow_failure,
        artifacts=job.artifacts,
        **times,
    )


def pipeline_from_records(pipeline: PipelineDTO, stages: Iterable[StageDTO], jobs: Iterable[JobDTO]) -> Pipeline:
    """Put a pipeline together from its records. Ids of dependencies become names.

    Args:
        pipeline: The record of the pipeline.
        stages: Those of its stages, in any order: they tell it themselves.
        jobs: Those of its jobs; those of a stage in the order of definition.

    Raises:
        ContractError: A record belongs to something else, a dependency is not among the jobs, or the records together
            are no pipeline.
    """
    jobs = tuple(jobs)
    stages = sorted(stages, key=lambda stage: stage.execution_order)
    names = {job.id: job.name for job in jobs}
    of_stage = _grouped("/jobs", "stage_id", jobs, [stage.id for stage in stages])
    _grouped("/stages", "pipeline_id", stages, [pipeline.id])
    return Pipeline(
        id=pipeline.id,
        name=pipeline.name,
        repo_url=pipeline.repo_url,
        branch=pipeline.branch,
        commit_hash=pipeline.commit_hash,
        stages=tuple(
            Stage(id=stage.id, name=stage.name, jobs=tuple(_job(job, names) for job in of_stage[stage.id]))
            for stage in stages
        ),
    )


def _job(record: JobDTO, names: Mapping[UUID, str]) -> Job:
    for job_id in record.dependencies:
        if job_id not in names:
            message = f"expected job {record.name} to depend on jobs of the pipeline, not on {job_id}"
            _refuse(Pipeline, "/jobs", message)
    return Job(
        id=record.id,
        name=record.name,
        script=record.script,
        docker_image=record.docker_image,
        working_dir=record.working_dir,
        dependencies=tuple(names[job_id] for job_id in record.dependencies),
        allow_failure=record.allow_failure,
        artifacts=record.artifacts,
    )


def _grouped(pointer: str, key: str, records: Iterable[Any], ids: Iterable[UUID]) -> dict[UUID, list[Any]]:
    """Records by the one they belong to, each group in the order in which they came."""
    groups: dict[UUID, list[Any]] = {each: [] for each in ids}
    for record in records:
        owner = getattr(record, key)
        if owner not in groups:
            _refuse(type(record), pointer, f"expected the {key} of the record {record.id} to be of those given")
        groups[owner].append(record)
    return groups


def _one_each(pointer: str, key: str, records: Iterable[Any], ids: Sequence[UUID]) -> dict[UUID, Any]:
    """Records by the one they belong to, of which each has one."""
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
    jobs: Iterable[JobDTO] = (),
) -> ExecutionRecords:
    """Take an execution apart into records.

    Args:
        execution: The execution.
        logs: The output of each job, by the id of its execution; none means no output.
        jobs: Records of jobs; those that are here go with the records of their executions.

    Returns:
        The records, with the status and the times that follow from the jobs.
    """
    logs = logs or {}
    records = {job.id: job for job in jobs}
    return ExecutionRecords(
        execution=PipelineExecutionDTO(
            id=execution.id,
            pipeline_id=execution.pipeline.id,
            run_number=execution.run_number,
            commit_hash=execution.commit_hash,
            is_local=execution.is_local,
            status=execution.status,
            start_time=execution.start_time,
            completion_time=execution.completion_time,
            canceled_at=execution.canceled_at,
        ),
        stages=tuple(
            StageExecutionDTO(
                id=run.id,
                stage_id=stage.id,
                pipeline_execution_id=execution.id,
                execution_order=order,
                status=run.status,
                start_time=run.start_time,
                completion_time=run.completion_time,
            )
            for order, (stage, run) in enumerate(zip(execution.pipeline.stages, execution.stages, strict=True))
        ),
        jobs=tuple(
            _job_execution_record(job, stage.id, logs.get(job.id, ""), records.get(job.job.id))
            for stage in execution.stages
            for job in stage.jobs
        ),
    )


def _job_execution_record(run: JobExecution, stage_id: UUID, logs: str, job: JobDTO | None) -> JobExecutionDTO:
    return JobExecutionDTO(
        id=run.id,
        stage_execution_id=stage_id,
        job_id=run.job.id,
        status=run.status,
        allow_failure=run.job.allow_failure,
        exit_code=run.exit_code,
        queued_at=run.queued_at,
        start_time=run.start_time,
        completion_time=run.completion_time,
        last_sequence=run.last_sequence,
        logs=logs,
        job=job,
    )


def execution_from_records(
    pipeline: Pipeline,
    execution: PipelineExecutionDTO,
    stages: Iterable[StageExecutionDTO],
    jobs: Iterable[JobExecutionDTO],
) -> PipelineExecution:
    """Put an execution together from its records. The status and the times of parents follow from the jobs again.

    Args:
        pipeline: The pipeline that ran.
        execution: The record of the execution.
        stages: Those of its stages, in any order.
        jobs: Those of its jobs, in any order: the pipeline tells it.

    Raises:
        ContractError: A record belongs to something else, or one is missing.
    """
    if execution.pipeline_id != pipeline.id:
        _refuse(PipelineExecution, "/pipeline_id", f"expected the id of the pipeline, {pipeline.id}")
    stages = tuple(stages)
    _grouped("/stages", "pipeline_execution_id", stages, [execution.id])
    runs = _one_each("/stages", "stage_id", stages, [stage.id for stage in pipeline.stages])
    of_stage = _grouped("/jobs", "stage_execution_id", jobs, [stage.id for stage in stages])
    return PipelineExecution(
        id=execution.id,
        pipeline=pipeline,
        run_number=execution.run_number,
        commit_hash=execution.commit_hash,
        is_local=execution.is_local,
        canceled_at=execution.canceled_at,
        stages=tuple(
            StageExecution(
                id=runs[stage.id].id, name=stage.name, jobs=_job_executions(stage, of_stage[runs[stage.id].id])
            )
            for stage in pipeline.stages
        ),
    )


def _job_executions(stage: Stage, records: Sequence[JobExecutionDTO]) -> tuple[JobExecution, ...]:
    runs = _one_each("/jobs", "job_id", records, [job.id for job in stage.jobs])
    return tuple(_job_execution(job, runs[job.id]) for job in stage.jobs)


def _job_execution(job: Job, record: JobExecutionDTO) -> JobExecution:
    return JobExecution(
        id=record.id,
        job=job,
        status=record.status,
        queued_at=record.queued_at,
        start_time=record.start_time,
        completion_time=record.completion_time,
        exit_code=record.exit_code,
        last_sequence=record.last_sequence,
    )


# --- what is sent ----------------------------------------------------------------------------------------------


def job_execution_request(execution: PipelineExecution, job_execution_id: UUID) -> JobExecutionRequest:
    """What a Worker is asked, to run a job.

    Args:
        execution: The execution that the job is part of.
        job_execution_id: The id of the job's execution.

    Raises:
        UnknownJobError: The execution has no such job.
    """
    run = execution.job(job_execution_id)
    return JobExecutionRequest(
        job_execution_id=run.id,
        stage_execution_id=execution.stage_execution_id(job_execution_id),
        job_id=run.job.id,
        job_name=run.job.name,
        repo=execution.pipeline.repo_url,
        commit_hash=execution.commit_hash,
        is_local=execution.is_local,
        docker_image=run.job.docker_image,
        commands=run.job.script,
        working_dir=run.job.working_dir,
        artifacts=run.job.artifacts,
    )


def job_execution_response(run: JobExecution) -> JobExecutionResponse:
    """What a Backend answers about a job execution."""
    return JobExecutionResponse(job_execution_id=run.id, status=run.status)


def pipeline_execution_response(execution: PipelineExecution) -> PipelineExecutionResponse:
    """What a Backend answers about a pipeline execution."""
    return PipelineExecutionResponse(
        execution_id=execution.id, run_number=execution.run_number, status=execution.status
    )
