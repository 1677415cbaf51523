"""What jobs leave: their logs, chunk by chunk, and the list of their files."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import BindParameter, Connection, bindparam, cast, func, select

from ..api.request import Artifact, ArtifactUploadRequest, JobStatusUpdate
from ..model import LogText
from .hot import Call, Hot
from .rows import insert, put
from .tables import artifacts, job_executions, logs, name_key

__all__ = ["MAX_PAGE_BYTES", "artifacts_of", "log_of", "put_artifacts", "put_chunk"]

MAX_PAGE_BYTES = 4 * 1024 * 1024
"""How many bytes of output a page has, in UTF-8, before its last chunk."""

_JOB_ID: BindParameter[UUID] = bindparam("job")
_TEXT: BindParameter[str] = bindparam("text_told", type_=logs.c.text.type)
_COLUMNS = [logs.c.job_execution_id, logs.c.sequence, logs.c.text]


def _put_chunk(dialect: str) -> Any:
    row = {"job_execution_id": _JOB_ID, "sequence": bindparam("number"), "text": _TEXT}
    return _unless_there(insert(dialect, logs).values(row))


def _put_last_chunk(dialect: str) -> Any:
    last = select(job_executions.c.id, job_executions.c.last_sequence, cast(_TEXT, logs.c.text.type)).where(
        job_executions.c.id == _JOB_ID, job_executions.c.last_sequence == bindparam("number")
    )
    return _unless_there(insert(dialect, logs).from_select(_COLUMNS, last))


def _unless_there(statement: Any) -> Any:
    # A row is returned if it is changed, and only then: so one that is there is changed into itself.
    same = {"sequence": logs.c.sequence}
    return statement.on_conflict_do_update(index_elements=list(logs.primary_key), set_=same).returning(
        (logs.c.text == _TEXT).label("is_same")
    )


_PUT_CHUNK = Hot(_put_chunk)
_PUT_LAST_CHUNK = Hot(_put_last_chunk)
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


def put_chunk(update: JobStatusUpdate, *, if_last: bool = False) -> Call:
    """Store the output that came with an update, empty or not: a sequence that is missing is a gap in the log.

    Of two texts for one sequence the first one stands.

    Args:
        update: The update. Its job is locked.
        if_last: Whether to do so only if it is the last one of its job.

    Returns:
        What returns a row if a text was to be stored: whether it is the one that is there now, as ``is_same``.
    """
    statement = _PUT_LAST_CHUNK if if_last else _PUT_CHUNK
    return statement(job=update.job_execution_id, number=update.sequence, text_told=update.logs)


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
