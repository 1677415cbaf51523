"""Hand out jobs: each once, since whoever does it holds the lock on the run, and marks them in the same transaction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BindParameter, Connection, and_, bindparam, literal_column, select, tuple_, update

from ..api.request import JobExecutionRequest
from .hot import Answers, Call, Hot
from .tables import (
    IS_OPEN,
    IS_UNHEARD,
    IS_WAITING,
    dependencies,
    job_executions,
    jobs,
    pipeline_executions,
    pipelines,
    stage_executions,
)

__all__ = ["hand_out", "handed_out", "release", "unheard"]

_RUN_ID: BindParameter[UUID] = bindparam("run_id")
_REQUESTS = (
    select(
        job_executions.c.id,
        job_executions.c.stage_execution_id,
        job_executions.c.job_id,
        jobs.c.name,
        pipelines.c.repo_url,
        pipeline_executions.c.commit_hash,
        pipeline_executions.c.is_local,
        jobs.c.docker_image,
        jobs.c.script,
        jobs.c.working_dir,
        jobs.c.artifacts,
    )
    .join(jobs, job_executions.c.job_id == jobs.c.id)
    .join(pipeline_executions, job_executions.c.pipeline_execution_id == pipeline_executions.c.id)
    .join(pipelines, pipeline_executions.c.pipeline_id == pipelines.c.id)
)
_OPEN_STAGE = (
    select(stage_executions.c.id)
    .where(stage_executions.c.pipeline_execution_id == _RUN_ID, IS_OPEN)
    .order_by(stage_executions.c.execution_order)
    .limit(literal_column("1"))
    .scalar_subquery()
)
_IS_READY = and_(
    IS_WAITING,
    job_executions.c.stage_execution_id == _OPEN_STAGE,
    job_executions.c.waits == literal_column("0"),
)
_READY = Hot(_REQUESTS.where(_IS_READY).order_by(jobs.c.place))
_HAND_OUT = Hot(update(job_executions).where(_IS_READY), sets=["queued_at"])
_DEPENDENTS = select(dependencies.c.job_id).where(dependencies.c.dependency_id == bindparam("done"))
_RELEASE = Hot(
    update(job_executions)
    .where(job_executions.c.stage_execution_id == bindparam("stage_id"), job_executions.c.job_id.in_(_DEPENDENTS))
    .values(waits=job_executions.c.waits - literal_column("1"))
)
_queued = job_executions.alias()
_AFTER = select(_queued.c.queued_at).where(_queued.c.id == bindparam("after")).scalar_subquery()
_UNHEARD = (
    _REQUESTS.where(IS_UNHEARD).order_by(job_executions.c.queued_at, job_executions.c.id).limit(bindparam("limit"))
)
_UNHEARD_AFTER = _UNHEARD.where(
    tuple_(job_executions.c.queued_at, job_executions.c.id) > tuple_(_AFTER, bindparam("after"))
)


def release(stage_id: UUID, job_id: UUID) -> Call:
    """Let the jobs of a stage that waited for one of them wait for one less.

    Args:
        stage_id: The stage execution. It is locked.
        job_id: The job that is now in ``SUCCESS``, or counts as that.
    """
    return _RELEASE(stage_id=stage_id, done=job_id)


def hand_out(run_id: UUID, at: datetime) -> tuple[Call, ...]:
    """Hand out all jobs of a run that are ready.

    Args:
        run_id: The pipeline execution. It is locked.
        at: The time.
    """
    return _READY(run_id=run_id), _HAND_OUT(run_id=run_id, queued_at=at)


def handed_out(done: Answers) -> tuple[JobExecutionRequest, ...]:
    """The jobs that were handed out, in the order of definition.

    Args:
        done: What the statements that were run have returned.
    """
    return tuple(map(_request, done.get(_READY, ())))


def unheard(connection: Connection, after: UUID | None, limit: int) -> tuple[JobExecutionRequest, ...]:
    """Jobs that were handed out and never heard of, those that were handed out first in front.

    Args:
        connection: In a transaction.
        after: The job execution behind which to start; none means at the first.
        limit: How many to return at most.
    """
    key: dict[str, Any] = {"limit": limit}
    if after is None:
        rows = connection.execute(_UNHEARD, key)
    else:
        rows = connection.execute(_UNHEARD_AFTER, {**key, "after": after})
    return tuple(_request(row._mapping) for row in rows)


def _request(row: Mapping[Any, Any]) -> JobExecutionRequest:
    return JobExecutionRequest(
        job_execution_id=row["id"],
        stage_execution_id=row["stage_execution_id"],
        job_id=row["job_id"],
        job_name=row["name"],
        repo=row["repo_url"],
        commit_hash=row["commit_hash"],
        is_local=row["is_local"],
        docker_image=row["docker_image"],
        commands=tuple(row["script"]),
        working_dir=row["working_dir"],
        artifacts=tuple(row["artifacts"]),
    )
