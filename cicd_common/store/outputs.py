"""What jobs leave: their logs, chunk by chunk, and the list of their files."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import BindParameter, Connection, bindparam, func, select

from ..api.request import Artifact, ArtifactUploadRequest, JobStatusUpdate
from ..model import LogText
from .rows import put
from .tables import artifacts, logs, name_key

__all__ = ["MAX_PAGE_BYTES", "artifacts_of", "chunk_of", "is_stored", "log_of", "put_artifacts"]

MAX_PAGE_BYTES = 4 * 1024 * 1024
"""How many bytes of output a page has, in UTF-8, before its last chunk."""

_JOB_ID: BindParameter[UUID] = bindparam("job")
_CHUNK = select(logs.c.text).where(logs.c.job_execution_id == _JOB_ID, logs.c.sequence == bindparam("number"))
_SIZES = (
    select(logs.c.sequence, func.length(logs.c.text).label("size"))
    .where(logs.c.job_execution_id == _JOB_ID, logs.c.sequence > bindparam("after"))
    .order_by(logs.c.sequence)
    .limit(bindparam("limit"))
    .subquery("sizes")
)
_PAGE = select(
    _SIZES.c.sequence, (func.sum(_SIZES.c.size).over(order_by=_SIZES.c.sequence) - _SIZES.c.size).label("before")
).subquery("page")
# Texts are read only as far as they fit, but for the last one.
_LOG = (
    select(logs.c.sequence, logs.c.text)
    .join(_PAGE, logs.c.sequence == _PAGE.c.sequence)
    .where(logs.c.job_execution_id == _JOB_ID, _PAGE.c.before < bindparam("max_bytes"))
    .order_by(logs.c.sequence)
)
_ARTIFACTS = (
    select(artifacts.c.path, artifacts.c.size, artifacts.c.sha256)
    .where(artifacts.c.job_execution_id == _JOB_ID)
    .order_by(artifacts.c.path_key)
    .limit(bindparam("limit"))
)
_ARTIFACTS_AFTER = _ARTIFACTS.where(artifacts.c.path_key > bindparam("after"))


def chunk_of(update: JobStatusUpdate) -> dict[str, Any]:
    """The row of the output that came with an update, empty or not: a sequence that is missing is a gap in the log.

    Args:
        update: The update.
    """
    return {"job_execution_id": update.job_execution_id, "sequence": update.sequence, "text": update.logs}


def is_stored(connection: Connection, update: JobStatusUpdate) -> bool:
    """Whether the output that came with an update is what is stored for its sequence.

    Of two texts for one sequence the first one stands.

    Args:
        connection: In a transaction that has locked the job.
        update: An update for whose sequence there is a text.
    """
    key = {"job": update.job_execution_id, "number": update.sequence}
    return bool(connection.execute(_CHUNK, key).scalar_one() == update.logs)


def log_of(connection: Connection, job_execution_id: UUID, after: int, limit: int) -> LogText:
    """Chunks of a job's log.

    Args:
        connection: In a transaction.
        job_execution_id: The job execution.
        after: The sequence behind which to start.
        limit: How many chunks to return at most; with the one that reaches `MAX_PAGE_BYTES` there are no more of them.
    """
    key = {"job": job_execution_id, "after": after, "limit": limit, "max_bytes": MAX_PAGE_BYTES}
    rows = connection.execute(_LOG, key)
    return LogText(tuple((row.sequence, row.text) for row in rows), first=after + 1)


def put_artifacts(connection: Connection, request: ArtifactUploadRequest) -> None:
    """Store what a job left. Of two files of one path the later one stays.

    Args:
        connection: In a transaction that writes.
        request: The files.
    """
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
    # In one order, so that no two wait for each other.
    put(connection, artifacts, sorted(rows.values(), key=lambda row: row["path_key"]))


def artifacts_of(connection: Connection, job_execution_id: UUID, after: str | None, limit: int) -> tuple[Artifact, ...]:
    """Files that a job left, in an order of no meaning that stays.

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
