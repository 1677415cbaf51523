"""The messages as attrs classes with the preconfigured converters of cattrs.

The set-up follows its documentation: the preconfigured converter of each format, without detailed validation. The json
converter has no hooks for UUIDs; the hooks here are those of the documentation. cattrs coerces values by default, and
the classes have no validators.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from attrs import Factory, frozen
from cattrs import Converter
from cattrs.preconf.json import make_converter as make_json_converter
from cattrs.preconf.orjson import make_converter as make_orjson_converter

from cicd_common import ExecutionStatus
from cicd_common.enums import EndReason

from .contender import Contender

__all__ = ["CONTENDERS"]


@frozen(kw_only=True)
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


@frozen(kw_only=True)
class JobDTO:
    id: UUID
    stage_id: UUID
    name: str
    kind: str = "script"
    parameters: dict[str, Any] = Factory(dict)
    environment: dict[str, str] = Factory(dict)
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


@frozen(kw_only=True)
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


@frozen(kw_only=True)
class StageReportSummary:
    stage_name: str
    status: ExecutionStatus
    start_time: datetime | None = None
    completion_time: datetime | None = None


@frozen(kw_only=True)
class PipelineExecutionRecord:
    execution_id: UUID
    run_number: int
    branch: str
    commit_hash: str | None = None
    status: ExecutionStatus
    start_time: datetime | None = None
    completion_time: datetime | None = None
    stages: tuple[StageReportSummary, ...]


@frozen(kw_only=True)
class PipelineReportResponse:
    pipeline_name: str
    executions: tuple[PipelineExecutionRecord, ...]
    next_cursor: str | None = None


@frozen(kw_only=True)
class Job:
    id: UUID
    name: str
    kind: str = "script"
    parameters: dict[str, Any] = Factory(dict)
    environment: dict[str, str] = Factory(dict)
    secrets: tuple[str, ...] = ()
    script: tuple[str, ...] = ()
    docker_image: str | None = None
    working_dir: str | None = None
    dependencies: tuple[str, ...] = ()
    allow_failure: bool = False
    timeout_seconds: int | None = None
    retries: int = 0
    artifacts: tuple[str, ...] = ()


@frozen(kw_only=True)
class Stage:
    id: UUID
    name: str
    jobs: tuple[Job, ...]


@frozen(kw_only=True)
class Pipeline:
    id: UUID
    name: str
    repo_url: str
    branch: str = "main"
    commit_hash: str | None = None
    kind: str = "pipeline"
    parameters: dict[str, Any] = Factory(dict)
    environment: dict[str, str] = Factory(dict)
    stages: tuple[Stage, ...]


def _with_uuids(converter: Converter) -> Converter:
    converter.register_structure_hook(UUID, lambda value, _: UUID(value))
    converter.register_unstructure_hook(UUID, str)
    return converter


def _prepare(converter: Any, name: str) -> dict[str, Any]:
    return {"loads": converter.loads, "dumps": converter.dumps, "cls": globals()[name]}


_json = _with_uuids(make_json_converter(detailed_validation=False))
_orjson = _with_uuids(make_orjson_converter(detailed_validation=False))

CONTENDERS = [
    Contender("cattrs, json", lambda name: _prepare(_json, name), "loads(text, cls)", "dumps(obj).encode()"),
    Contender("cattrs, orjson", lambda name: _prepare(_orjson, name), "loads(text, cls)", "dumps(obj)"),
]
