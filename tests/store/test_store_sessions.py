"""The connections that updates go by: how many there are, who gets them, and when they end."""

from __future__ import annotations

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from store_processes import taken, until

from cicd_common import ExecutionStatus
from cicd_common.api.request import JobStatusUpdate
from cicd_common.model import Job, Pipeline, Stage, UpdateOutcome
from cicd_common.store import BusyError, ExecutionStore, UnavailableError
from cicd_common.store.hot import BEGIN

LIMIT = 8
MOMENT = datetime(2026, 1, 31, tzinfo=UTC)
PIPELINE = Pipeline(
    name="build",
    repo_url="https://example.org/repo.git",
    stages=(Stage(name="check", jobs=(Job(name="test", script=("make test",)),)),),
)


def first_update(store):
    (job,) = store.start(PIPELINE, at=MOMENT).jobs
    return JobStatusUpdate(
        job_execution_id=job.job_execution_id, sequence=1, status=ExecutionStatus.RUNNING, occurred_at=MOMENT
    )


@pytest.fixture
def update(store):
    return first_update(store)


def is_closed(session):
    driver = session.wire.driver
    if not isinstance(driver, sqlite3.Connection):
        return driver.closed
    with suppress(sqlite3.ProgrammingError):
        driver.execute("SELECT 1")
        return False
    return True


def test_one_is_enough_for_one(store):
    """No more are opened than are needed at once."""
    with taken(store, 1) as first:
        pass
    with taken(store, 1) as again:
        assert again == first


def test_all_in_use(url, update):
    """Who finds all in use waits as long as the store does, and is told so; and is served once there is one."""
    with ExecutionStore(url, timeout=0.1) as store:
        with taken(store, LIMIT), pytest.raises(BusyError, match="all connections are in use"):
            store.apply(update)
        assert store.apply(update).outcome is UpdateOutcome.APPLIED


def test_cannot_be_opened(tmp_path):
    """One that could not be opened counts no more as in use."""
    path = tmp_path / "here"
    path.mkdir()
    with ExecutionStore(f"sqlite:///{path}/cicd.db", timeout=0.1) as store:
        update = first_update(store)
        store._database._sessions.close_idle()
        path.rename(tmp_path / "away")
        for _ in range(LIMIT + 1):
            with pytest.raises(UnavailableError, match="SQLITE_CANTOPEN"):
                store.apply(update)
        (tmp_path / "away").rename(path)
        assert store.apply(update).outcome is UpdateOutcome.APPLIED


def test_broken(store, update):
    """A connection that broke in use is replaced by another one."""
    for _ in range(LIMIT + 1):
        with store._database.session() as session:
            session.wire.driver.close()
    assert store.apply(update).outcome is UpdateOutcome.APPLIED


def test_interrupted_on_its_way_back(url, update, monkeypatch):
    """Who interrupts what is done after a use closes the session, and takes no place with him."""

    def interrupt(_session):
        raise KeyboardInterrupt

    with ExecutionStore(url, timeout=0.1) as store:
        for _ in range(LIMIT + 1):
            with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt), store._database.session() as session:
                patch.setattr(type(session.wire), "reset", interrupt)
            assert is_closed(session)
        assert store.apply(update).outcome is UpdateOutcome.APPLIED


def test_left_in_a_transaction(url, store):
    """What a user leaves open is rolled back, even if nothing went wrong: it would hold up all others."""
    store.start(PIPELINE)
    with store._database.session() as session:
        session.run(BEGIN())
        session.wire.driver.execute("UPDATE pipelines SET name = 'another'")
    with ExecutionStore(url, timeout=0.1) as other:
        assert other.start(PIPELINE).execution.run_number == 2


def test_closed_while_in_use(store, update):
    """Those that are in use when the store is closed end with their use."""
    with taken(store, 2) as sessions:
        store.close()
        assert not any(map(is_closed, sessions))
    assert all(map(is_closed, sessions))
    with pytest.raises(UnavailableError, match="it was closed"):
        store.apply(update)


def test_stays_closed(store, update):
    """What is told of connections afterwards does not open a store again."""
    store.close()
    store._database._sessions.close_idle()
    with pytest.raises(UnavailableError, match="it was closed"):
        store.apply(update)


def test_waiting_when_all_are_renewed(store, update):
    """Who waits for a session gets one, even if all are made anew meanwhile."""
    places = store._database._sessions._places
    with ThreadPoolExecutor(1) as pool:
        with taken(store, LIMIT) as sessions:
            waiting = pool.submit(store.apply, update)
            until(lambda: places.not_empty._waiters)
            store._database._sessions.close_idle()
        assert waiting.result(timeout=30).outcome is UpdateOutcome.APPLIED
    assert all(map(is_closed, sessions))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_forked_while_in_use(store, update):
    """What others use when a process forks is not missing in the fork."""
    with taken(store, LIMIT):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                with taken(store, LIMIT - 1):
                    status = 0 if store.apply(update).outcome is UpdateOutcome.APPLIED else 1
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert store.job_status(update.job_execution_id).status is ExecutionStatus.RUNNING
