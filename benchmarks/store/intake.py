"""Apply updates, or run bare transactions, as fast as possible.

    python benchmarks/store/intake.py MODE URL THREADS

`bench.py` starts this program. It prints "ready", waits for a line, works, and prints the number of updates. Modes:

    one     a call of `apply` for each update
    batch   a call of `apply_all` for 32 updates
    bare    transactions of one row, with the driver of the database alone

Mode `one` also runs with the code of version 0.1, which has no batches.
"""

from __future__ import annotations

import sqlite3
import sys
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from attrs import fields
from sqlalchemy import make_url

from cicd_common import ExecutionStatus
from cicd_common.api.request import JobStatusUpdate
from cicd_common.model import Job, Pipeline, Stage
from cicd_common.store import ExecutionStore

__all__ = ["JOBS", "MOMENT", "pipeline", "told"]

BATCH = 32
JOBS = 10
RUNS = 100
UPDATES = 3 * JOBS * RUNS
"""The number of updates that one process applies."""

LOG = "x" * 79 + "\n"
MOMENT = datetime(2026, 1, 31, tzinfo=UTC)
_STATUSES = (ExecutionStatus.RUNNING, ExecutionStatus.RUNNING, ExecutionStatus.SUCCESS)
_WORKER: dict[str, Any] = {"worker": "worker"} if hasattr(fields(JobStatusUpdate), "worker") else {}

Take = Callable[[Sequence[JobStatusUpdate]], Sequence[Any]]


def pipeline(name: str) -> Pipeline:
    """A pipeline of ten jobs in three stages."""

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
    """An update of a job, with 80 bytes of output."""
    return JobStatusUpdate(
        job_execution_id=job, sequence=sequence, status=status, occurred_at=MOMENT, logs=LOG, **_WORKER
    )


def play(take: Take, size: int, jobs: Sequence[UUID]) -> int:
    """Send the updates of jobs, and of the jobs that become ready then. Return the number of updates.

    Args:
        take: Applies updates.
        size: The number of updates in each call, each of a different job.
        jobs: The ids of the first jobs.
    """
    count = 0
    waiting = deque((job, 1) for job in jobs)
    while waiting:
        batch = [waiting.popleft() for _ in range(min(size, len(waiting)))]
        updates = [told(job, sequence, _STATUSES[sequence - 1]) for job, sequence in batch]
        for (job, sequence), applied in zip(batch, take(updates), strict=True):
            if sequence < len(_STATUSES):
                waiting.append((job, sequence + 1))
            waiting.extend((each.job_execution_id, 1) for each in applied.jobs)
        count += len(batch)
    return count


def take_in(mode: str, url: str, threads: int) -> Callable[[], int]:
    """Start runs, and return a function that applies the updates of their jobs."""
    store = ExecutionStore(url)
    size = BATCH if mode == "batch" else 1

    def one(updates: Sequence[JobStatusUpdate]) -> Sequence[Any]:
        return [store.apply(update) for update in updates]

    take = store.apply_all if mode == "batch" else one
    what = pipeline(f"intake {uuid4()}")
    # Warm up, so that statements are compiled, prepared and planned.
    play(take, size, [job.job_execution_id for _ in range(size) for job in store.start(what).jobs])
    jobs = [job.job_execution_id for _ in range(RUNS) for job in store.start(what).jobs]

    def run() -> int:
        with ThreadPoolExecutor(threads) as pool:
            return sum(pool.map(lambda at: play(take, size, jobs[at::threads]), range(threads)))

    return run


def bare(url: str, threads: int) -> Callable[[], int]:
    """Connect, and return a function that inserts rows, each in a separate transaction."""
    parsed = make_url(url)
    is_sqlite = parsed.get_backend_name() == "sqlite"

    def connect() -> Any:
        if is_sqlite:
            connection = sqlite3.connect(
                parsed.database or "", isolation_level=None, timeout=30, check_same_thread=False
            )
            connection.execute("PRAGMA synchronous = FULL")
            return connection
        import psycopg

        text = parsed.set(drivername="postgresql").render_as_string(hide_password=False)
        return psycopg.connect(text, autocommit=True)

    statement = "INSERT INTO bare VALUES (?, ?)" if is_sqlite else "INSERT INTO bare VALUES (%s, %s)"

    def insert(connection: Any, count: int) -> int:
        for _ in range(count):
            connection.execute(statement, (uuid4().hex, LOG))
        return count

    connections = [connect() for _ in range(threads)]
    for connection in connections:
        insert(connection, 50)

    def run() -> int:
        with ThreadPoolExecutor(threads) as pool:
            return sum(pool.map(lambda each: insert(each, UPDATES // threads), connections))

    return run


def main(mode: str, url: str, threads: str) -> None:
    run = bare(url, int(threads)) if mode == "bare" else take_in(mode, url, int(threads))
    print("ready", flush=True)
    sys.stdin.readline()
    print(run(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
