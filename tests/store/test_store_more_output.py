"""More output of a job that runs is stored in a shorter way. It must not be told from the long one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from attrs import fields

from cicd_common import ExecutionStatus
from cicd_common.api.request import JobStatusUpdate
from cicd_common.model import Job, Pipeline, Stage
from cicd_common.model.update import JobState, join
from cicd_common.store import UnknownJobExecutionError

MOMENT = datetime(2026, 1, 31, tzinfo=UTC)
STATES = list(ExecutionStatus)
# The update that brings a job there has the sequence 3: the others are one that was missed, the same, and the next.
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
    return JobStatusUpdate(job_execution_id=job, sequence=sequence, status=status, occurred_at=at, logs=f"{sequence}\n")


def state_of(store, job):
    record = store.job_execution(job)
    return JobState(**{field.name: getattr(record, field.name) for field in fields(JobState)})


def test_is_joined_by_the_rule(store):
    """In whatever state a job is, whichever sequence the output has, and whenever it came."""
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
        assert (applied.outcome, applied.status, applied.stop) == (outcome, joined.status, False)
        assert state_of(store, job) == joined
        assert (sequence, f"{sequence}\n") in store.logs(job).chunks


def test_of_a_canceled_run(store):
    """The Worker of a job whose run was canceled is told to stop."""
    started = store.start(ONE_EACH)
    job = started.jobs[0].job_execution_id
    store.apply(told(job, 1, ExecutionStatus.RUNNING))
    assert not store.apply(told(job, 2, ExecutionStatus.RUNNING)).stop
    store.cancel(started.execution.execution_id)
    assert store.apply(told(job, 3, ExecutionStatus.RUNNING)).stop


def test_that_clashes(store):
    """A text that was stored before the job had begun stands, and that is said."""
    job = store.start(ONE_EACH).jobs[0].job_execution_id
    store.apply(told(job, 1, ExecutionStatus.RUNNING))
    other = JobStatusUpdate(
        job_execution_id=job, sequence=2, status=ExecutionStatus.PENDING, occurred_at=MOMENT, logs="another\n"
    )
    store.apply(other)
    assert store.apply(told(job, 2, ExecutionStatus.RUNNING)).clashes
    assert store.logs(job).chunks == ((1, "1\n"), (2, "another\n"))


def test_of_no_job(store):
    """Nothing is stored for a job that does not exist."""
    with pytest.raises(UnknownJobExecutionError):
        store.apply(told(ONE_EACH.id, 2, ExecutionStatus.RUNNING))
