"""The output of jobs, chunk by chunk, and the logs of executions."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Connection,
    Uuid,
    bindparam,
    case,
    cast,
    func,
    literal,
    null,
    select,
    tuple_,
)

from ..api.request import ExecutionLogUpload
from ..api.response import ExecutionLogResponse
from ..errors import ContractError, Problem
from ..model import ExecutionLog, LogText
from ..reports import end_of_output
from .columns import Time, is_one_of
from .errors import unknown_execution, unknown_job
from .retention import keep_runs
from .rows import columns_for, insert_all_new, row_of
from .tables import execution_logs, job_executions, logs, pipeline_executions, stage_executions

__all__ = ["MAX_PAGE_BYTES", "add_execution_logs", "ends_of", "execution_logs_of", "log_of", "put_chunks"]

MAX_PAGE_BYTES = 4 * 1024 * 1024
"""A page of output ends with the chunk that reaches this number of bytes in UTF-8."""

_JOB_ID: BindParameter[UUID] = bindparam("job")
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
# No text is read behind the one that reaches the limit.
_LOG = (
    select(logs.c.sequence, logs.c.text)
    .join(_PAGE, logs.c.sequence == _PAGE.c.sequence)
    .where(logs.c.job_execution_id == _JOB_ID, _PAGE.c.before < bindparam("max_bytes"))
    .order_by(logs.c.sequence)
)
# Walks each log backwards from its last chunk, with the number of bytes behind each chunk, to one chunk beyond the
# limit. The rest of the log is not read, however long it is.
_LAST = (
    select(func.max(logs.c.sequence))
    .where(logs.c.job_execution_id == job_executions.c.id)
    .correlate(job_executions)
    .scalar_subquery()
)
_TAIL = (
    select(
        logs.c.job_execution_id,
        logs.c.sequence,
        literal(0, BigInteger).label("behind"),
        cast(func.length(logs.c.text), BigInteger).label("size"),
    )
    .join(job_executions, (logs.c.job_execution_id == job_executions.c.id) & (logs.c.sequence == _LAST))
    .where(is_one_of(job_executions.c.id))
    .cte("tail", recursive=True)
)
_before = logs.alias("before")
_BEFORE = (
    select(func.max(_before.c.sequence))
    .where(_before.c.job_execution_id == _TAIL.c.job_execution_id, _before.c.sequence < _TAIL.c.sequence)
    .correlate(_TAIL)
    .scalar_subquery()
)
_WALK = _TAIL.union_all(
    select(logs.c.job_execution_id, logs.c.sequence, _TAIL.c.behind + _TAIL.c.size, func.length(logs.c.text))
    .select_from(_TAIL)
    .join(logs, (logs.c.job_execution_id == _TAIL.c.job_execution_id) & (logs.c.sequence == _BEFORE))
    .where(_TAIL.c.behind + _TAIL.c.size <= bindparam("max_bytes"))
)
_ENDS = (
    select(
        _WALK.c.job_execution_id,
        case((_WALK.c.behind < bindparam("max_bytes"), logs.c.text), else_=None).label("text"),
        (_WALK.c.behind + _WALK.c.size).label("size"),
    )
    .select_from(_WALK)
    .join(logs, (logs.c.job_execution_id == _WALK.c.job_execution_id) & (logs.c.sequence == _WALK.c.sequence))
    .order_by(_WALK.c.job_execution_id, _WALK.c.sequence)
)


def put_chunks(connection: Connection, chunks: Mapping[tuple[UUID, int], str]) -> None:
    """Store the output of updates, also if it is empty: a missing sequence is a gap in the log.

    The first text of a sequence stays.

    Args:
        connection: A connection in a transaction that has locked the runs of the jobs.
        chunks: The texts by job execution and sequence.
    """
    if chunks:
        rows = [
            {"job_execution_id": job_id, "sequence": sequence, "text": text}
            for (job_id, sequence), text in chunks.items()
        ]
        insert_all_new(connection, logs, rows)


def log_of(connection: Connection, job_execution_id: UUID, after: int, limit: int) -> LogText:
    """Return chunks of a job's log.

    Args:
        connection: A connection in a transaction.
        job_execution_id: The job execution.
        after: The sequence after which to start.
        limit: How many chunks to return at most. The chunk that reaches `MAX_PAGE_BYTES` is the last.
    """
    key = {"job": job_execution_id, "after": after, "limit": limit, "max_bytes": MAX_PAGE_BYTES}
    rows = connection.execute(_LOG, key)
    return LogText(tuple((row.sequence, row.text) for row in rows), first=after + 1)


def ends_of(connection: Connection, ids: Sequence[UUID], limit: int) -> dict[UUID, tuple[str, bool]]:
    """Return the ends of jobs' logs, without reading the rest.

    Args:
        connection: A connection in a transaction.
        ids: The job executions.
        limit: How many bytes of UTF-8 an end may have, from 1.

    Returns:
        For each job with output, the end and whether it is the whole output.
    """
    texts: defaultdict[UUID, list[str]] = defaultdict(list)
    sizes: dict[UUID, int] = {}
    for row in connection.execute(_ENDS, {"ids": list(ids), "max_bytes": limit}):
        texts[row.job_execution_id].append(row.text or "")
        sizes.setdefault(row.job_execution_id, row.size)  # The first row has the size of all chunks read.
    return {job: (end_of_output("".join(parts), limit), sizes[job] <= limit) for job, parts in texts.items()}


# --- logs of executions ----------------------------------------------------------------------------------------

_STAGE_OF_JOBS = keep_runs(
    select(
        job_executions.c.id,
        job_executions.c.pipeline_execution_id.label("run_id"),
        job_executions.c.stage_execution_id.label("stage_id"),
    )
    .join(pipeline_executions, job_executions.c.pipeline_execution_id == pipeline_executions.c.id)
    .where(is_one_of(job_executions.c.id))
)
_RUN_OF_STAGES = keep_runs(
    select(
        stage_executions.c.id,
        stage_executions.c.pipeline_execution_id.label("run_id"),
        stage_executions.c.id.label("stage_id"),
    )
    .join(pipeline_executions, stage_executions.c.pipeline_execution_id == pipeline_executions.c.id)
    .where(is_one_of(stage_executions.c.id))
)
_RUNS = keep_runs(
    select(pipeline_executions.c.id, pipeline_executions.c.id.label("run_id"), null().label("stage_id")).where(
        is_one_of(pipeline_executions.c.id)
    )
)
_ENTRIES = (
    select(*columns_for(ExecutionLog, execution_logs))
    .order_by(execution_logs.c.timestamp, execution_logs.c.sequence, execution_logs.c.id)
    .limit(bindparam("size"))
)
_AFTER = tuple_(
    bindparam("after_time", type_=Time),
    bindparam("after_sequence", type_=BigInteger),
    bindparam("after_id", type_=Uuid),
)
_SEQUENCES = range(2**63)  # Those that the database can store.
_OWNERS = {
    "pipeline_execution_id": execution_logs.c.run_id,
    "stage_execution_id": execution_logs.c.stage_id,
    "job_execution_id": execution_logs.c.job_execution_id,
}


def add_execution_logs(connection: Connection, upload: ExecutionLogUpload) -> None:
    """Store logs of executions. A log whose id is stored already changes nothing.

    Args:
        connection: A connection in a transaction that writes.
        upload: The logs.

    Raises:
        UnknownExecutionError: A log names a pipeline or stage execution that does not exist.
        UnknownJobExecutionError: A log names a job execution that does not exist.
    """
    runs = _named(connection, _RUNS, (log.pipeline_execution_id for log in upload.logs), unknown_execution)
    stages = _named(connection, _RUN_OF_STAGES, (log.stage_execution_id for log in upload.logs), unknown_execution)
    jobs = _named(connection, _STAGE_OF_JOBS, (log.job_execution_id for log in upload.logs), unknown_job)
    rows = []
    for log in upload.logs:
        # The lowest execution that the log names says which run and which stage it belongs to.
        owner = jobs.get(log.job_execution_id) or stages.get(log.stage_execution_id) or runs[log.pipeline_execution_id]
        rows.append(row_of(execution_logs, log, run_id=owner.run_id, stage_id=owner.stage_id))
    rows.sort(key=lambda row: row["id"])  # So that no two transactions deadlock.
    insert_all_new(connection, execution_logs, rows)


def _named(
    connection: Connection, statement: Any, ids: Iterable[UUID | None], unknown: Callable[[UUID], Exception]
) -> dict[UUID | None, Any]:
    """Read the executions that logs name, by id."""
    wanted = sorted({each for each in ids if each is not None})
    found = {row.id: row for row in connection.execute(statement, {"ids": wanted})} if wanted else {}
    for each in wanted:
        if each not in found:
            raise unknown(each)
    return found


def execution_logs_of(
    connection: Connection, owner: str, id: UUID, cursor: str | None, limit: int
) -> ExecutionLogResponse:
    """Return a page of the logs of an execution and of its stages and jobs.

    Args:
        connection: A connection in a transaction.
        owner: The kind of the id: ``pipeline_execution_id``, ``stage_execution_id`` or ``job_execution_id``.
        id: The id of the execution.
        cursor: The ``next_cursor`` of the page before; None means the first page.
        limit: How many logs the page has at most.

    Raises:
        ContractError: The cursor is malformed.
    """
    statement = _ENTRIES.where(_OWNERS[owner] == bindparam("owner"))
    key: dict[str, Any] = {"owner": id, "size": limit + 1}
    if cursor is not None:
        columns = execution_logs.c
        statement = statement.where(tuple_(columns.timestamp, columns.sequence, columns.id) > _AFTER)
        key |= dict(zip(("after_time", "after_sequence", "after_id"), _parse(cursor), strict=True))
    found = [ExecutionLog(**row._mapping) for row in connection.execute(statement, key)]
    page = found[:limit]
    return ExecutionLogResponse(logs=tuple(page), next_cursor=_cursor(page[-1]) if len(found) > limit else None)


def _cursor(log: ExecutionLog) -> str:
    return urlsafe_b64encode(f"{log.timestamp.isoformat()} {log.sequence} {log.id}".encode()).decode()


def _parse(cursor: str) -> tuple[datetime, int, UUID]:
    try:
        time, sequence, log_id = urlsafe_b64decode(cursor.encode("ascii")).decode().split(" ")
        parsed = datetime.fromisoformat(time), int(sequence), UUID(log_id)
    except ValueError:
        parsed = None
    if parsed is None or parsed[0].tzinfo is None or parsed[1] not in _SEQUENCES:
        message = "expected the next_cursor of the page before"
        raise ContractError(ExecutionLogResponse, [Problem("/cursor", "value", message)])
    return parsed
