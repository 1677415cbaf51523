"""The records of the files that jobs left. Their contents are in a store of artifacts."""

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
    """Store the records of files. Of two files of one path the later one stays.

    Args:
        connection: In a transaction that writes.
        request: The files.

    Raises:
        UnknownJobExecutionError: There is no job execution of its id.
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
    # In one order, so that no two transactions wait for each other.
    put(connection, artifacts, sorted(rows.values(), key=lambda row: row["path_key"]))


def artifacts_of(connection: Connection, job_execution_id: UUID, after: str | None, limit: int) -> tuple[Artifact, ...]:
    """Files that a job left, in an order that has no meaning and does not change.

    Args:
        connection: In a transaction.
        job_execution_id: The job execution.
        after: The path of the file behind which to start; none means at the first.
        limit: How many to return at most.
    """
    key = {"job": job_execution_id, "limit": limit}
    if after is None:
        rows = connection.execute(_ARTIFACTS, key)
    else:
        rows = connection.execute(_ARTIFACTS_AFTER, {**key, "after": name_key(after)})
    return tuple(Artifact(**row._mapping) for row in rows)
