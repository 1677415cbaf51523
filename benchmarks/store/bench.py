"""Measure reads from a database of a million job executions, and compare updates with bare transactions.

    python benchmarks/store/bench.py
    python benchmarks/store/bench.py postgresql://postgres@127.0.0.1:5432/test --progress
    python benchmarks/store/bench.py --before CHECKOUT_OF_0.1

The program fills a small and a large database: SQLite files whose names begin with the given name, or PostgreSQL
schemas that it drops at the end. It prints Markdown tables. Contenders take turns, so that other work on the machine
affects both.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any
from uuid import UUID, uuid4

from attrs import frozen
from sqlalchemy import Engine, NullPool, create_engine, make_url, text

sys.path.insert(0, str(Path(__file__).parents[2]))

from intake import JOBS, MOMENT, pipeline, told

from cicd_common import ExecutionStatus
from cicd_common.api.request import ReportRequest
from cicd_common.store import ExecutionStore
from tests.support.history import fill

ROOT = Path(__file__).parents[2]
INTAKE = Path(__file__).parent / "intake.py"
SMALL, LARGE = 10_000, 1_000_000
PAGE = 5
ROUNDS = 9
WRITE_ROUNDS = 3


# --- the databases ---------------------------------------------------------------------------------------------


def filled(url: str, job_executions: int) -> None:
    """Create a database with this number of job executions, all of one pipeline."""
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
def databases(base: str, sizes: tuple[int | str, int | str]) -> Iterator[list[str]]:
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


def engine_of(url: str) -> Engine:
    return create_engine(url, poolclass=NullPool)


def some_ids(url: str, table: str, count: int) -> list[UUID]:
    """Random ids of a table."""
    engine = engine_of(url)
    is_sqlite = engine.dialect.name == "sqlite"
    statement = text(f"SELECT id FROM {table} WHERE id >= :id ORDER BY id LIMIT 1")
    with engine.connect() as connection:
        probes = [uuid4() for _ in range(count)]
        found = [connection.execute(statement, {"id": each.hex if is_sqlite else each}).scalar() for each in probes]
    return [UUID(str(each)) for each in found if each is not None]


# --- reads -----------------------------------------------------------------------------------------------------

LEVELS = {
    "pipeline": {},
    "stage": {"stage_name": "check"},
    "job": {"stage_name": "check", "job_name": "test 0"},
}


def reads(url: str, store: ExecutionStore) -> dict[str, tuple[int, Callable[[], Any]]]:
    """The calls to measure, with the number of calls in a round."""
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
        lines = ["| read | small | large | ratio (at most 1.5) |", "| --- | ---: | ---: | ---: |"]
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


@frozen
class Contender:
    """A contender that applies updates or runs bare transactions.

    Attributes:
        mode: The mode of `intake`.
        url: The URL of the database.
        processes: The number of processes.
        threads: The number of threads in each process.
        code: The directory of the package.
    """

    mode: str
    url: str
    processes: int = 1
    threads: int = 1
    code: Path = ROOT

    def rate(self) -> float:
        """Run the contender. Return the number of updates or transactions a second."""
        command = [sys.executable, str(INTAKE), self.mode, self.url, str(self.threads)]
        environment = {**os.environ, "PYTHONPATH": str(self.code)}
        running = [
            subprocess.Popen(command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            for _ in range(self.processes)
        ]
        for each in running:
            assert each.stdout.readline() == "ready\n"
        start = perf_counter()
        for each in running:
            each.stdin.write("\n")
            each.stdin.flush()
        count = sum(int(each.stdout.readline()) for each in running)
        took = perf_counter() - start
        for each in running:
            each.communicate()
        return count / took


def compare(name: str, ours: Contender, other: Contender, goal: float | None) -> str:
    """Run two contenders in turns, and return a row with their medians and the median of the ratios."""
    rounds = [(ours.rate(), other.rate()) for _ in range(WRITE_ROUNDS)]
    ratio = median(mine / its for mine, its in rounds)
    mine, its = (median(column) for column in zip(*rounds, strict=True))
    met = "" if goal is None else "yes" if ratio >= goal else "**no**"
    return f"| {name} | {mine:,.0f} | {its:,.0f} | {ratio:.2f} | {goal or ''} | {met} |"


def measure_intake(url: str) -> list[str]:
    """Compare updates with bare transactions in the same numbers of processes and threads."""
    with engine_of(url).begin() as connection:
        connection.execute(text("CREATE TABLE bare (id VARCHAR(32) PRIMARY KEY, log TEXT)"))
    is_sqlite = url.startswith("sqlite")
    lines = [
        compare(name, Contender(mode, url, *counts), Contender("bare", url, *counts), goal)
        for name, mode, counts, goal in (
            ("`apply_all` of 32, one process", "batch", (1, 1), 0.7 if is_sqlite else 0.9),
            ("`apply_all` of 32, eight processes", "batch", (8, 1), None),
            ("`apply`, eight threads of one process", "one", (1, 8), 0.5),
            ("`apply`, one thread", "one", (1, 1), None),
        )
    ]
    with engine_of(url).begin() as connection:
        connection.execute(text("DROP TABLE bare"))
    return [
        "| | updates a second | bare transactions a second | ratio | goal | met |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
        *lines,
    ]


def measure_before(base: str, code: Path) -> list[str]:
    """Compare updates with those of version 0.1, in separate databases."""
    with databases(base, ("new", "old")) as (new, old):
        before = Contender("one", old, code=code)
        return [
            "| | updates a second | version 0.1, one at a time | ratio | goal | met |",
            "| --- | ---: | ---: | ---: | ---: | --- |",
            compare("`apply_all` of 32, one process", Contender("batch", new), before, 2.0),
            compare("`apply`, one thread", Contender("one", new), before, 0.4),
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?", default=f"sqlite:///{tempfile.gettempdir()}/cicd-common-bench")
    parser.add_argument("--large", type=int, default=LARGE, help="job executions of the large database")
    parser.add_argument("--before", type=Path, help="a checkout of version 0.1, to compare with")
    parser.add_argument("--progress", action="store_true", help="show progress, even if the output is not a terminal")
    options = parser.parse_args()
    name = make_url(options.url).get_backend_name()
    with databases(options.url, (SMALL, options.large)) as (small, large):
        filled(small, SMALL)
        filled(large, options.large)
        print(f"## {name}, {options.large:,} job executions\n", *measure_reads(small, large), "", sep="\n", flush=True)
        print(*measure_intake(large), "", sep="\n", flush=True)
    if options.before:
        print(*measure_before(options.url, options.before), "", sep="\n", flush=True)


if __name__ == "__main__":
    main()
