"""What the store costs in a database of a million job executions, and what updates cost beside bare transactions.

    python benchmarks/store/bench_store.py sqlite:////tmp/bench
    python benchmarks/store/bench_store.py postgresql://postgres@127.0.0.1:5432/test --progress

It fills a small and a large database (files of that name and an ending, or schemas that it drops in the end), and
prints its results as Markdown. Reads of the two are taken in turn, so that what else the machine does meets both.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any
from uuid import UUID, uuid4

from history import fill
from sqlalchemy import create_engine, make_url, text

from cicd_common import ExecutionStatus
from cicd_common.api.request import JobExecutionRequest, JobStatusUpdate, ReportRequest
from cicd_common.model import Job, Pipeline, Stage
from cicd_common.store import ExecutionStore

JOBS = 10
SMALL, LARGE = 10_000, 1_000_000
PAGE = 5
ROUNDS = 15
LOG = "x" * 79 + "\n"
MOMENT = datetime(2026, 1, 31, tzinfo=UTC)
RUNS_EACH = 100
WRITE_ROUNDS = 7


def pipeline(name: str) -> Pipeline:
    """Ten jobs in three stages."""

    def job(name: str, *needs: str) -> Job:
        return Job(name=name, script=("make",), dependencies=needs)

    return Pipeline(
        name=name,
        repo_url="https://example.org/repo.git",
        stages=(
            Stage(name="prepare", jobs=(job("fetch"), job("configure", "fetch"))),
            Stage(name="build", jobs=tuple(job(f"build {at}") for at in range(4))),
            Stage(name="check", jobs=(*(job(f"test {at}") for at in range(3)), job("sum up", "test 0", "test 1"))),
        ),
    )


def told(job: UUID, sequence: int, status: ExecutionStatus) -> JobStatusUpdate:
    return JobStatusUpdate(job_execution_id=job, sequence=sequence, status=status, occurred_at=MOMENT, logs=LOG)


# --- the databases ---------------------------------------------------------------------------------------------


def filled(url: str, job_executions: int) -> None:
    """Make a database of as many job executions, all of one pipeline."""
    what = pipeline("build")
    with ExecutionStore(url) as store:
        runs = []
        for end in (ExecutionStatus.SUCCESS, ExecutionStatus.SUCCESS, ExecutionStatus.FAILED, ExecutionStatus.CANCELED):
            started = store.start(what, at=MOMENT)
            runs.append(started.execution.execution_id)
            jobs = [job.job_execution_id for job in started.jobs]
            for at, job in enumerate(jobs):
                store.apply(told(job, 1, ExecutionStatus.RUNNING))
                applied = store.apply(told(job, 2, end if at == 4 else ExecutionStatus.SUCCESS))
                jobs += [each.job_execution_id for each in applied.jobs]
    fill(url, what.id, runs, job_executions // JOBS)


@contextmanager
def databases(base: str, sizes: tuple[int, int]) -> Iterator[list[str]]:
    url = make_url(base)
    if url.get_backend_name() == "sqlite":
        paths = [f"{url.database}-{size}.db" for size in sizes]
        for path in paths:
            Path(path).unlink(missing_ok=True)
        yield [f"sqlite:///{path}" for path in paths]
        for path in paths:
            Path(path).unlink()
        return
    names = [f"cicd_common_bench_{os.getpid()}_{size}" for size in sizes]
    engine = create_engine(url.set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        for name in names:
            connection.execute(text(f"CREATE SCHEMA {name}"))
    try:
        yield [
            url.set(drivername="postgresql+psycopg")
            .update_query_dict({"options": f"-csearch_path={name}"})
            .render_as_string(hide_password=False)
            for name in names
        ]
    finally:
        with engine.begin() as connection:
            for name in names:
                connection.execute(text(f"DROP SCHEMA {name} CASCADE"))
        engine.dispose()


def some_ids(url: str, table: str, count: int) -> list[UUID]:
    """Ids from all over a table."""
    engine = create_engine(url)
    is_sqlite = engine.dialect.name == "sqlite"
    statement = text(f"SELECT id FROM {table} WHERE id >= :id ORDER BY id LIMIT 1")
    with engine.connect() as connection:
        probes = [uuid4() for _ in range(count)]
        found = [connection.execute(statement, {"id": each.hex if is_sqlite else each}).scalar() for each in probes]
    engine.dispose()
    return [UUID(str(each)) for each in found if each is not None]


# --- reads -----------------------------------------------------------------------------------------------------

LEVELS = {
    "pipeline": {},
    "stage": {"stage_name": "check"},
    "job": {"stage_name": "check", "job_name": "test 0"},
}


def reads(url: str, store: ExecutionStore) -> dict[str, tuple[int, Callable[[], Any]]]:
    """The reads that are measured, and how often each is done in a round."""
    runs, jobs = some_ids(url, "pipeline_executions", 500), some_ids(url, "job_executions", 500)
    calls: dict[str, tuple[int, Callable[[], Any]]] = {
        "`status`": (200, lambda: store.status(random.choice(runs))),
        "`job_status`": (200, lambda: store.job_status(random.choice(jobs))),
    }
    for level, names in LEVELS.items():
        for status in (None, ExecutionStatus.FAILED if level == "pipeline" else ExecutionStatus.SUCCESS):
            request = ReportRequest(pipeline_name="build", limit=PAGE, status=status, **names)
            hundredth = request
            for _ in range(99 if status is None else 30):
                cursor = store.report(hundredth).next_cursor
                hundredth = ReportRequest(pipeline_name="build", limit=PAGE, status=status, cursor=cursor, **names)
            kind = f"report on a {level}" + ("" if status is None else f", {status} only")
            which = "hundredth" if status is None else "thirtieth"
            calls[f"{kind}, first page"] = (40, lambda request=request: store.report(request))
            calls[f"{kind}, {which} page"] = (40, lambda request=hundredth: store.report(request))
    return calls


def timed(call: Callable[[], Any], count: int) -> float:
    start = perf_counter()
    for _ in range(count):
        call()
    return (perf_counter() - start) / count


def measure_reads(small: str, large: str) -> list[str]:
    with ExecutionStore(small) as few, ExecutionStore(large) as many:
        calls = [reads(small, few), reads(large, many)]
        lines = ["| read | 10,000 job executions | 1,000,000 | ratio (at most 1.5) |", "| --- | ---: | ---: | ---: |"]
        for name in calls[0]:
            times: list[list[float]] = [[], []]
            for _ in range(ROUNDS):
                for at in (0, 1):
                    count, call = calls[at][name]
                    times[at].append(timed(call, count))
            low, high = median(times[0]), median(times[1])
            lines.append(f"| {name} | {low * 1e6:,.0f} \u00b5s | {high * 1e6:,.0f} \u00b5s | {high / low:.2f} |")
    return lines


# --- writes ----------------------------------------------------------------------------------------------------


def apply_updates(url: str, number: int, barrier: Any, results: Any) -> None:
    """Play the Workers of some runs: three updates for each job."""
    with ExecutionStore(url) as store:
        what = pipeline(f"of process {number}")
        play(store, list(store.start(what).jobs))  # Statements are compiled, prepared and planned by then.
        jobs = [job for _ in range(RUNS_EACH) for job in store.start(what).jobs]
        random.shuffle(jobs)
        barrier.wait()
        results.put(play(store, jobs))


def play(store: ExecutionStore, jobs: list[JobExecutionRequest]) -> int:
    """Play the Workers of some jobs, and of all that become ready by them; how many updates that were."""
    count = 0
    for job in jobs:
        for sequence, status in enumerate(("RUNNING", "RUNNING", "SUCCESS"), 1):
            jobs += store.apply(told(job.job_execution_id, sequence, ExecutionStatus(status))).jobs
            count += 1
    return count


def insert_rows(url: str, _: int, barrier: Any, results: Any) -> None:
    """The bare cost: as many transactions that insert one row, by the driver alone."""
    count = 3 * JOBS * RUNS_EACH
    parsed = make_url(url)
    connection: Any
    if parsed.get_backend_name() == "sqlite":
        connection = sqlite3.connect(parsed.database or "", isolation_level=None, timeout=30)
        connection.execute("PRAGMA synchronous = FULL")
        statement = "INSERT INTO bare VALUES (?, ?)"
    else:
        import psycopg

        connection = psycopg.connect(str(parsed.set(drivername="postgresql").render_as_string(hide_password=False)))
        connection.autocommit = True
        statement = "INSERT INTO bare VALUES (%s, %s)"
    for at in range(-3 * JOBS, count):
        if at == 0:
            barrier.wait()
        connection.execute(statement, (uuid4().hex, LOG))
    results.put(count)
    connection.close()


def rate(url: str, work: Callable[..., None], processes: int) -> float:
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(processes + 1), context.Queue()
    running = [context.Process(target=work, args=(url, at, barrier, results)) for at in range(processes)]
    for each in running:
        each.start()
    barrier.wait()
    start = perf_counter()
    count = sum(results.get() for _ in running)
    took = perf_counter() - start
    for each in running:
        each.join()
    return count / took


def measure_writes(url: str) -> list[str]:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE bare (id VARCHAR(32) PRIMARY KEY, log TEXT)"))
    lines = [
        "| processes | updates a second | bare transactions a second | ratio (at least 0.3) |",
        "| ---: | ---: | ---: | ---: |",
    ]
    for processes in (1, 8):
        rates = [(rate(url, apply_updates, processes), rate(url, insert_rows, processes)) for _ in range(WRITE_ROUNDS)]
        ours, bare = median(each for each, _ in rates), median(each for _, each in rates)
        ratio = median(each / other for each, other in rates)
        lines.append(f"| {processes} | {ours:,.0f} | {bare:,.0f} | {ratio:.2f} |")
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE bare"))
    engine.dispose()
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--large", type=int, default=LARGE, help="job executions of the large database")
    parser.add_argument("--progress", action="store_true", help="show progress, even if nobody is watching")
    options = parser.parse_args()
    with databases(options.url, (SMALL, options.large)) as (small, large):
        filled(small, SMALL)
        filled(large, options.large)
        name = make_url(small).get_backend_name()
        print(f"## {name}, {options.large:,} job executions\n", *measure_reads(small, large), "", sep="\n")
        print(*measure_writes(large), "", sep="\n", flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
