"""The records of jobs' artifacts. The contents are in an artifact store."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import BindParameter, Connection, bindparam, select

from ..api.request import Artifact, ArtifactUploadRequest
from .errors import unknown_job
from .retention import keep_runs
from .rows import put
from .tables import artifacts, job_executions, name_key, pipeline_executions

__all__ = ["artifacts_of", "put_artifacts"]

_JOB_ID: BindParameter[UUID] = bindparam("job")
_JOB = keep_runs(
    select(job_executions.c.id)
    .join(pipeline_executions, job_executions.c.pipeline_execution_id == pipeline_executions.c.id)
    .where(job_executions.c.id == _JOB_ID)
)
_ARTIFACTS = (
    select(artifacts.c.path, artifacts.c.size, artifacts.c.sha256)
    .where(artifacts.c.job_execution_id == _JOB_ID)
    .order_by(artifacts.c.path_key)
    .limit(bindparam("limit"))
)
_ARTIFACTS_AFTER = _ARTIFACTS.where(artifacts.c.path_key > bindparam("after"))


def put_artifacts(connection: Connection, request: ArtifactUploadRequest) -> None:
    """Store the records of files. The last file of a path stays.

    Args:
        connection: A connection in a transaction that writes.
        request: The files.

    Raises:
        UnknownJobExecutionError: There is no job execution of the request's id.
    """
    if connection.execute(_JOB, {"job": request.job_execution_id}).first() is None:
        raise unknown_job(request.job_execution_id)
    rows = {
        artifact.path: {
            "job_execution_id": request.job_execution_id,
            "path_key": name_key(artifact.path),
            "path": artifact.path,
            "size": artifact.size,
            "sha256": artifact.sha256,
        }
        for artifact in request.artifacts
    }
    # Sorted, so that no two transactions deadlock.
    put(connection, artifacts, sorted(rows.values(), key=lambda row: row["path_key"]))


def artifacts_of(connection: Connection, job_execution_id: UUID, after: str | None, limit: int) -> tuple[Artifact, ...]:
    """Return the artifacts of a job, in an order that has no meaning and does not change.

    Args:
        connection: A connection in a transaction.
        job_execution_id: The job execution.
        after: The path after which to start; None starts at the first file.
        limit: How many files to return at most.
    """
    key = {"job": job_execution_id, "limit": limit}
    if after is None:
        rows = connection.execute(_ARTIFACTS, key)
    else:
        rows = connection.execute(_ARTIFACTS_AFTER, {**key, "after": name_key(after)})
    return tuple(Artifact(**row._mapping) for row in rows)
