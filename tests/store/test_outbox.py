"""The outbox delivers every change of a run at least once, in order, and to one process at a time."""

from __future__ import annotations

import os
import signal
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from threading import Event
from uuid import uuid4

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, select

from cicd_common import ContractError, ExecutionStatus
from cicd_common.api.request import JobStatusUpdate
from cicd_common.model import Job, Pipeline, Stage
from cicd_common.store import BusyError, ExecutionStore, OutboxCounts
from cicd_common.store.apply import apply_all
from cicd_common.store.outbox import _change
from cicd_common.store.tables import outbox
from tests.store.test_statements import counted, plans, scans
from tests.support.store_processes import PATIENCE, opened_at_once, send_and_wait, until

AT = datetime(2026, 1, 31, tzinfo=UTC)
PENDING, RUNNING, SUCCESS, FAILED = map(ExecutionStatus, ("PENDING", "RUNNING", "SUCCESS", "FAILED"))
NOTHING = OutboxCounts(waiting=0, given_up=0)
PIPELINE = Pipeline(
    name="p",
    repo_url="r",
    stages=(
        Stage(name="first", jobs=(Job(name="one", script=("x",)), Job(name="two", script=("x",)))),
        Stage(name="second", jobs=(Job(name="last", script=("x",)),)),
    ),
)


def after(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def told(job, sequence, status, **fields):
    return JobStatusUpdate(
        job_execution_id=job, sequence=sequence, status=status, occurred_at=AT, worker="worker", **fields
    )


@pytest.fixture
def store(url):
    """A store with an outbox, in an empty database."""
    with ExecutionStore(url, outbox=True) as store:
        yield store


@pytest.fixture
def run(store):
    """A run whose start was delivered, and its jobs that were handed out."""
    started = store.start(PIPELINE, at=AT)
    confirm_all(store)
    return started.execution.execution_id, [job.job_execution_id for job in started.jobs]


def confirm_all(store, at=AT):
    """Claim and confirm until nothing is left, and return the delivered changes in order."""
    changes = []
    while found := store.outbox.claim(at=at):
        changes += found
        for change in found:
            store.outbox.confirm(change, at=at)
    return changes


def finish(store, jobs):
    """Let jobs succeed, and the jobs that become ready."""
    jobs = list(jobs)
    for job in jobs:
        jobs += [each.job_execution_id for each in store.apply(told(job, 9, SUCCESS), at=AT).jobs]


class TestNotes:
    def test_none_are_made_by_default(self, url):
        """A store without an outbox writes nothing into it."""
        with ExecutionStore(url) as store:
            started = store.start(PIPELINE, at=AT)
            finish(store, [job.job_execution_id for job in started.jobs])
            assert store.outbox.claim(at=AT) == ()
            assert store.outbox.counts() == NOTHING

    def test_a_run_that_starts_is_noted(self, store):
        """A new run is one change without a state before, also when its request is repeated."""
        request = uuid4()
        run, again = (store.start(PIPELINE, request_id=request, at=AT).execution.execution_id for _ in range(2))
        assert run == again
        [change] = confirm_all(store)
        assert (change.before, change.after, change.attempt) == (None, store.execution(run), 1)

    def test_the_states_follow_each_other(self, store, run):
        """Each change begins with the state that was confirmed last."""
        run_id, (one, two) = run
        seen = [store.execution(run_id)]
        for update in (told(one, 1, RUNNING), told(two, 1, RUNNING), told(one, 2, SUCCESS)):
            store.apply(update, at=AT)
            [change] = confirm_all(store)
            assert change.before == seen[-1]
            seen.append(change.after)
        assert [state.stages[0].jobs[0].status for state in seen] == [PENDING, RUNNING, RUNNING, SUCCESS]
        assert seen[-1] == store.execution(run_id)

    def test_several_changes_become_one(self, store, run):
        """All changes of a run since its last delivery are delivered together."""
        run_id, (one, two) = run
        store.apply_all([told(one, 1, RUNNING), told(one, 2, SUCCESS)], at=AT)
        store.apply(told(two, 1, RUNNING), at=AT)
        [change] = confirm_all(store)
        assert change.after == store.execution(run_id)

    def test_more_output_is_no_change(self, store, run):
        """More output, a repeat and an update of another Worker are no change."""
        _, (one, _) = run
        store.apply(told(one, 1, RUNNING), at=AT)
        confirm_all(store)
        store.apply(told(one, 2, RUNNING, logs="more"), at=AT)
        store.apply(told(one, 1, RUNNING), at=AT)
        store.apply(evolve(told(one, 3, FAILED), worker="another"), at=AT)
        assert store.outbox.claim(at=AT) == ()

    @pytest.mark.parametrize("how", ["cancel", "take_over", "release"])
    def test_every_way_to_change_a_run_is_noted(self, store, run, how):
        """Cancellations, releases and lost jobs are noted, as updates are."""
        run_id, (one, _) = run
        store.apply(told(one, 1, RUNNING), at=AT)
        confirm_all(store)
        if how == "cancel":
            store.cancel(run_id, at=AT)
        elif how == "release":
            store.apply(told(one, 2, RUNNING, is_released=True), at=AT)
        else:
            for seconds in range(0, 90, 15):
                store.take_over(after(seconds))
        [change] = store.outbox.claim(at=after(90))
        assert change.before != change.after == store.execution(run_id)

    def test_nothing_is_kept_of_a_run_that_ended(self, store, run):
        """A confirmed end deletes the row; a later change has no state before."""
        run_id, (one, two) = run
        store.apply(told(two, 1, RUNNING), at=AT)
        finish(store, [one, two])
        [change] = confirm_all(store)
        assert change.after.status is SUCCESS
        assert rows(store) == []
        store.apply(told(one, 1, RUNNING), at=AT)
        [change] = confirm_all(store)
        assert (change.before, change.after) == (None, store.execution(run_id))

    def test_a_transaction_that_fails_notes_nothing(self, store, run):
        """A change and its note are one transaction."""
        run_id, (one, _) = run
        known = store.execution(run_id)

        def fail_afterwards():
            with store._database.write() as connection:
                apply_all(connection, [told(one, 1, RUNNING)], AT, store._rules)
                raise InterruptedError

        with pytest.raises(InterruptedError):
            fail_afterwards()
        assert store.outbox.claim(at=AT) == ()
        assert store.execution(run_id) == known


def rows(store):
    with store._database.read() as connection:
        return connection.execute(select(outbox)).all()


class TestClaims:
    def test_a_run_is_claimed_once(self, store, run):
        """A run is claimed again only when the claim has expired, with its next attempt."""
        run_id, _ = run
        store.cancel(run_id, at=AT)
        [first] = store.outbox.claim(seconds=10, at=AT)
        assert store.outbox.claim(at=after(9.9)) == ()
        [second] = store.outbox.claim(seconds=10, at=after(10))
        assert (first.attempt, second.attempt) == (1, 2)
        assert evolve(second, attempt=1, claim=first.claim) == first

    def test_a_claim_that_another_one_has_taken_over_changes_nothing(self, store, run):
        """An expired claim changes nothing when it is confirmed or failed."""
        run_id, (one, _) = run
        store.cancel(run_id, at=AT)
        [late] = store.outbox.claim(seconds=1, at=AT)
        store.apply(told(one, 1, RUNNING), at=AT)
        [newer] = store.outbox.claim(at=after(1))
        before = rows(store)
        store.outbox.confirm(late, at=after(2))
        assert store.outbox.fail(late, at=after(2))
        assert rows(store) == before
        store.outbox.confirm(newer, at=after(2))
        assert store.outbox.counts() == NOTHING

    def test_a_change_during_a_claim_is_claimed_afterwards(self, store, run):
        """The change is claimed right after the confirmation, also if the run has ended."""
        run_id, jobs = run
        store.cancel(run_id, at=AT)
        [first] = store.outbox.claim(at=AT)
        finish(store, jobs)
        store.outbox.confirm(first, at=AT)
        [second] = store.outbox.claim(at=AT)
        assert (second.before, second.after) == (first.after, store.execution(run_id))
        assert second.after.status.is_terminal

    def test_an_end_is_kept_that_changes_during_its_claim(self, store, run):
        """The next delivery starts from the delivered state."""
        _, (one, two) = run
        store.apply(told(two, 1, RUNNING), at=AT)
        finish(store, [one, two])
        [end] = store.outbox.claim(at=AT)
        store.apply(told(one, 1, RUNNING), at=AT)
        store.outbox.confirm(end, at=AT)
        [change] = confirm_all(store)
        assert change.before == end.after
        assert rows(store) == []

    def test_those_come_first_that_wait_for_the_longest_time(self, store):
        """Claims take the runs that have waited longest, up to the limit."""
        runs = [store.start(PIPELINE, at=after(seconds)).execution.execution_id for seconds in (2, 0, 1)]
        claimed = [store.outbox.claim(limit=2, at=after(2)) for _ in range(3)]
        assert [[change.after.id for change in some] for some in claimed] == [[runs[1], runs[2]], [runs[0]], []]

    def test_does_not_wait_for_a_run_that_is_just_changed(self, fresh):
        """Other runs are claimed, unless the database has one writer at a time."""
        url = fresh()
        with ExecutionStore(url, outbox=True) as store, opened_at_once(url, 0.1, outbox=True) as hasty:
            runs = [store.start(PIPELINE, at=AT).execution.execution_id for _ in range(2)]
            with store._database.write() as connection:
                of_first = outbox.c.pipeline_execution_id == runs[0]
                connection.execute(select(outbox).where(of_first).with_for_update())
                if connection.dialect.name == "sqlite":
                    with pytest.raises(BusyError):
                        hasty.outbox.claim(at=AT)
                    return
                assert [change.after.id for change in hasty.outbox.claim(at=AT)] == runs[1:]
            assert [change.after.id for change in store.outbox.claim(at=AT)] == runs[:1]

    def test_now_is_the_time_by_default(self, store):
        """The current time is the default of all methods."""
        store.start(PIPELINE)
        [change] = store.outbox.claim()
        assert store.outbox.claim() == ()
        assert not store.outbox.fail(change, max_attempts=1)
        assert store.outbox.retry() == 1
        [change] = store.outbox.claim()
        store.outbox.confirm(change)
        assert store.outbox.counts() == NOTHING

    @pytest.mark.parametrize(
        "arguments", [{"limit": 0}, {"limit": 1001}, {"seconds": 0}, {"at": datetime(2026, 1, 31)}, {"at": "now"}]
    )
    def test_arguments_are_checked(self, store, arguments):
        """The methods of the outbox check their arguments as the store does."""
        with pytest.raises(ContractError):
            store.outbox.claim(**arguments)

    def test_flag_is_checked(self):
        """The argument `outbox` of the store must be a boolean."""
        with pytest.raises(ContractError, match="/outbox"):
            ExecutionStore("sqlite://", outbox="yes")


class TestFailures:
    def test_are_tried_again_after_a_growing_time(self, store, run):
        """The wait after a failure doubles up to 5 minutes."""
        run_id, _ = run
        store.cancel(run_id, at=AT)
        at, waits = AT, []
        for _ in range(11):
            [change] = store.outbox.claim(at=at)
            assert store.outbox.fail(change, at=at)
            [row] = rows(store)
            waits.append((row.due_at - at).total_seconds())
            assert store.outbox.claim(at=row.due_at - timedelta(microseconds=1)) == ()
            at = row.due_at
        assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]

    def test_changes_do_not_shorten_the_wait(self, store, run):
        """Later changes are delivered with the failed one, and then attempts count anew."""
        run_id, (one, two) = run
        first = store.execution(run_id)
        store.apply(told(one, 1, RUNNING), at=AT)
        [change] = store.outbox.claim(at=AT)
        store.outbox.fail(change, at=AT)
        store.apply(told(two, 1, RUNNING), at=AT)
        assert store.outbox.claim(at=after(0.9)) == ()
        [change] = store.outbox.claim(at=after(1))
        assert (change.before, change.after, change.attempt) == (first, store.execution(run_id), 2)
        store.outbox.confirm(change, at=after(1))
        store.cancel(run_id, at=after(1))
        [change] = store.outbox.claim(at=after(1))
        assert change.attempt == 1

    def test_end_at_the_last_attempt(self, store, run):
        """A run that was given up is counted, and claimed with all its changes when it changes again."""
        run_id, (one, _) = run
        told_last = store.execution(run_id)
        store.apply(told(one, 1, RUNNING), at=AT)
        [change] = store.outbox.claim(at=AT)
        assert store.outbox.fail(change, max_attempts=2, at=AT)
        [change] = store.outbox.claim(at=after(1))
        assert store.outbox.counts() == OutboxCounts(waiting=1, given_up=0)
        assert not store.outbox.fail(change, max_attempts=2, at=after(1))
        assert store.outbox.counts() == OutboxCounts(waiting=0, given_up=1)
        assert store.outbox.claim(at=AT + timedelta(days=1)) == ()
        store.apply(told(one, 2, FAILED), at=after(2))
        assert store.outbox.counts() == OutboxCounts(waiting=1, given_up=0)
        [change] = store.outbox.claim(at=after(2))
        assert (change.before, change.after, change.attempt) == (told_last, store.execution(run_id), 1)

    def test_can_be_tried_once_more(self, store, run):
        """Only the runs that were given up are tried again."""
        run_id, _ = run
        store.cancel(run_id, at=AT)
        [change] = store.outbox.claim(at=AT)
        assert store.outbox.retry(at=AT) == 0
        store.outbox.fail(change, max_attempts=1, at=AT)
        assert store.outbox.retry(at=after(5)) == 1
        assert store.outbox.claim(at=after(4)) == ()
        [change] = store.outbox.claim(at=after(5))
        assert change.attempt == 1
        store.outbox.confirm(change)
        assert store.outbox.retry() == 0


class TestForgottenRuns:
    def test_leave_nothing(self, store, run):
        """The claim of a run that was deleted does nothing."""
        run_id, jobs = run
        finish(store, jobs)
        [change] = store.outbox.claim(at=AT)
        assert store.forget(before=after(1)) == 1
        assert rows(store) == []
        store.outbox.confirm(change, at=AT)
        assert store.outbox.fail(change, at=AT)
        assert rows(store) == []
        with store._database.read() as connection:
            assert _change(connection, run_id, change.claim) is None


class TestCosts:
    def test_are_one_statement_for_a_change(self, store, url):
        """A change costs one statement of the outbox, more output costs none, and none of them scans its table."""
        statements = []

        def cost(call):
            with counted() as some:
                call()
            statements.extend(some)
            return len(some), sum("outbox" in statement for statement, _ in some)

        assert cost(lambda: store.start(PIPELINE, at=AT))[1] == 1
        [change] = store.outbox.claim(at=AT)
        one, _ = (job.id for job in change.after.stages[0].jobs)
        assert cost(lambda: store.apply(told(one, 1, RUNNING), at=AT))[1] == 1
        assert cost(lambda: store.apply(told(one, 2, RUNNING, logs="more"), at=AT)) == (3, 0)
        assert cost(lambda: store.apply(told(one, 3, SUCCESS), at=AT))[1] == 1
        assert cost(lambda: store.cancel(change.after.id, at=AT))[1] == 1
        assert cost(lambda: store.outbox.confirm(change, at=AT)) == (1, 1)
        assert cost(lambda: store.outbox.claim(at=AT)) == (2 + 1 + 7, 3)
        assert cost(lambda: store.outbox.claim(at=AT)) == (1, 1)
        engine = create_engine(url)
        # Whether joins of so few rows scan a table depends on when PostgreSQL has analyzed it; see `TestStatements`.
        noted = [each for each in statements if "outbox" in each[0]]
        found = {statement: plan for statement, plan in plans(engine, noted) if scans(plan)}
        engine.dispose()
        assert found == {}


def apply_to_end(store, jobs):
    """Apply the updates of all jobs of a run, up to its end."""
    for job in (jobs := list(jobs)):
        for sequence, status in enumerate((RUNNING, SUCCESS), 1):
            jobs += [each.job_execution_id for each in store.apply(told(job, sequence, status)).jobs]


class TestSeveral:
    def test_tell_each_change_in_order(self, fresh):
        """Two threads that drain one outbox get all changes of each run, each once and in order."""
        url = fresh()
        changes = defaultdict(list)
        done = Event()

        def drain():
            with ExecutionStore(url) as own:
                while True:
                    is_last = done.is_set()
                    claimed = own.outbox.claim(limit=2)
                    for change in claimed:
                        changes[change.after.id].append(change)
                        own.outbox.confirm(change)
                    if is_last and not claimed:
                        return

        with ExecutionStore(url, outbox=True) as store, ThreadPoolExecutor(4) as pool:
            drains = [pool.submit(drain) for _ in range(2)]
            runs = {}
            try:
                for _ in range(6):
                    started = store.start(PIPELINE)
                    runs[started.execution.execution_id] = [job.job_execution_id for job in started.jobs]
                for work in [pool.submit(apply_to_end, store, jobs) for jobs in runs.values()]:
                    work.result(PATIENCE)
            finally:
                done.set()
            for each in drains:
                each.result(PATIENCE)
            assert changes.keys() == runs.keys()
            for run_id, some in changes.items():
                assert [change.before for change in some] == [None, *(change.after for change in some[:-1])]
                assert some[-1].after == store.execution(run_id)
                assert {change.attempt for change in some} == {1}
            assert store.outbox.counts() == NOTHING


class TestKilled:
    def test_between_sending_and_confirming(self, store, url, tmp_path):
        """The change of a killed process is claimed again and delivered twice."""
        run_id = store.start(PIPELINE, at=AT).execution.execution_id
        sent = tmp_path / "sent"
        process = get_context("spawn").Process(target=send_and_wait, args=(url, str(sent)))
        process.start()
        try:
            until(lambda: sent.exists() and sent.read_text() == str(run_id))
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.join()
        assert store.outbox.claim(at=after(29)) == ()
        [change] = store.outbox.claim(at=after(30))
        assert (change.before, change.after.id, change.attempt) == (None, run_id, 2)


class TestAnyHistory:
    @given(
        steps=st.lists(
            st.sampled_from(["start one", "start two", "end one", "fail two", "cancel", "tell", "fail", "die"]),
            max_size=12,
        )
    )
    def test_is_told_as_a_chain(self, steps):
        """Each delivered change begins with the state that was confirmed last, and the last one is current."""
        with ExecutionStore("sqlite://", outbox=True) as store:
            started = store.start(PIPELINE, at=AT)
            run_id = started.execution.execution_id
            one, two = (job.job_execution_id for job in started.jobs)
            moves = {
                "start one": lambda: store.apply(told(one, 1, RUNNING), at=AT),
                "start two": lambda: store.apply(told(two, 1, RUNNING), at=AT),
                "end one": lambda: store.apply(told(one, 2, SUCCESS), at=AT),
                "fail two": lambda: store.apply(told(two, 2, FAILED), at=AT),
                "cancel": lambda: store.cancel(run_id, at=AT),
            }
            at, last = AT, None
            for step in [*steps, "tell", "tell"]:
                if move := moves.get(step):
                    move()
                    continue
                at += timedelta(hours=1)  # Failed changes, and changes with an expired claim, are due again.
                for change in store.outbox.claim(at=at):
                    # The row of a run is deleted when its end is confirmed.
                    assert change.before == last or (change.before is None and last.status.is_terminal)
                    if step == "tell":
                        store.outbox.confirm(change, at=at)
                        last = change.after
                    elif step == "fail":
                        assert store.outbox.fail(change, at=at)
            assert last == store.execution(run_id)
            assert store.outbox.claim(at=at + timedelta(hours=1)) == ()
