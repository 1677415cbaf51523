"""The messages as models of pydantic.

The set-up follows https://docs.pydantic.dev/latest/concepts/performance/: adapters are made once and validate JSON
without intermediate Python objects, and rules are constraints, which run in Rust. The models are strict. Validators
check the rules that constraints cannot express, with functions of `rules`.
"""

from __future__ import annotations

from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    model_validator,
)

from cicd_common import ExecutionStatus
from cicd_common.enums import EndReason

from .contender import Contender
from .rules import check_environment, check_job, check_json_object, check_name, check_stages, check_update

__all__ = ["CONTENDERS"]

_MAX = 2**63 - 1
_CONTROL = r"\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_EDGE = rf"[^\s{_CONTROL}]"

Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=255, pattern=rf"^{_EDGE}(?:[^{_CONTROL}]*{_EDGE})?$"),
    AfterValidator(check_name),
]
Integer = Annotated[int, Field(ge=-_MAX - 1, le=_MAX)]
Count = Annotated[int, Field(ge=0, le=_MAX)]
Ordinal = Annotated[int, Field(ge=1, le=_MAX)]
Retries = Annotated[int, Field(ge=0, le=10)]
Kind = Annotated[str, StringConstraints(max_length=63, pattern=r"^[a-z][a-z0-9]*([.-][a-z0-9]+)*$")]
Parameters = Annotated[dict[str, Any], AfterValidator(check_json_object)]
Environment = Annotated[dict[str, str], AfterValidator(check_environment)]


class Model(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class JobStatusUpdate(Model):
    job_execution_id: UUID
    sequence: Ordinal
    status: ExecutionStatus
    occurred_at: AwareDatetime
    logs: str = ""
    exit_code: Integer | None = None
    reason: EndReason | None = None
    attempt: Ordinal = 1
    worker: Name
    is_released: bool = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        return check_update(self)


class JobDTO(Model):
    id: UUID
    stage_id: UUID
    name: Name
    kind: Kind = "script"
    parameters: Parameters = {}
    environment: Environment = {}
    secrets: tuple[str, ...] = ()
    script: tuple[str, ...] = ()
    docker_image: str | None = None
    working_dir: str | None = None
    dependencies: tuple[UUID, ...] = ()
    allow_failure: bool = False
    timeout_seconds: Ordinal | None = None
    retries: Retries = 0
    artifacts: tuple[str, ...] = ()
    created_at: AwareDatetime
    updated_at: AwareDatetime


class JobExecutionDTO(Model):
    id: UUID
    stage_execution_id: UUID
    job_id: UUID
    status: ExecutionStatus
    reason: EndReason | None = None
    allow_failure: bool = False
    exit_code: Integer | None = None
    queued_at: AwareDatetime | None = None
    start_time: AwareDatetime | None = None
    completion_time: AwareDatetime | None = None
    last_sequence: Count = 0
    attempt: Ordinal = 1
    worker: Name | None = None
    heard_at: AwareDatetime | None = None
    logs: str = ""
    job: JobDTO | None = None


class StageReportSummary(Model):
    stage_name: Name
    status: ExecutionStatus
    start_time: AwareDatetime | None = None
    completion_time: AwareDatetime | None = None


class PipelineExecutionRecord(Model):
    execution_id: UUID
    run_number: Ordinal
    branch: Name
    commit_hash: str | None = None
    status: ExecutionStatus
    start_time: AwareDatetime | None = None
    completion_time: AwareDatetime | None = None
    stages: tuple[StageReportSummary, ...]


class PipelineReportResponse(Model):
    pipeline_name: Name
    executions: tuple[PipelineExecutionRecord, ...]
    next_cursor: str | None = None


class Job(Model):
    id: UUID
    name: Name
    kind: Kind = "script"
    parameters: Parameters = {}
    environment: Environment = {}
    secrets: tuple[str, ...] = ()
    script: tuple[str, ...] = ()
    docker_image: str | None = None
    working_dir: str | None = None
    dependencies: tuple[Name, ...] = ()
    allow_failure: bool = False
    timeout_seconds: Ordinal | None = None
    retries: Retries = 0
    artifacts: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        return check_job(self)


class Stage(Model):
    id: UUID
    name: Name
    jobs: Annotated[tuple[Job, ...], Field(min_length=1)]


class Pipeline(Model):
    id: UUID
    name: Name
    repo_url: str
    branch: Name = "main"
    commit_hash: str | None = None
    kind: Kind = "pipeline"
    parameters: Parameters = {}
    environment: Environment = {}
    stages: Annotated[tuple[Stage, ...], Field(min_length=1), AfterValidator(check_stages)]


def _prepare(name: str) -> dict[str, Any]:
    adapter: TypeAdapter[Any] = TypeAdapter(globals()[name])
    return {"read": adapter.validate_json, "write": adapter.dump_json}


CONTENDERS = [Contender("pydantic v2", _prepare)]
