"""The messages as structs of msgspec.

The set-up follows https://jcristharif.com/msgspec/perf-tips.html: encoders and decoders are made once, and rules are
constraints, which run in C. msgspec is strict by default. ``gc=False`` is not used, because the tips advise against it
without need; ``omit_defaults`` and ``array_like`` would change the documents. ``__post_init__`` checks the rules that
constraints cannot express, with functions of `rules`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from cicd_common import ExecutionStatus
from cicd_common.enums import EndReason

from .contender import Contender
from .rules import check_environment, check_job, check_json_object, check_name, check_stages, check_update

__all__ = ["CONTENDERS"]

_MAX = 2**63 - 1
_CONTROL = r"\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"

Name = Annotated[str, Meta(min_length=1, max_length=255, pattern=rf"^(?!\s)[^{_CONTROL}]*(?<!\s)\Z")]
Integer = Annotated[int, Meta(ge=-_MAX - 1, le=_MAX)]
Count = Annotated[int, Meta(ge=0, le=_MAX)]
Ordinal = Annotated[int, Meta(ge=1, le=_MAX)]
Retries = Annotated[int, Meta(ge=0, le=10)]
Kind = Annotated[str, Meta(max_length=63, pattern=r"^[a-z][a-z0-9]*([.-][a-z0-9]+)*\Z")]
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

    def __post_init__(self) -> None:
        check_name(self.worker)
        check_update(self)


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

    def __post_init__(self) -> None:
        check_name(self.name)
        check_json_object(self.parameters)
        check_environment(self.environment)


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

    def __post_init__(self) -> None:
        if self.worker is not None:
            check_name(self.worker)


class StageReportSummary(Struct, frozen=True, kw_only=True):
    stage_name: Name
    status: ExecutionStatus
    start_time: Time | None = None
    completion_time: Time | None = None

    def __post_init__(self) -> None:
        check_name(self.stage_name)


class PipelineExecutionRecord(Struct, frozen=True, kw_only=True):
    execution_id: UUID
    run_number: Ordinal
    branch: Name
    commit_hash: str | None = None
    status: ExecutionStatus
    start_time: Time | None = None
    completion_time: Time | None = None
    stages: tuple[StageReportSummary, ...]

    def __post_init__(self) -> None:
        check_name(self.branch)


class PipelineReportResponse(Struct, frozen=True, kw_only=True):
    pipeline_name: Name
    executions: tuple[PipelineExecutionRecord, ...]
    next_cursor: str | None = None

    def __post_init__(self) -> None:
        check_name(self.pipeline_name)


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

    def __post_init__(self) -> None:
        check_name(self.name)
        check_json_object(self.parameters)
        check_environment(self.environment)
        for name in self.dependencies:
            check_name(name)
        check_job(self)


class Stage(Struct, frozen=True, kw_only=True):
    id: UUID
    name: Name
    jobs: Annotated[tuple[Job, ...], Meta(min_length=1)]

    def __post_init__(self) -> None:
        check_name(self.name)


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
        check_name(self.name)
        check_name(self.branch)
        check_json_object(self.parameters)
        check_environment(self.environment)
        check_stages(self.stages)


def _prepare(name: str) -> dict[str, Any]:
    return {"read": msgspec.json.Decoder(globals()[name]).decode, "write": msgspec.json.Encoder().encode}


CONTENDERS = [Contender("msgspec `Struct`", _prepare)]
