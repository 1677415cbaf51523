"""The messages as structs of msgspec.

As https://jcristharif.com/msgspec/perf-tips.html advises: structs, whose encoders and decoders are made once; the rules
are constraints, which run in C. Strict is what msgspec is by itself. What its tips put last, as nothing to do without
a need (``gc=False``), and what would change the documents (``omit_defaults``, ``array_like``) is left out. Whether jobs
fit together, it asks the same function as this package does.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from cicd_common import ExecutionStatus
from cicd_common.enums import EndReason
from cicd_common.model.definition import _is_in_order as fit_together

from .contender import Contender

__all__ = ["CONTENDERS"]

_MAX = 2**63 - 1

Name = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^(?!\s)[^\x00-\x1f\x7f-\x9f]*(?<!\s)\Z")]
Integer = Annotated[int, Meta(ge=-_MAX - 1, le=_MAX)]
Count = Annotated[int, Meta(ge=0, le=_MAX)]
Ordinal = Annotated[int, Meta(ge=1, le=_MAX)]
Retries = Annotated[int, Meta(ge=0, le=10)]
Kind = Annotated[str, Meta(max_length=63, pattern=r"^[a-z][a-z0-9]*([.-][a-z0-9]+)*\Z")]
Texts = Annotated[tuple[str, ...], Meta(min_length=1)]
Time = Annotated[datetime, Meta(tz=True)]


class JobStatusUpdate(Struct, frozen=True, kw_only=True):
    job_execution_id: UUID
    sequence: Ordinal
    status: ExecutionStatus
    occurred_at: Time
    logs: str = ""
    exit_code: Integer | None = None
    reason: EndReason | None = None
    attempt: Ordinal = 1
    worker: Name
    is_released: bool = False


class JobDTO(Struct, frozen=True, kw_only=True):
    id: UUID
    stage_id: UUID
    name: Name
    kind: Kind = "script"
    parameters: dict[str, Any] = {}
    environment: dict[str, str] = {}
    secrets: tuple[str, ...] = ()
    script: tuple[str, ...] = ()
    docker_image: str | None = None
    working_dir: str | None = None
    dependencies: tuple[UUID, ...] = ()
    allow_failure: bool = False
    timeout_seconds: Ordinal | None = None
    retries: Retries = 0
    artifacts: tuple[str, ...] = ()
    created_at: Time
    updated_at: Time


class JobExecutionDTO(Struct, frozen=True, kw_only=True):
    id: UUID
    stage_execution_id: UUID
    job_id: UUID
    status: ExecutionStatus
    reason: EndReason | None = None
    allow_failure: bool = False
    exit_code: Integer | None = None
    queued_at: Time | None = None
    start_time: Time | None = None
    completion_time: Time | None = None
    last_sequence: Count = 0
    attempt: Ordinal = 1
    worker: Name | None = None
    heard_at: Time | None = None
    logs: str = ""
    job: JobDTO | None = None


class StageReportSummary(Struct, frozen=True, kw_only=True):
    stage_name: Name
    status: ExecutionStatus
    start_time: Time | None = None
    completion_time: Time | None = None


class PipelineExecutionRecord(Struct, frozen=True, kw_only=True):
    execution_id: UUID
    run_number: Ordinal
    branch: Name
    commit_hash: str | None = None
    status: ExecutionStatus
    start_time: Time | None = None
    completion_time: Time | None = None
    stages: tuple[StageReportSummary, ...]


class PipelineReportResponse(Struct, frozen=True, kw_only=True):
    pipeline_name: Name
    executions: tuple[PipelineExecutionRecord, ...]
    next_cursor: str | None = None


class Job(Struct, frozen=True, kw_only=True):
    id: UUID
    name: Name
    kind: Kind = "script"
    parameters: dict[str, Any] = {}
    environment: dict[str, str] = {}
    secrets: tuple[str, ...] = ()
    script: tuple[str, ...] = ()
    docker_image: str | None = None
    working_dir: str | None = None
    dependencies: tuple[Name, ...] = ()
    allow_failure: bool = False
    timeout_seconds: Ordinal | None = None
    retries: Retries = 0
    artifacts: tuple[str, ...] = ()


class Stage(Struct, frozen=True, kw_only=True):
    id: UUID
    name: Name
    jobs: Annotated[tuple[Job, ...], Meta(min_length=1)]


class Pipeline(Struct, frozen=True, kw_only=True):
    id: UUID
    name: Name
    repo_url: str
    branch: Name = "main"
    commit_hash: str | None = None
    kind: Kind = "pipeline"
    parameters: dict[str, Any] = {}
    environment: dict[str, str] = {}
    stages: Annotated[tuple[Stage, ...], Meta(min_length=1)]

    def __post_init__(self) -> None:
        if not fit_together(self.stages):
            raise ValueError("expected jobs that fit together")


def _prepare(name: str) -> dict[str, Any]:
    return {"read": msgspec.json.Decoder(globals()[name]).decode, "write": msgspec.json.Encoder().encode}


CONTENDERS = [Contender("msgspec `Struct`", _prepare)]
