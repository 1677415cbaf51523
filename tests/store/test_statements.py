"""The number of statements of reads and writes, and their query plans, which scan no table."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID, uuid4

import pytest
from attrs import evolve, frozen
from sqlalchemy import Engine, create_engine, event

from cicd_common import ExecutionStatus
from cicd_common.api.request import (
    Artifact,
    ArtifactUploadRequest,
    ExecutionLogUpload,
    JobStatusUpdate,
    ReportRequest,
)
from cicd_common.model import ExecutionLog, Job, Pipeline, Stage
from cicd_common.store import ExecutionStore
from tests.support.history import fill

MOMENT = datetime(2026, 1, 31, tzinfo=UTC)
PIPELINE = Pipeline(
    name="build",
    repo_url="https://example.org/repo.git",
    stages=(
        Stage(name="compile", jobs=(Job(name="make", script=("make",)),)),
        Stage(
            name="check",
            jobs=(
                Job(name="test", script=("make test",)),
                Job(name="lint", script=("make lint",)),
                Job(name="sum up", script=("make sum",), dependencies=("test", "lint")),
            ),
        ),
    ),
)
FEW, MANY = 10, 10_000


def told(job_execution_id: UUID, sequence: int, status: ExecutionStatus) -> JobStatusUpdate:
    return JobStatusUpdate(
        job_execution_id=job_execution_id,
        sequence=sequence,
        status=status,
        occurred_at=MOMENT,
        logs="done\n",
        worker="worker",
    )


def run_through(store: ExecutionStore, end: ExecutionStatus) -> tuple[UUID, list[UUID]]:
    """Bring all jobs of a run to a status, as far as the run gets, and return the run with its jobs."""
    started = store.start(PIPELINE, at=MOMENT)
    jobs = [job.job_execution_id for job in started.jobs]
    for job in jobs:
        store.apply(told(job, 1, ExecutionStatus.RUNNING))
        jobs += [each.job_execution_id for each in store.apply(told(job, 2, end)).jobs]
    return started.execution.execution_id, jobs


def with_own_ids(pipeline: Pipeline) -> Pipeline:
    """Return a copy of a pipeline with another name and other ids."""
    stages = [
        evolve(stage, id=uuid4(), jobs=tuple(evolve(job, id=uuid4()) for job in stage.jobs))
        for stage in pipeline.stages
    ]
    return evolve(pipeline, id=uuid4(), name="another", stages=tuple(stages))


@frozen
class History:
    """A database with runs, and some ids in it."""

    url: str
    store: ExecutionStore
    runs: list[UUID]
    job: UUID


def history_of(url: str, total: int) -> History:
    """Create a database with `total` runs of one pipeline, the last just started, and some runs of others."""
    store = ExecutionStore(url)
    ends = (ExecutionStatus.SUCCESS, ExecutionStatus.FAILED, ExecutionStatus.CANCELED)
    runs = [run_through(store, end) for end in ends]
    ids = [run for run, _ in runs]
    for _ in range(total // 100):
        store.start(with_own_ids(PIPELINE), at=MOMENT)
    fill(url, PIPELINE.id, ids, total - 1)
    started = store.start(PIPELINE, at=MOMENT)
    job = runs[0][1][0]
    store.add_artifacts(
        ArtifactUploadRequest(job_execution_id=job, artifacts=(Artifact(path="a", size=1, sha256="0" * 64),))
    )
    store.add_logs(log_of(job))
    return History(url, store, [*ids, started.execution.execution_id], job)


@contextmanager
def counted():
    """Record the statements of a block with their parameters, without the ends of transactions."""
    statements = []

    def note(_connection, _cursor, statement, parameters, _context, _many):
        if not statement.startswith(("BEGIN", "COMMIT")):
            statements.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", note)


NAMES = [
    {},
    {"stage_name": "check"},
    {"stage_name": "check", "job_name": "test"},
]
FILTERS = [
    {},
    {"status": ExecutionStatus.FAILED},
    {"run_number": 2},
    {"run_number": 2, "status": ExecutionStatus.FAILED},
]


def every_report(store: ExecutionStore):
    """Every kind of report: the first page, a later page, an empty page, and one of an unknown name."""
    for names in NAMES:
        for some in FILTERS:
            request = ReportRequest(pipeline_name="build", limit=3, **names, **some)
            yield request
            if cursor := store.report(request).next_cursor:
                yield ReportRequest(pipeline_name="build", limit=3, cursor=cursor, **names, **some)
        yield ReportRequest(pipeline_name="build", run_number=2**40, **names)


def every_read(history: History):
    """Every read except reports, with its largest number of statements."""
    store, job, run = history.store, history.job, history.runs[-1]
    (first,) = store.pipelines(name="build")
    return {
        "status": (1, lambda: store.status(run)),
        "job_status": (1, lambda: store.job_status(job)),
        "job_execution": (1, lambda: store.job_execution(job)),
        "log_tail": (2, lambda: store.log_tail(job)),
        "started": (1, lambda: store.started(uuid4())),
        "no execution_logs of a run": (2, lambda: store.execution_logs(pipeline_execution_id=run)),
        "execution_logs of a job": (1, lambda: store.execution_logs(job_execution_id=job)),
        "execution": (7, lambda: store.execution(run)),
        "logs": (1, lambda: store.logs(job, after=1)),
        "no logs": (2, lambda: store.logs(job, after=1_000)),
        "artifacts": (1, lambda: store.artifacts(job)),
        "artifacts behind": (2, lambda: store.artifacts(job, after="a")),
        "pipeline": (4, lambda: store.pipeline(first.id)),
        "pipelines": (1, store.pipelines),
        "pipelines behind": (1, lambda: store.pipelines(name="build", after=first.id)),
    }


def log_of(job: UUID) -> ExecutionLogUpload:
    return ExecutionLogUpload(
        logs=(ExecutionLog(job_execution_id=job, sequence=0, timestamp=MOMENT, log_text="started"),)
    )


def every_write(history: History):
    """The most expensive cases of each write, with the largest number of statements."""
    store = history.store
    run = history.runs[-1]
    jobs = [job.id for stage in store.execution(run).stages for job in stage.jobs]
    return {
        # Lock and read the job with its run; update the job, its stage and its run; insert the output.
        "apply what begins": (1 + 4, lambda: store.apply(told(jobs[0], 1, ExecutionStatus.RUNNING))),
        "apply more output": (1 + 2, lambda: store.apply(told(jobs[0], 2, ExecutionStatus.RUNNING))),
        "apply a repeat": (1 + 2, lambda: store.apply(told(jobs[0], 2, ExecutionStatus.RUNNING))),
        # Then find the ready jobs, mark them, and read their requests.
        "apply what opens a stage": (1 + 4 + 4, lambda: store.apply(told(jobs[0], 3, ExecutionStatus.SUCCESS))),
        "take over nothing": (2, lambda: store.take_over(MOMENT)),
        "cancel": (7, lambda: store.cancel(run)),
        "start": (12, lambda: store.start(PIPELINE)),
        "add_logs": (2, lambda: store.add_logs(log_of(jobs[0]))),
        "forget nothing": (1, lambda: store.forget(before=MOMENT - timedelta(days=1))),
        "add_artifacts": (
            2,
            lambda: store.add_artifacts(
                ArtifactUploadRequest(
                    job_execution_id=history.job, artifacts=(Artifact(path="b", size=1, sha256="0" * 64),)
                )
            ),
        ),
    }


@pytest.fixture
def history(request, url):
    history = history_of(url, request.param)
    yield history
    history.store.close()


class TestStatements:
    @pytest.mark.parametrize("history", [FEW], indirect=True)
    def test_are_bounded(self, history):
        """Each read and write has a small bound of statements, in a short history."""
        check_bounds(history)

    @pytest.mark.no_cover
    @pytest.mark.parametrize("history", [MANY], indirect=True)
    def test_are_bounded_and_scan_no_table(self, history):
        """The same bounds hold in a long history, and no statement scans a table or an index."""
        statements = check_bounds(history)
        engine = create_engine(history.url)
        found = {statement: plan for statement, plan in plans(engine, statements) if scans(plan)}
        engine.dispose()
        assert found == {}


def check_bounds(history):
    """Check the bounds of each read and write. Return the statements, except those of pages with most of a table."""
    all_statements = []
    for request in every_report(history.store):
        with counted() as statements:
            history.store.report(request)
        assert len(statements) <= 3, request
        all_statements += statements
    for calls in (every_read(history), every_write(history)):
        for name, (bound, call) in calls.items():
            with counted() as statements:
                call()
            assert len(statements) <= bound, (name, statements)
            all_statements += statements
    for names in NAMES:
        with counted() as statements:
            history.store.report(ReportRequest(pipeline_name="build", limit=1_000, **names))
        assert len(statements) <= 3, names
    return all_statements


def plans(engine, statements):
    """Return the query plan of each statement."""
    distinct = {statement: parameters for statement, parameters in statements if not statement.startswith("INSERT")}
    prefix = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            # Small tables are scanned, or joined as a whole, even if an index fits. With these settings, a table with
            # a fitting index is scanned only in a join of a few rows, which the statistics of the server decide.
            for choice in ("seqscan", "hashjoin", "mergejoin"):
                connection.exec_driver_sql(f"SET enable_{choice} = off")
        for statement, parameters in distinct.items():
            some = parameters[0] if isinstance(parameters, list) else parameters
            rows = connection.exec_driver_sql(f"{prefix} {statement}", some)
            yield statement, "\n".join(str(row[-1]) for row in rows)


# Except for the first two, these are intermediate results with the rows of one page.
NO_TABLES = ("SCAN CONSTANT ROW", "SCAN json_each", "SCAN sizes", "SCAN page", "SCAN tail", "SCAN (subquery-")
# These indexes are read from one end, as far as a page needs.
IN_ORDER = ("pipelines_by_name", "job_executions_unclaimed", "job_executions_claimed")


def scans(plan: str) -> list[str]:
    """Return the lines of a plan that scan a whole table or index."""
    lines = [line.strip().removeprefix("->").strip() for line in plan.splitlines()]
    found = [line for line in lines if line.startswith(("Seq Scan", "SCAN"))]
    for line, after in pairwise([*lines, ""]):
        is_index = line.startswith(("Index", "Bitmap Index")) and " Scan " in line
        if is_index and not after.startswith("Index Cond"):
            found.append(line)
    return [line for line in found if not line.startswith(NO_TABLES) and not any(index in line for index in IN_ORDER)]


class TestScans:
    @pytest.mark.parametrize(
        "plan",
        [
            "SCAN jobs",
            "SCAN logs USING INDEX logs_by_text",
            "Limit  (cost=1)\n  ->  Seq Scan on jobs  (cost=1)",
            "Limit  (cost=1)\n  ->  Index Scan using jobs_pkey on jobs  (cost=1)\n        Filter: (a = b)",
        ],
    )
    def test_are_seen(self, plan):
        """`scans` finds a scan in a query plan."""
        assert scans(plan)
