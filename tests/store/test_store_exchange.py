"""On PostgreSQL updates go past SQLAlchemy, in exchanges of several statements: what that can break on."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Barrier
from uuid import uuid4

import pytest
from sqlalchemy import text
from store_processes import await_one_behind, taken

from cicd_common import ExecutionStatus
from cicd_common.api.request import JobStatusUpdate
from cicd_common.model import Job, Pipeline, Stage, UpdateOutcome
from cicd_common.store import BusyError, ExecutionStore, UnavailableError, UnknownJobExecutionError

MOMENT = datetime(2026, 1, 31, tzinfo=UTC)
PIPELINE = Pipeline(
    name="build",
    repo_url="https://example.org/repo.git",
    stages=(Stage(name="check", jobs=(Job(name="test", script=("make test",)), Job(name="lint", script=("lint",)))),),
)
RUNNING, SUCCESS = ExecutionStatus.RUNNING, ExecutionStatus.SUCCESS

pytestmark = pytest.mark.parametrize("fresh", ["postgresql"], indirect=True)


def told(job, sequence, status=RUNNING, logs="x\n"):
    return JobStatusUpdate(job_execution_id=job, sequence=sequence, status=status, occurred_at=MOMENT, logs=logs)


@pytest.fixture
def jobs(store):
    return [job.job_execution_id for job in store.start(PIPELINE, at=MOMENT).jobs]


def prepared(store):
    """How many statements of exchanges the server has prepared for the session that is next."""
    with store._database.session() as session:
        count = "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'cicd_common_%'"
        return session.wire.driver.execute(count).fetchone()[0]


class TestPrepared:
    def test_once(self, store, jobs):
        """A statement is prepared when it is first run, and never again."""
        store.apply(told(jobs[0], 1))
        before = prepared(store)
        store.apply(told(jobs[1], 1))
        assert prepared(store) == before > 0

    def test_kept_over_a_rollback(self, store, jobs):
        """They outlast a transaction that is rolled back."""
        store.apply(told(jobs[0], 1))
        before = prepared(store)
        with pytest.raises(UnknownJobExecutionError):
            store.apply(told(uuid4(), 1))
        assert prepared(store) == before + 1  # ROLLBACK
        assert store.apply(told(jobs[0], 2)).outcome is UpdateOutcome.APPLIED

    def test_not_prepared_by_what_fails(self, url, store, jobs):
        """What a failure has kept from being prepared is prepared the next time."""
        with ExecutionStore(url, timeout=0.2) as hasty:
            with locked(store), pytest.raises(BusyError):
                hasty.apply(told(jobs[0], 1))
            assert hasty.apply(told(jobs[0], 1)).outcome is UpdateOutcome.APPLIED


@contextmanager
def locked(store):
    """Hold the rows of all runs."""
    with store._database.write() as connection:
        connection.execute(text("SELECT id FROM pipeline_executions FOR UPDATE"))
        yield connection


def test_text_of_any_size(store, jobs):
    """Output that no buffer holds goes through, whatever is in it."""
    logs = "\0\n\N{SNOWMAN}'\\x" * 3_000_000
    assert not store.apply(told(jobs[0], 1, logs=logs)).clashes
    assert not store.apply(told(jobs[0], 1, logs=logs)).clashes
    assert store.apply(told(jobs[0], 1, logs=logs + "x")).clashes
    assert store.logs(jobs[0]).chunks == ((1, logs),)


class Interruption(Exception):
    """What a handler of a signal may raise."""


@pytest.mark.parametrize("error", [KeyboardInterrupt, Interruption])
def test_interrupted(store, jobs, error):
    """Who interrupts an update that waits gets out of it at once. Nothing of it is done, and the next one is."""

    def interrupt(*_):
        raise error

    def interrupt_once_it_waits(connection):
        await_one_behind(connection)
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        with ThreadPoolExecutor(1) as pool, locked(store) as connection:
            waiting = pool.submit(interrupt_once_it_waits, connection)
            with pytest.raises(error):
                store.apply(told(jobs[0], 1))
            waiting.result()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert store.job_status(jobs[0]).status is ExecutionStatus.PENDING
    assert store.apply(told(jobs[0], 1)).outcome is UpdateOutcome.APPLIED


@pytest.mark.parametrize("first", ["update", "read"])
def test_all_connections_lost(url, store, jobs, first):
    """Where the server has ended all connections, that is one error, and not one for each of them."""
    together = Barrier(3)

    def pid():
        with store._database.look() as connection:
            together.wait(30)
            return connection.execute(text("SELECT pg_backend_pid()")).scalar_one()

    with taken(store, 3) as sessions:
        pass
    with ThreadPoolExecutor(3) as pool:
        pids = [each.result() for each in [pool.submit(pid) for _ in range(3)]]
    pids += [session.wire.driver.info.backend_pid for session in sessions]
    with ExecutionStore(url) as other, other._database.look() as connection:
        for each in pids:
            connection.execute(text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": each})
    with pytest.raises(UnavailableError):
        store.apply(told(jobs[0], 1)) if first == "update" else store.job_status(jobs[0])
    for sequence in range(1, 5):
        assert store.apply(told(jobs[0], sequence)).outcome is UpdateOutcome.APPLIED
        assert store.job_status(jobs[0]).status is RUNNING
