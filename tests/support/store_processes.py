"""Functions that tests of the store run in other processes, and helpers that several of these tests use."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from cicd_common import ExecutionStatus
from cicd_common.api.request import JobStatusUpdate
from cicd_common.store import BusyError, ExecutionStore, UnavailableError

MOMENT = datetime(2026, 1, 31, tzinfo=UTC)
PATIENCE = 60


def opened_at_once(url: str, timeout: float, **options: Any) -> ExecutionStore:
    """Open a store that hardly waits, as soon as other tests let it: opening takes a lock of the whole server."""
    while True:
        with suppress(BusyError, UnavailableError):
            return ExecutionStore(url, timeout=timeout, **options)


def apply_all(url: str, updates: Any, results: Any) -> None:
    """Apply the updates of a queue up to None. Put the ids of the jobs that became ready into `results`."""
    with ExecutionStore(url) as store:
        while (update := updates.get()) is not None:
            results.put([job.job_execution_id for job in store.apply(update, at=MOMENT).jobs])


def start_all(url: str, barrier: Any, pipelines: Any, results: Any) -> None:
    """Open the store at the same time as other processes, then start pipelines, each with its request id."""
    barrier.wait()
    with ExecutionStore(url) as store:
        for pipeline, request_id in pipelines:
            started = store.start(pipeline, request_id=request_id)
            results.put((pipeline.id, started.execution, [job.job_execution_id for job in started.jobs]))
    results.put(None)


def updates_to_success(job_execution_id: UUID, writer: str) -> list[JobStatusUpdate]:
    """A RUNNING and a SUCCESS update of a job, each with a line of output that names the writer."""
    return [
        JobStatusUpdate(
            job_execution_id=job_execution_id,
            sequence=sequence,
            status=status,
            occurred_at=MOMENT,
            logs=f"{writer} {sequence}\n",
            worker=writer,
        )
        for sequence, status in enumerate((ExecutionStatus.RUNNING, ExecutionStatus.SUCCESS), 1)
    ]


def write_on(url: str, pipeline: Any, acknowledgements: Any) -> None:
    """Start runs and update their jobs until killed. Acknowledge each write."""
    store = ExecutionStore(url)
    while True:
        started = store.start(pipeline)
        acknowledgements.send(("started", started.execution))
        jobs = list(started.jobs)
        for job in jobs:
            for update in updates_to_success(job.job_execution_id, f"{os.getpid()}"):
                jobs += store.apply(update).jobs
                acknowledgements.send(("applied", update))


def send_and_wait(url: str, file: str) -> None:
    """Claim a change from the outbox, write its id to a file, and wait to be killed before confirming it."""
    with ExecutionStore(url) as store:
        [change] = store.outbox.claim(seconds=30, at=MOMENT)
        Path(file).write_text(str(change.after.id))
        signal.pause()


def await_one_behind(connection):
    """Wait until another connection waits for a row that this connection has locked."""
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
    until(lambda: connection.exec_driver_sql(waiting).scalar_one())


def until(condition: Callable[[], Any]) -> None:
    """Wait until the condition is true. Fail after `PATIENCE` seconds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
