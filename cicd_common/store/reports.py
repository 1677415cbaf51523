"""Reports from the database, equal to those of `cicd_common.reports.report`.

A page takes two statements, however long the history is. The first finds the executions of the page by an index of the
name's key; the second reads their stages, jobs or output. If the page is empty, the second checks the names instead.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any
from uuid import UUID

from attrs import fields, frozen
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
from .rows import columns_for
from .tables import job_executions, jobs, name_key, pipeline_executions, pipelines, stage_executions, stages

__all__ = ["report"]

Report = PipelineReportResponse | StageReportResponse | JobReportResponse


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
    names = {name: getattr(request, name) for name in level.names}
    page, cursor = _page(connection, level, tuple(names.values()), request)
    if not page:
        _check_names(connection, request)
    details = level.details(connection, [row.execution_id for row in page]) if page else {}
    executions = tuple(_made(level.record, row, **details.get(row.execution_id, level.no_details)) for row in page)
    return level.response(**names, executions=executions, next_cursor=cursor)


def _made(type: Any, row: Any, **more: Any) -> Any:
    """Make an instance of a type from the columns that have the names of its fields, and from more fields."""
    return type(**{field.name: getattr(row, field.name) for field in fields(type) if field.name not in more}, **more)


# --- the levels ------------------------------------------------------------------------------------------------

Details = Mapping[UUID, Mapping[str, Any]]


@frozen(eq=False)
class _Level:
    """How a report of pipelines, stages or jobs is made.

    Attributes:
        names: The fields of a request with the names of the level, from the pipeline down.
        table: The table of the executions.
        run_id: The column of the table with the id of the pipeline execution.
        record: The type of the records, whose fields are columns of the table but for the id and the details.
        details: Reads the stages, the jobs or the output of executions, by their ids, as fields of their records.
        no_details: The details of an execution for which nothing was read.
        response: The type of the response.
    """

    names: tuple[str, ...]
    table: Table
    run_id: Column[UUID]
    record: Any
    details: Callable[[Connection, Sequence[UUID]], Details]
    no_details: Mapping[str, Any]
    response: Callable[..., Report]


_STAGES = (
    select(
        stage_executions.c.pipeline_execution_id.label("owner"),
        stages.c.name.label("stage_name"),
        *columns_for(StageReportSummary, stage_executions),
    )
    .join(stages, stage_executions.c.stage_id == stages.c.id)
    .where(is_one_of(stage_executions.c.pipeline_execution_id))
    .order_by(stage_executions.c.execution_order)
)
_JOBS = (
    select(
        job_executions.c.stage_execution_id.label("owner"),
        job_executions.c.id.label("job_execution_id"),
        jobs.c.name.label("job_name"),
        *columns_for(JobReportSummary, job_executions),
    )
    .join(jobs, job_executions.c.job_id == jobs.c.id)
    .where(is_one_of(job_executions.c.stage_execution_id))
    .order_by(jobs.c.place)
)


def _summaries(statement: Any, name: str, type: Any) -> Callable[[Connection, Sequence[UUID]], Details]:
    def read(connection: Connection, ids: Sequence[UUID]) -> Details:
        found: defaultdict[UUID, list[Any]] = defaultdict(list)
        for row in connection.execute(statement, {"ids": ids}):
            found[row.owner].append(_made(type, row))
        return {owner: {name: tuple(summaries)} for owner, summaries in found.items()}

    return read


def _output(connection: Connection, ids: Sequence[UUID]) -> Details:
    ends = ends_of(connection, ids, MAX_PAGE_OUTPUT // len(ids))
    return {job: {"logs": end, "is_log_whole": is_whole} for job, (end, is_whole) in ends.items()}


_LEVELS = {
    "pipeline": _Level(
        names=("pipeline_name",),
        table=pipeline_executions,
        run_id=pipeline_executions.c.id,
        record=PipelineExecutionRecord,
        details=_summaries(_STAGES, "stages", StageReportSummary),
        no_details={"stages": ()},
        response=PipelineReportResponse,
    ),
    "stage": _Level(
        names=("pipeline_name", "stage_name"),
        table=stage_executions,
        run_id=stage_executions.c.pipeline_execution_id,
        record=StageExecutionRecord,
        details=_summaries(_JOBS, "jobs", JobReportSummary),
        no_details={"jobs": ()},
        response=StageReportResponse,
    ),
    "job": _Level(
        names=("pipeline_name", "stage_name", "job_name"),
        table=job_executions,
        run_id=job_executions.c.pipeline_execution_id,
        record=JobExecutionRecord,
        details=_output,
        no_details={"logs": "", "is_log_whole": True},
        response=JobReportResponse,
    ),
}

# --- the page --------------------------------------------------------------------------------------------------

_FILTERS = ("run_number", "status")
_LAST_NUMBER = 2**63 - 1
_AFTER = tuple_(bindparam("after_number", type_=BigInteger), bindparam("after_id", type_=Uuid))


def _page(
    connection: Connection, level: _Level, names: tuple[str, ...], request: ReportRequest
) -> tuple[Sequence[Any], str | None]:
    """Return the rows of a page, and the cursor of the next page."""
    given: dict[str, Any] = {name: getattr(request, name) for name in _FILTERS}
    if request.cursor is not None:
        after = Cursor.parse(request.cursor)
        # A cursor has room for larger numbers than the database.
        given |= {"after_number": min(after.run_number, _LAST_NUMBER), "after_id": after.execution_id}
    given = {name: value for name, value in given.items() if value is not None}
    key = {"name_key": name_key(*names), "size": request.limit + 1}
    rows = connection.execute(_page_of(level, frozenset(given)), {**key, **given}).all()
    if len(rows) <= request.limit:
        return rows, None
    page = rows[: request.limit]
    return page, str(Cursor(page[-1].run_number, page[-1].run_id))


@cache
def _page_of(level: _Level, given: frozenset[str]) -> Any:
    """Make the statement for a page. It is cached, since making it takes longer than executing it.

    Args:
        level: The level of the report.
        given: The names of the parameters that filter the page.
    """
    columns, run_id = level.table.c, level.run_id
    found = columns_for(level.record, level.table)
    statement = select(columns.id.label("execution_id"), run_id.label("run_id"), *found)
    statement = statement.where(columns.name_key == bindparam("name_key"))
    for name in _FILTERS:
        if name in given:
            statement = statement.where(columns[name] == bindparam(name))
    if "after_id" in given:
        statement = statement.where(tuple_(columns.run_number, run_id) < _AFTER)
    return statement.order_by(columns.run_number.desc(), run_id.desc()).limit(bindparam("size"))


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
