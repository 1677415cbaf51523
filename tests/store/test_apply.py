"""Applying updates in the store, alone and in batches, by the rules of the model."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from attrs import evolve, fields

from cicd_common import ContractError, ExecutionStatus
from cicd_common.api.request import JobStatusUpdate
from cicd_common.model import Job, Pipeline, Stage, UpdateOutcome
from cicd_common.model.job_execution import JobState
from cicd_common.model.update import join
from cicd_common.store import ExecutionStore, UnknownJobExecutionError

MOMENT = datetime(2026, 1, 31, tzinfo=UTC)
STATES = list(ExecutionStatus)
# The update that sets the state has sequence 3. The tested update has an earlier, the same or a later sequence.
SEQUENCES = (2, 3, 4)
TIMES = [MOMENT + timedelta(microseconds=each) for each in (-1, 0, 1)]
ONE_EACH = Pipeline(
    name="build",
    repo_url="https://example.org/repo.git",
    stages=(
        Stage(
            name="check",
            jobs=tuple(
                Job(name=f"{state} {sequence} {at}", script=("x",))
                for state, sequence, at in product(STATES, SEQUENCES, range(3))
            ),
        ),
    ),
)


def told(job, sequence, status, at=MOMENT):
    return JobStatusUpdate(
        job_execution_id=job, sequence=sequence, status=status, occurred_at=at, logs=f"{sequence}\n", worker="worker"
    )


def state_of(store, job):
    record = store.job_execution(job)
    return JobState(**{field.name: getattr(record, field.name) for field in fields(JobState)})


def test_is_joined_by_the_rule(store):
    """`apply` has the result of `join` for every state of the job, every sequence and every time."""
    jobs = iter(store.start(ONE_EACH).jobs)
    for state, sequence, at in product(STATES, SEQUENCES, TIMES):
        job = next(jobs).job_execution_id
        store.apply(told(job, 1, ExecutionStatus.PENDING))
        if state is not ExecutionStatus.PENDING:
            store.apply(told(job, 3, ExecutionStatus.RUNNING))
        if state not in (ExecutionStatus.PENDING, ExecutionStatus.RUNNING):
            store.apply(told(job, 3, state))
        update = told(job, sequence, ExecutionStatus.RUNNING, at)
        joined, outcome = join(state_of(store, job), update)
        applied = store.apply(update)
        assert (applied.outcome, applied.response.status) == (outcome, joined.status)
        assert state_of(store, job) == joined
        assert (sequence, f"{sequence}\n") in store.logs(job).chunks


def test_of_a_canceled_run(store):
    """The Worker of a job whose run was canceled is told to stop."""
    started = store.start(ONE_EACH)
    job = started.jobs[0].job_execution_id
    store.apply(told(job, 1, ExecutionStatus.RUNNING))
    assert not store.apply(told(job, 2, ExecutionStatus.RUNNING)).response.is_cancel_requested
    store.cancel(started.execution.execution_id)
    assert store.apply(told(job, 3, ExecutionStatus.RUNNING)).response.is_cancel_requested


def test_of_another_worker(store):
    """The update of another Worker is superseded and not stored."""
    job = store.start(ONE_EACH).jobs[0].job_execution_id
    store.apply(told(job, 1, ExecutionStatus.RUNNING))
    applied = store.apply(evolve(told(job, 2, ExecutionStatus.SUCCESS), worker="another"))
    assert (applied.outcome, applied.response.is_superseded) == (UpdateOutcome.SUPERSEDED, True)
    assert store.logs(job).chunks == ((1, "1\n"),)
    assert store.job_status(job).status is ExecutionStatus.RUNNING


def test_an_unknown_job_in_a_batch_fails_alone(store):
    """An unknown job in a batch has its error as result, and the other updates are applied."""
    first, second = (job.job_execution_id for job in store.start(ONE_EACH).jobs[:2])
    batch = [told(job, 1, ExecutionStatus.RUNNING) for job in (first, ONE_EACH.id, second)]
    one, none, two = store.apply_all(batch)
    assert isinstance(none, UnknownJobExecutionError)
    assert [each.response.job_execution_id for each in (one, two)] == [first, second]
    assert store.job_status(second).status is ExecutionStatus.RUNNING


def test_jobs_are_handed_out_by_the_update_that_makes_them_ready(store):
    """Each result of a batch has the jobs that its update makes ready, also if the batch has updates of these jobs."""
    jobs = (
        Job(name="a", script=("x",)),
        Job(name="b", script=("x",)),
        Job(name="c", script=("x",), dependencies=("a",)),
    )
    stages = (Stage(name="first", jobs=jobs), Stage(name="second", jobs=(Job(name="d", script=("x",)),)))
    run = store.start(Pipeline(name="p", repo_url="r", stages=stages)).execution.execution_id
    a, b, c, d = (job.id for stage in store.execution(run).stages for job in stage.jobs)
    batch = [told(job, 1, ExecutionStatus.SUCCESS) for job in (a, b, c, d)]
    results = store.apply_all(batch)
    assert [[job.job_execution_id for job in each.jobs] for each in results] == [[c], [], [d], []]
    assert store.job_execution(d).queued_at is not None


def two_stages(size):
    """A pipeline whose first stage has `size` chains of two jobs, and whose second stage has `size` jobs."""
    first = [Job(name=f"a {at}", script=("x",)) for at in range(size)]
    first += [Job(name=f"b {at}", script=("x",), dependencies=(f"a {at}",)) for at in range(size)]
    second = [Job(name=f"c {at}", script=("x",)) for at in range(size)]
    stages = (Stage(name="first", jobs=tuple(first)), Stage(name="second", jobs=tuple(second)))
    return Pipeline(name=f"of {size}", repo_url="r", stages=stages)


def succeed(store, jobs):
    """Let jobs succeed in one batch. Return the requests of each update and the number of function calls."""
    batch = [told(job.job_execution_id, 1, ExecutionStatus.SUCCESS) for job in jobs]
    calls = []
    sys.setprofile(lambda _frame, event, _argument: calls.append(1) if event == "call" else None)
    try:
        results = store.apply_all(batch)
    finally:
        sys.setprofile(None)
    return [applied.jobs for applied in results], len(calls)


def test_an_update_costs_the_same_in_a_batch_of_any_size():
    """The number of function calls for each update is the same in a small batch and in a large one."""
    costs = []
    with ExecutionStore("sqlite://") as store:
        for size in (10, 50, 500):  # The first batches compile the statements.
            runs = [store.start(two_stages(size)) for _ in range(2)]
            freed, chains = succeed(store, [job for run in runs for job in run.jobs])
            assert [job.job_name for [job] in freed] == [f"b {at}" for at in range(size)] * 2
            opened, stages = succeed(store, [job for [job] in freed])
            assert [len(jobs) for jobs in opened] == ([0] * (size - 1) + [size]) * 2
            costs.append((chains / size, stages / size))
    _, small, large = costs
    assert large == pytest.approx(small, rel=0.2)


def test_a_release_hands_the_job_out_again(store):
    """The request of the next attempt continues after the last stored sequence."""
    job = store.start(ONE_EACH).jobs[0].job_execution_id
    store.apply(told(job, 1, ExecutionStatus.RUNNING))
    released = store.apply(evolve(told(job, 2, ExecutionStatus.RUNNING), is_released=True))
    [request] = released.jobs
    assert (request.job_execution_id, request.attempt, request.last_sequence) == (job, 2, 2)
    record = store.job_execution(job)
    assert (record.worker, record.attempt) == (None, 2)


def test_releases_in_a_batch_hand_the_job_out_as_it_is_then(store):
    """The request of each release in a batch has its attempt and sequence, although later updates change the job."""
    job = store.start(ONE_EACH).jobs[0].job_execution_id
    updates = [
        evolve(told(job, sequence, ExecutionStatus.RUNNING), attempt=attempt, is_released=is_released)
        for sequence, attempt, is_released in ((1, 1, True), (2, 2, True), (3, 3, False))
    ]
    found = [[(job.attempt, job.last_sequence) for job in applied.jobs] for applied in store.apply_all(updates)]
    assert found == [[(2, 1)], [(3, 2)], []]


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: store.apply({}),
        lambda store: store.apply_all(["x"]),
        lambda store: store.start("x"),
        lambda store: store.report(None),
        lambda store: store.add_artifacts(None),
        lambda store: store.add_logs(()),
    ],
)
def test_anything_else_than_a_message_is_refused(store, ask):
    """An argument of a wrong type is refused, and the error names the expected type."""
    with pytest.raises(ContractError, match="expected a "):
        ask(store)
