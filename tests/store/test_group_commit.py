"""Group commit: threads share transactions, and each gets the result or the error of its own update."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Event
from uuid import UUID, uuid4

import pytest

from cicd_common import ExecutionStatus
from cicd_common.api.request import JobStatusUpdate
from cicd_common.api.response import JobExecutionResponse
from cicd_common.model import UpdateOutcome
from cicd_common.store import Applied, BusyError, UnavailableError
from cicd_common.store.errors import unknown_job
from cicd_common.store.group_commit import GroupCommit, Take, _Entry
from tests.support.store_processes import until


def update() -> JobStatusUpdate:
    return JobStatusUpdate(
        job_execution_id=uuid4(),
        sequence=1,
        status=ExecutionStatus.RUNNING,
        occurred_at=datetime(2026, 1, 31, tzinfo=UTC),
        worker="worker",
    )


def applied(job: UUID) -> Applied:
    response = JobExecutionResponse(job_execution_id=job, status=ExecutionStatus.RUNNING)
    return Applied(outcome=UpdateOutcome.APPLIED, response=response)


class Database:
    """Records the sizes of batches. The first transaction waits for `goes_on`."""

    def __init__(self, bad: Sequence[UUID] = (), error: BaseException | None = None) -> None:
        self.batches: list[int] = []
        self.goes_on = Event()
        self.bad, self.error = bad, error

    def apply_all(self, take: Take) -> list[Applied]:
        updates = take()
        self.batches.append(len(updates))
        if len(self.batches) == 1:
            assert self.goes_on.wait(60)
        if self.error is not None and any(update.job_execution_id in self.bad for update in updates):
            raise self.error
        return [applied(update.job_execution_id) for update in updates]


def run(database: Database, updates: Sequence[JobStatusUpdate]) -> list[Applied | BaseException]:
    """Apply each update in its own thread. All but the first arrive during the first transaction."""
    group = GroupCommit(database.apply_all)
    with ThreadPoolExecutor(len(updates)) as pool:
        first = pool.submit(group.apply, updates[0])
        until(lambda: database.batches)
        others = [pool.submit(group.apply, each) for each in updates[1:]]
        until(lambda: len(group._waiting) == len(others))
        database.goes_on.set()
        return [each.exception(60) or each.result() for each in (first, *others)]


def test_updates_that_wait_go_together_into_the_next_transaction():
    """Updates that arrive during a transaction share the next one, and each thread gets its own result."""
    updates = [update() for _ in range(8)]
    database = Database()
    results = run(database, updates)
    assert database.batches == [1, 7]
    assert [each.response.job_execution_id for each in results] == [each.job_execution_id for each in updates]


def test_updates_that_come_while_a_transaction_begins_go_with_it():
    """Updates that arrive before the transaction has begun are part of it."""
    begins = Event()
    batches = []

    def apply_all(take: Take) -> list[Applied]:
        assert begins.wait(60)
        updates = take()
        batches.append(len(updates))
        return [applied(each.job_execution_id) for each in updates]

    group = GroupCommit(apply_all)
    with ThreadPoolExecutor(4) as pool:
        results = [pool.submit(group.apply, update()) for _ in range(4)]
        until(lambda: len(group._waiting) == 3)
        begins.set()
        assert all(isinstance(each.result(60), Applied) for each in results)
    assert batches == [4]


@pytest.mark.parametrize("error", [BusyError("busy"), UnavailableError("gone")])
def test_a_transaction_that_cannot_begin_fails_for_all_that_wait(error):
    """If a transaction cannot begin, each thread gets its own error, without a second try."""
    fails = Event()
    calls = []

    def apply_all(_: Take) -> list[Applied]:
        calls.append(1)
        assert fails.wait(60)
        raise error

    group = GroupCommit(apply_all)
    with ThreadPoolExecutor(4) as pool:
        results = [pool.submit(group.apply, update()) for _ in range(4)]
        until(lambda: len(group._waiting) == 3)
        fails.set()
        errors = [each.exception(60) for each in results]
    assert {type(each) for each in errors} == {type(error)}
    assert len({id(each) for each in errors}) == 4
    assert calls == [1]


def test_when_a_batch_fails_each_update_is_tried_alone():
    """After a failed batch each update is tried alone, and only the one that causes the failure fails."""
    updates = [update() for _ in range(4)]
    bad = updates[2].job_execution_id
    database = Database([bad], BusyError("busy"))
    results = run(database, updates)
    assert database.batches == [1, 3, 1, 1, 1]
    assert [isinstance(each, BusyError) for each in results] == [False, False, True, False]


def test_when_the_database_does_not_answer_no_update_is_tried_alone():
    """If the database does not answer, all updates of the batch fail without a second try."""
    updates = [update() for _ in range(4)]
    database = Database([updates[2].job_execution_id], UnavailableError("gone"))
    results = run(database, updates)
    assert database.batches == [1, 3]
    assert [isinstance(each, UnavailableError) for each in results] == [False, True, True, True]
    assert len({id(each) for each in results}) == 4


def test_an_update_that_fails_alone_raises_its_error():
    """An update that was alone in its transaction is not tried a second time."""
    bad = update()
    database = Database([bad.job_execution_id], BusyError("busy"))
    database.goes_on.set()
    with pytest.raises(BusyError):
        GroupCommit(database.apply_all).apply(bad)
    assert database.batches == [1]


def test_an_unknown_job_is_raised_to_its_own_thread():
    """The error of an unknown job is raised in the thread of its update."""
    group = GroupCommit(lambda take: [unknown_job(each.job_execution_id) for each in take()])
    with pytest.raises(type(unknown_job(uuid4()))):
        group.apply(update())


def test_a_leader_that_is_interrupted_leaves_the_others_to_another():
    """If the leader is interrupted, the updates of other threads are applied."""
    updates = [update() for _ in range(4)]
    database = Database([each.job_execution_id for each in updates[:1]], KeyboardInterrupt())
    results = run(database, updates)
    assert isinstance(results[0], KeyboardInterrupt)
    assert all(isinstance(each, Applied) for each in results[1:])


def test_a_leader_that_is_interrupted_in_a_batch_leaves_the_others_to_another():
    """If the leader of a batch is interrupted, the updates of other threads are applied."""
    updates = [update() for _ in range(4)]

    class InterruptedOnce(Database):
        def apply_all(self, take):
            result = super().apply_all(take)
            if len(self.batches) == 2:
                raise KeyboardInterrupt
            return result

    database = InterruptedOnce()
    results = run(database, updates)
    assert [isinstance(each, KeyboardInterrupt) for each in results].count(True) == 1
    assert [isinstance(each, Applied) for each in results].count(True) == 3


def test_no_batch_is_larger_than_the_bound():
    """A batch has at most 64 updates."""
    updates = [update() for _ in range(130)]
    database = Database()
    run(database, updates)
    assert sum(database.batches) == 130
    assert max(database.batches) <= 64


class Interrupted:
    """A lock whose `acquire` is interrupted, as by Ctrl-C in the main thread."""

    def acquire(self) -> None:
        raise KeyboardInterrupt

    def release(self) -> None:
        """Do nothing: the thread is interrupted before it notices the release."""


@pytest.mark.parametrize("is_led", [False, True])
def test_a_thread_that_is_interrupted_while_it_waits_takes_no_lead_with_it(monkeypatch, is_led):
    """An interrupted thread removes its update and does not keep the lead, so that later updates are applied."""
    database = Database()
    database.goes_on.set()
    group = GroupCommit(database.apply_all)
    group._is_led = is_led
    with monkeypatch.context() as patched:
        patched.setattr(_Entry, "__attrs_post_init__", lambda entry: setattr(entry, "awaited", Interrupted()))
        with pytest.raises(KeyboardInterrupt):
            group.apply(update())
    assert (group._waiting, group._is_led) == ([], is_led)
    group._is_led = False
    assert isinstance(group.apply(update()), Applied)
    assert database.batches == [1]


def test_a_thread_that_is_interrupted_after_its_update_was_taken_changes_nothing():
    """Leaving after the leader has taken the update changes nothing."""
    group = GroupCommit(Database().apply_all)
    group._is_led = True
    group._leave(_Entry(update()))
    assert (group._waiting, group._is_led) == ([], True)
