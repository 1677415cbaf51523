"""The four messages that all contenders read and write, as objects of the contract and as JSON text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import attrs

from cicd_common import ExecutionStatus, converter
from cicd_common.api.request import JobStatusUpdate
from cicd_common.api.response import PipelineExecutionRecord, PipelineReportResponse, StageReportSummary
from cicd_common.dto import JobDTO, JobExecutionDTO
from cicd_common.model import Job, Pipeline, Stage

__all__ = ["Message", "messages", "pipeline"]

_STAGES = ("prepare", "compile", "test", "package", "deploy")
_random = Random(20260131)


@attrs.frozen(eq=False)
class Message:
    """An object to read and write, with its name in the tables."""

    name: str
    obj: Any
    text: bytes = attrs.field(
        init=False, default=attrs.Factory(lambda self: converter.dumps(self.obj), takes_self=True)
    )

    @property
    def type(self) -> str:
        return type(self.obj).__name__


def messages() -> list[Message]:
    return [
        Message("`JobStatusUpdate`", _update()),
        Message("`JobExecutionDTO` with `JobDTO`", _execution()),
        Message("report of 100 executions", _report()),
        Message("pipeline of 1,000 jobs", pipeline(1000)),
    ]


def pipeline(jobs: int) -> Pipeline:
    """A pipeline of five stages. Each job depends on two jobs of the stage before and on the previous job."""
    each = jobs // len(_STAGES)
    return Pipeline(
        id=_id(),
        name="nightly build",
        repo_url="https://git.example.com/team/project.git",
        commit_hash="9f2c8e4b7a1d6035e8c4b2a7f9d1e6035c8b4a72",
        stages=tuple(
            Stage(id=_id(), name=name, jobs=tuple(_job(at, place, each) for place in range(each)))
            for at, name in enumerate(_STAGES)
        ),
    )


def _job(stage: int, place: int, each: int) -> Job:
    dependencies = [f"{_STAGES[stage]} {place - 1:05}"] if place else []
    if stage:
        before = _STAGES[stage - 1]
        dependencies += [f"{before} {place:05}", f"{before} {(place + 1) % each:05}"]
    return Job(
        id=_id(),
        name=f"{_STAGES[stage]} {place:05}",
        script=("python -m pip install --editable '.[test]'", f"python -m pytest tests/{place:05}"),
        docker_image="python:3.13-slim" if place % 2 else None,
        dependencies=tuple(dependencies),
        allow_failure=place % 10 == 0,
        artifacts=("dist/*.whl",),
    )


def _update() -> JobStatusUpdate:
    return JobStatusUpdate(
        worker="worker-3f6d1a0c",
        job_execution_id=_id(),
        sequence=7,
        status=ExecutionStatus.RUNNING,
        occurred_at=_time(0),
        logs="Collecting pytest\n  Downloading pytest-8.3.4-py3-none-any.whl (343 kB)\n",
    )


def _execution() -> JobExecutionDTO:
    job = JobDTO(
        id=_id(),
        stage_id=_id(),
        name="unit tests",
        script=("python -m pip install --editable '.[test]'", "python -m pytest --cov", "python -m coverage xml"),
        docker_image="python:3.13-slim",
        working_dir="services/backend",
        dependencies=(_id(), _id()),
        artifacts=("coverage.xml", "dist/*.whl"),
        created_at=_time(0),
        updated_at=_time(60),
    )
    return JobExecutionDTO(
        id=_id(),
        stage_execution_id=_id(),
        job_id=job.id,
        status=ExecutionStatus.FAILED,
        exit_code=1,
        queued_at=_time(120),
        start_time=_time(125),
        completion_time=_time(200),
        last_sequence=12,
        logs="============ test session starts ============\n1 failed, 311 passed in 74.21s\n",
        job=job,
    )


def _report() -> PipelineReportResponse:
    return PipelineReportResponse(
        pipeline_name="nightly build",
        executions=tuple(_record(run) for run in range(100, 0, -1)),
        next_cursor="eyJydW4iOjEwMH0",
    )


def _record(run: int) -> PipelineExecutionRecord:
    start = 3600 * run
    return PipelineExecutionRecord(
        execution_id=_id(),
        run_number=run,
        branch="main",
        commit_hash=f"{_random.getrandbits(160):040x}",
        status=ExecutionStatus.SUCCESS,
        start_time=_time(start),
        completion_time=_time(start + 500),
        stages=tuple(
            StageReportSummary(
                stage_name=name,
                status=ExecutionStatus.SUCCESS,
                start_time=_time(start + 100 * at),
                completion_time=_time(start + 100 * at + 95),
            )
            for at, name in enumerate(_STAGES)
        ),
    )


def _id() -> UUID:
    return UUID(int=_random.getrandbits(128), version=4)


def _time(seconds: float) -> datetime:
    """A time in 2026, with microseconds."""
    return datetime(2026, 1, 31, 12, tzinfo=UTC) + timedelta(seconds=seconds, microseconds=_random.randrange(1, 10**6))
