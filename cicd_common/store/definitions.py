"""Definitions of pipelines in the database. Once stored, they never change."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BindParameter, Connection, Table, bindparam, insert, select, tuple_
from sqlalchemy.exc import IntegrityError

from ..dto import JobDTO, PipelineDTO, StageDTO
from ..errors import Problem
from ..mapping import PipelineRecords, pipeline_from_records, pipeline_to_records
from ..model import Pipeline
from .errors import DefinitionError, unknown_pipeline
from .rows import columns_for, insert_new, row_of
from .tables import dependencies, jobs, name_key, pipelines, stages

__all__ = ["list_pipelines", "load_pipeline", "save_pipeline"]

_ID: BindParameter[UUID] = bindparam("pipeline_id")
_PIPELINE = select(*columns_for(PipelineDTO, pipelines)).where(pipelines.c.id == _ID)
_STAGES = select(*columns_for(StageDTO, stages)).where(stages.c.pipeline_id == _ID)
_JOBS = (
    select(*columns_for(JobDTO, jobs))
    .join(stages, jobs.c.stage_id == stages.c.id)
    .where(stages.c.pipeline_id == _ID)
    .order_by(stages.c.execution_order, jobs.c.place)
)
_DEPENDENCIES = (
    select(dependencies.c.job_id, dependencies.c.dependency_id)
    .join(jobs, dependencies.c.job_id == jobs.c.id)
    .join(stages, jobs.c.stage_id == stages.c.id)
    .where(stages.c.pipeline_id == _ID)
    .order_by(dependencies.c.job_id, dependencies.c.position)
)
_named = pipelines.alias()
_AFTER = select(_named.c.name).where(_named.c.id == bindparam("after")).scalar_subquery()
_LIST = (
    select(*columns_for(PipelineDTO, pipelines)).order_by(pipelines.c.name, pipelines.c.id).limit(bindparam("limit"))
)
_IS_NAMED = pipelines.c.name == bindparam("name")
_IS_AFTER = tuple_(pipelines.c.name, pipelines.c.id) > tuple_(_AFTER, bindparam("after"))


def list_pipelines(connection: Connection, name: str | None, after: UUID | None, limit: int) -> tuple[PipelineDTO, ...]:
    """Return pipelines in the order of their names.

    Args:
        connection: A connection in a transaction.
        name: The name of the pipelines; None means all names.
        after: The pipeline after which to start; None starts at the first.
        limit: How many pipelines to return at most.
    """
    statement = _LIST
    if name is not None:
        statement = statement.where(_IS_NAMED)
    if after is not None:
        statement = statement.where(_IS_AFTER)
    key = {"name": name, "after": after, "limit": limit}
    rows = connection.execute(statement, {name: value for name, value in key.items() if value is not None})
    return tuple(PipelineDTO(**row._mapping) for row in rows)


def load_pipeline(connection: Connection, pipeline_id: UUID) -> Pipeline:
    """Load a definition.

    Args:
        connection: A connection in a transaction.
        pipeline_id: The id of the pipeline.

    Raises:
        UnknownPipelineError: There is no pipeline of this id.
    """
    key = {"pipeline_id": pipeline_id}
    row = connection.execute(_PIPELINE, key).one_or_none()
    if row is None:
        raise unknown_pipeline(pipeline_id)
    needs: defaultdict[UUID, list[UUID]] = defaultdict(list)
    for job_id, dependency_id in connection.execute(_DEPENDENCIES, key):
        needs[job_id].append(dependency_id)
    return pipeline_from_records(
        PipelineDTO(**row._mapping),
        [StageDTO(**stage._mapping) for stage in connection.execute(_STAGES, key)],
        [_job(job._mapping, needs) for job in connection.execute(_JOBS, key)],
    )


def _job(row: Any, needs: defaultdict[UUID, list[UUID]]) -> JobDTO:
    texts = {name: tuple(row[name]) for name in ("secrets", "script", "artifacts")}
    return JobDTO(**{**row, **texts}, dependencies=tuple(needs[row["id"]]))


def save_pipeline(connection: Connection, pipeline: Pipeline, at: datetime) -> None:
    """Store a definition if it is new.

    Args:
        connection: A connection in a transaction that writes.
        pipeline: The definition.
        at: The time.

    Raises:
        DefinitionError: The pipeline, a stage or a job has the id of another one that is stored.
    """
    records = pipeline_to_records(pipeline, created_at=at, updated_at=at)
    is_new = insert_new(connection, pipelines, row_of(pipelines, records.pipeline))
    if is_new:
        _insert_parts(connection, records)
    elif load_pipeline(connection, pipeline.id) != pipeline:
        message = f"expected the definition that is stored under the id {pipeline.id}, or another id"
        raise DefinitionError(Pipeline, [Problem("/id", "value", message)])


def _insert_parts(connection: Connection, records: PipelineRecords) -> None:
    name = records.pipeline.name
    names = {stage.id: stage.name for stage in records.stages}
    rows: dict[Table, list[dict[str, Any]]] = {
        stages: [row_of(stages, stage, name_key=name_key(name, stage.name)) for stage in records.stages],
        jobs: [
            row_of(jobs, job, place=place, name_key=name_key(name, names[job.stage_id], job.name))
            for place, job in enumerate(records.jobs)
        ],
        dependencies: [
            {"job_id": job.id, "position": position, "dependency_id": dependency_id}
            for job in records.jobs
            for position, dependency_id in enumerate(job.dependencies)
        ],
    }
    try:
        for table, values in rows.items():
            if values:
                connection.execute(insert(table), values)
    except IntegrityError:
        message = "expected stages and jobs with other ids, found those of another pipeline"
        raise DefinitionError(Pipeline, [Problem("/stages", "value", message)]) from None
