"""Canceling runs in the store."""

from __future__ import annotations

from cicd_common import ExecutionStatus
from tests.store.test_leases import NOW, PIPELINE, SUCCESS, told


def test_a_run_that_has_ended_stays_as_it_is(store):
    """`cancel` does not change a run that has ended, and returns no jobs."""
    started = store.start(PIPELINE, at=NOW)
    requests = [*started.jobs]
    for request in requests:
        requests += store.apply(told(request, 1, SUCCESS), at=NOW).jobs
    run = started.execution.execution_id
    assert store.cancel(run, NOW) == ()
    assert store.status(run).status is ExecutionStatus.SUCCESS


def test_a_run_that_was_canceled_names_its_running_jobs_again(store):
    """A second `cancel` returns the same jobs to stop."""
    started = store.start(PIPELINE, at=NOW)
    first, second = (store.cancel(started.execution.execution_id, NOW) for _ in range(2))
    assert first == second
    assert [each.job_execution_id for each in first] == [request.job_execution_id for request in started.jobs]
