"""The messages as dataclasses, for the peers that use them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from cicd_common import ExecutionStatus
from cicd_common.enums import EndReason

__all__ = [
    "Job",
    "JobDTO",
    "JobExecutionDTO",
    "JobStatusUpdate",
    "Pipeline",
    "PipelineExecutionRecord",
    "PipelineReportResponse",
    "Stage",
    "StageReportSummary",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatusUpdate:
    job_execution_id: UUID
    sequence: int
    status: ExecutionStatus
    occurred_at: datetime
    logs: str = ""
    exit_code: int | None = None
    reason: EndReason | None = None
    attempt: int = 1
    worker: str
    is_released: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDTO:
    id: UUID
    stage_id: UUID
    name: str
    kind: str = "script"
    parameters: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    script: tuple[str, ...] = ()
    docker_image: str | None = None
    working_dir: str | None = None
    dependencies: tuple[UUID, ...] = ()
    allow_failure: bool = False
    timeout_seconds: int | None = None
    retries: int = 0
    artifacts: tuple[str, ...] = ()
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class JobExecutionDTO:
    id: UUID
    stage_execution_id: UUID
    job_id: UUID
    status: ExecutionStatus
    reason: EndReason | None = None
    allow_failure: bool = False
    exit_code: int | None = None
    queued_at: datetime | None = None
    start_time: datetime | None = None
    completion_time: datetime | None = None
    last_sequence: int = 0
    attempt: int = 1
    worker: str | None = None
    heard_at: datetime | None = None
    logs: str = ""
    job: JobDTO | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StageReportSummary:
    stage_name: str
    status: ExecutionStatus
    start_time: datetime | None = None
    completion_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineExecutionRecord:
    execution_id: UUID
    run_number: int
    branch: str
    commit_hash: str | None = None
    status: ExecutionStatus
    start_time: datetime | None = None
    completion_time: datetime | None = None
    stages: tuple[StageReportSummary, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineReportResponse:
    pipeline_name: str
    executions: tuple[PipelineExecutionRecord, ...]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    id: UUID
    name: str
    kind: str = "script"
    parameters: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    script: tuple[str, ...] = ()
    docker_image: str | None = None
    working_dir: str | None = None
    dependencies: tuple[str, ...] = ()
    allow_failure: bool = False
    timeout_seconds: int | None = None
    retries: int = 0
    artifacts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    id: UUID
    name: str
    jobs: tuple[Job, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    id: UUID
    name: str
    repo_url: str
    branch: str = "main"
    commit_hash: str | None = None
    kind: str = "pipeline"
    parameters: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    stages: tuple[Stage, ...]
