"""On PostgreSQL, an update that waits for a lock is applied to the rows as they are after the wait."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import select

from cicd_common import ExecutionStatus
from cicd_common.api.request import JobStatusUpdate
from cicd_common.model import Job, Pipeline, Stage, UpdateOutcome
from cicd_common.store.states import RunStates
from cicd_common.store.tables import job_executions, pipeline_executions, stage_executions
from tests.support.store_processes import await_one_behind

MOMENT = datetime(2026, 1, 31, tzinfo=UTC)
TWO_STAGES = Pipeline(
    name="build",
    repo_url="https://example.org/repo.git",
    stages=(
        Stage(name="compile", jobs=(Job(name="make", script=("make",)),)),
        Stage(name="check", jobs=(Job(name="test", script=("make test",)),)),
    ),
)
RUNNING, SUCCESS, FAILED = ExecutionStatus.RUNNING, ExecutionStatus.SUCCESS, ExecutionStatus.FAILED


@pytest.fixture
def run(store):
    return store.start(TWO_STAGES, at=MOMENT).execution.execution_id


@pytest.fixture
def job(store, run):
    """The job of the first stage, which is running."""
    job = store.execution(run).stages[0].jobs[0].id
    store.apply(told(job, 1, RUNNING))
    return job


def told(job, sequence, status):
    return JobStatusUpdate(
        job_execution_id=job, sequence=sequence, status=status, occurred_at=MOMENT, logs="x\n", worker="w"
    )


def applied_after(store, update, change):
    """Apply an update while another transaction changes its run."""
    with ThreadPoolExecutor(1) as pool:
        with store._database.write() as connection:
            connection.execute(select(pipeline_executions.c.id).with_for_update())  # As every change of a run.
            connection.execute(change)
            applied = pool.submit(store.apply, update, at=MOMENT)
            await_one_behind(connection)
        return applied.result(timeout=30)


@pytest.mark.parametrize("fresh", ["postgresql"], indirect=True)
class TestMeanwhile:
    def test_later_update(self, store, job):
        """If a later update was applied meanwhile, this one is LATE, and its output is stored."""
        applied = applied_after(store, told(job, 2, RUNNING), job_executions.update().values(last_sequence=7))
        assert applied.outcome is UpdateOutcome.LATE
        assert store.job_execution(job).last_sequence == 7
        assert store.logs(job).chunks == ((1, "x\n"), (2, "x\n"))

    def test_other_end(self, store, job):
        """If the job has ended with another status meanwhile, that status is kept, and no job is handed out."""
        ended = job_executions.update().where(job_executions.c.id == job).values(status=FAILED)
        applied = applied_after(store, told(job, 2, SUCCESS), ended)
        assert (applied.outcome, applied.jobs) == (UpdateOutcome.CONFLICT, ())
        assert store.job_status(job).status is FAILED

    def test_canceled(self, store, run, job):
        """A run that was canceled meanwhile stays canceled after the job's end."""
        applied = applied_after(store, told(job, 2, FAILED), pipeline_executions.update().values(canceled_at=MOMENT))
        assert applied.outcome is UpdateOutcome.APPLIED
        assert store.execution(run).canceled_at == MOMENT

    def test_stage_moved(self, store, run, job):
        """If another job of the stage has failed, it counts, and the next stage does not begin."""
        first = stage_executions.c.id == store.execution(run).stages[0].id
        applied = applied_after(store, told(job, 2, SUCCESS), stage_executions.update().where(first).values(failed=1))
        assert (applied.outcome, applied.jobs) == (UpdateOutcome.APPLIED, ())
        with store._database.read() as connection:
            assert connection.execute(select(stage_executions.c.status).where(first)).scalar_one() is FAILED


def test_any_number_of_jobs_is_loaded(store, job):
    """More ids than a statement can have parameters are loaded at once."""
    with store._database.write() as connection:
        states = RunStates(connection, None)
        states.load_jobs([UUID(int=number) for number in range(70_000)] + [job])
        assert list(states.jobs) == [job]
