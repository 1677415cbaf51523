"""Reports from the database, equal to those of `cicd_common.reports.report`.

A page takes two statements, however long the history is. The first finds the executions of the page by an index of the
name's key; the second reads their stages, jobs or output. If the page is empty, the second checks the names instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any
from uuid import UUID

from attrs import frozen
from sqlalchemy import BigInteger, Column, Connection, Table, Uuid, bindparam, select, tuple_

from ..api.request import ReportRequest
from ..api.response import (
    JobExecutionRecord,
    JobReportResponse,
    JobReportSummary,
    PipelineExecutionRecord,
    PipelineReportResponse,
    StageExecutionRecord,
    StageReportResponse,
    StageReportSummary,
)
from ..errors import UnknownNameError
from ..reports import MAX_PAGE_OUTPUT, Cursor, check_found
from .columns import is_one_of
from .errors import UnknownReportNameError
from .logs import ends_of
from .tables import job_executions, jobs, name_key, pipeline_executions, pipelines, stage_executions, stages

__all__ = ["report"]

Report = PipelineReportResponse | StageReportResponse | JobReportResponse
Row = Any
Rows = Sequence[Row]


def report(connection: Connection, request: ReportRequest) -> Report:
    """Report on past executions.

    Args:
        connection: A connection in a transaction in which all statements see the same state.
        request: The request.

    Raises:
        UnknownReportNameError: There is no pipeline, stage or job of the name.
        ContractError: The cursor is malformed.
    """
    level = _LEVELS[request.level]
    page, cursor = level.page(connection, request)
    if not page:
        _check_names(connection, request)
    parts = level.parts(connection, [row.id for row in page])
    names = {f"{name}_name": getattr(request, f"{name}_name") for name in level.names}
    executions = tuple(level.record(row, parts.get(row.id)) for row in page)
    return level.response(**names, executions=executions, next_cursor=cursor)


# --- the page --------------------------------------------------------------------------------------------------


@frozen(eq=False)
class _Level:
    """How a report of pipelines, stages or jobs is made.

    Attributes:
        names: The levels whose names a request has, from the pipeline down.
        table: The table of the executions.
        run_id: The column of the table with the id of the pipeline execution.
        columns: The names of the columns that only records of this level have.
        parts: Reads the stages, the jobs or the output of executions by their ids.
        record: Makes a record of a row and its parts.
        response: Makes the response.
    """

    names: tuple[str, ...]
    table: Table
    run_id: Column[UUID]
    columns: tuple[str, ...]
    parts: Callable[[Connection, Sequence[UUID]], Mapping[UUID, Any]]
    record: Callable[[Row, Any], Any]
    response: Callable[..., Report]

    def page(self, connection: Connection, request: ReportRequest) -> tuple[Rows, str | None]:
        """Return the rows of a page, and the cursor of the next page."""
        names = [getattr(request, f"{name}_name") for name in self.names]
        given: dict[str, Any] = {name: getattr(request, name) for name in _FILTERS}
        if request.cursor is not None:
            after = Cursor.parse(request.cursor)
            # A cursor has room for larger numbers than the database.
            given |= {"after_number": min(after.run_number, _LAST_NUMBER), "after_id": after.execution_id}
        given = {name: value for name, value in given.items() if value is not None}
        key = {"name_key": name_key(*names), "size": request.limit + 1}
        rows = connection.execute(_page_of(self, frozenset(given)), {**key, **given}).all()
        if len(rows) <= request.limit:
            return rows, None
        page = rows[: request.limit]
        return page, str(Cursor(page[-1].run_number, page[-1].run_id))


_FILTERS = ("run_number", "status")
_LAST_NUMBER = 2**63 - 1
_AFTER = tuple_(bindparam("after_number", type_=BigInteger), bindparam("after_id", type_=Uuid))


@cache
def _page_of(level: _Level, given: frozenset[str]) -> Any:
    """Make the statement for a page. It is cached, since making it takes longer than executing it.

    Args:
        level: The level of the report.
        given: The names of the parameters that filter the page.
    """
    columns, run_id = level.table.c, level.run_id
    found = [columns[name] for name in ("id", "run_number", *_PROGRESS, *level.columns)]
    statement = select(*found, run_id.label("run_id")).where(columns.name_key == bindparam("name_key"))
    for name in _FILTERS:
        if name in given:
            statement = statement.where(columns[name] == bindparam(name))
    if "after_id" in given:
        statement = statement.where(tuple_(columns.run_number, run_id) < _AFTER)
    return statement.order_by(columns.run_number.desc(), run_id.desc()).limit(bindparam("size"))


_PROGRESS = ("status", "start_time", "completion_time")


def _progress_of(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _PROGRESS}


# --- the levels ------------------------------------------------------------------------------------------------

_STAGES = (
    select(
        stage_executions.c.pipeline_execution_id.label("owner"),
        stages.c.name,
        *(stage_executions.c[name] for name in _PROGRESS),
    )
    .join(stages, stage_executions.c.stage_id == stages.c.id)
    .where(is_one_of(stage_executions.c.pipeline_execution_id))
    .order_by(stage_executions.c.execution_order)
)
_JOBS = (
    select(
        job_executions.c.stage_execution_id.label("owner"),
        job_executions.c.id,
        jobs.c.name,
        job_executions.c.reason,
        job_executions.c.allow_failure,
        *(job_executions.c[name] for name in _PROGRESS),
    )
    .join(jobs, job_executions.c.job_id == jobs.c.id)
    .where(is_one_of(job_executions.c.stage_execution_id))
    .order_by(jobs.c.place)
)


def _rows_by_owner(statement: Any) -> Callable[[Connection, Sequence[UUID]], Mapping[UUID, Rows]]:
    def read(connection: Connection, ids: Sequence[UUID]) -> Mapping[UUID, Rows]:
        parts: dict[UUID, list[Row]] = {each: [] for each in ids}
        if ids:
            for row in connection.execute(statement, {"ids": ids}):
                parts[row.owner].append(row)
        return parts

    return read


def _ends_of_output(connection: Connection, ids: Sequence[UUID]) -> Mapping[UUID, tuple[str, bool]]:
    return ends_of(connection, ids, MAX_PAGE_OUTPUT // len(ids)) if ids else {}


def _pipeline_record(row: Row, parts: Rows) -> PipelineExecutionRecord:
    return PipelineExecutionRecord(
        execution_id=row.id,
        run_number=row.run_number,
        branch=row.branch,
        commit_hash=row.commit_hash,
        **_progress_of(row),
        stages=tuple(StageReportSummary(stage_name=part.name, **_progress_of(part)) for part in parts),
    )


def _stage_record(row: Row, parts: Rows) -> StageExecutionRecord:
    return StageExecutionRecord(
        execution_id=row.id,
        run_number=row.run_number,
        **_progress_of(row),
        jobs=tuple(
            JobReportSummary(
                job_execution_id=part.id,
                job_name=part.name,
                reason=part.reason,
                allow_failure=part.allow_failure,
                **_progress_of(part),
            )
            for part in parts
        ),
    )


def _job_record(row: Row, end: tuple[str, bool] | None) -> JobExecutionRecord:
    output, is_whole = end or ("", True)
    return JobExecutionRecord(
        execution_id=row.id,
        run_number=row.run_number,
        reason=row.reason,
        allow_failure=row.allow_failure,
        exit_code=row.exit_code,
        **_progress_of(row),
        logs=output,
        is_log_whole=is_whole,
    )


_LEVELS = {
    "pipeline": _Level(
        names=("pipeline",),
        table=pipeline_executions,
        run_id=pipeline_executions.c.id,
        columns=("branch", "commit_hash"),
        parts=_rows_by_owner(_STAGES),
        record=_pipeline_record,
        response=PipelineReportResponse,
    ),
    "stage": _Level(
        names=("pipeline", "stage"),
        table=stage_executions,
        run_id=stage_executions.c.pipeline_execution_id,
        columns=(),
        parts=_rows_by_owner(_JOBS),
        record=_stage_record,
        response=StageReportResponse,
    ),
    "job": _Level(
        names=("pipeline", "stage", "job"),
        table=job_executions,
        run_id=job_executions.c.pipeline_execution_id,
        columns=("reason", "allow_failure", "exit_code"),
        parts=_ends_of_output,
        record=_job_record,
        response=JobReportResponse,
    ),
}

# --- names -----------------------------------------------------------------------------------------------------

_FOUND = select(
    select(pipelines.c.id).where(pipelines.c.name == bindparam("name")).exists().label("pipeline"),
    select(stages.c.id).where(stages.c.name_key == bindparam("stage_key")).exists().label("stage"),
    select(jobs.c.id).where(jobs.c.name_key == bindparam("job_key")).exists().label("job"),
)


def _check_names(connection: Connection, request: ReportRequest) -> None:
    stage = (request.pipeline_name, request.stage_name or "")
    keys = {
        "name": request.pipeline_name,
        "stage_key": name_key(*stage),
        "job_key": name_key(*stage, request.job_name or ""),
    }
    found = connection.execute(_FOUND, keys).one()
    try:
        check_found(request, **found._mapping)
    except UnknownNameError as error:
        raise UnknownReportNameError(error.type, error.problems) from None
