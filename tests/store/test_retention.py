"""Deleting old runs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import func, insert, select, text

from cicd_common import ExecutionStatus
from cicd_common.api.request import Artifact, ArtifactUploadRequest, ExecutionLogUpload, JobStatusUpdate
from cicd_common.model import ExecutionLog, Job, Pipeline, Stage
from cicd_common.store import UnknownExecutionError, UnknownJobExecutionError
from cicd_common.store.retention import forget_some
from cicd_common.store.tables import logs, metadata

# The number of transactions that wait for this one.
WAITING = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))")
DAY = datetime(2026, 1, 31, tzinfo=UTC)
PIPELINE = Pipeline(name="p", repo_url="r", stages=(Stage(name="s", jobs=(Job(name="j", script=("x",)),)),))


def run_at(store, day, status=ExecutionStatus.SUCCESS):
    """Start a run on a day and give its job a status. The run has rows in every table of runs."""
    at = DAY + timedelta(days=day)
    started = store.start(PIPELINE, request_id=uuid4(), at=at)
    [job] = started.jobs
    store.apply(
        JobStatusUpdate(
            job_execution_id=job.job_execution_id, sequence=1, status=status, occurred_at=at, logs="x", worker="w"
        ),
        at=at,
    )
    files = (Artifact(path="a", size=1, sha256="0" * 64),)
    store.add_artifacts(ArtifactUploadRequest(job_execution_id=job.job_execution_id, artifacts=files))
    log = ExecutionLog(job_execution_id=job.job_execution_id, sequence=0, timestamp=at, log_text="x")
    store.add_logs(ExecutionLogUpload(logs=(log,)))
    return started.execution.execution_id, job.job_execution_id


def rows(store):
    """Return the number of rows in each table."""
    with store._database.read() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in metadata.sorted_tables
        }


class TestForget:
    def test_old_runs_go_with_all_that_hangs_on_them(self, store):
        """`forget` deletes all rows of an old run, and run numbers continue."""
        kept = run_at(store, 10)
        alone = rows(store)
        old = run_at(store, 1)
        assert store.forget(before=DAY + timedelta(days=5)) == 1
        assert rows(store) == alone
        with pytest.raises(UnknownExecutionError):
            store.status(old[0])
        with pytest.raises(UnknownJobExecutionError):
            store.logs(old[1])
        assert store.status(kept[0]).status is ExecutionStatus.SUCCESS
        assert store.start(PIPELINE).execution.run_number == 3

    def test_runs_that_have_not_ended_stay(self, store):
        """A run that has not ended is never deleted, however old it is."""
        execution, _ = run_at(store, 1, ExecutionStatus.RUNNING)
        assert store.forget(before=DAY + timedelta(days=100)) == 0
        assert store.status(execution).status is ExecutionStatus.RUNNING

    def test_the_last_runs_of_a_name_stay(self, store):
        """The last `keep_last` runs of a name are kept."""
        runs = [run_at(store, day)[0] for day in range(5)]
        assert store.forget(before=DAY + timedelta(days=100), keep_last=2) == 3
        assert [store.status(run).run_number for run in runs[3:]] == [4, 5]

    def test_more_than_one_step_holds(self, store):
        """`forget` also deletes more runs than fit into one transaction."""
        for _ in range(60):
            run_at(store, 1)
        assert store.forget(before=DAY + timedelta(days=2)) == 60

    @pytest.mark.parametrize("what", ["logs of a run", "logs of a stage", "logs of a job", "artifacts"])
    def test_what_comes_while_a_run_is_forgotten_is_refused(self, store, what):
        """A write waits until the run is deleted, and then raises the error for an unknown id."""
        run, job = run_at(store, 1)
        [stage] = store.execution(run).stages
        owners = {
            "logs of a run": {"pipeline_execution_id": run},
            "logs of a stage": {"stage_execution_id": stage.id},
            "logs of a job": {"job_execution_id": job},
        }
        with ThreadPoolExecutor(1) as pool:
            with store._database.write() as connection:
                assert forget_some(connection, DAY + timedelta(days=2), 0) == 1
                if what == "artifacts":
                    files = (Artifact(path="b", size=1, sha256="0" * 64),)
                    added = pool.submit(
                        store.add_artifacts, ArtifactUploadRequest(job_execution_id=job, artifacts=files)
                    )
                else:
                    log = ExecutionLog(**owners[what], sequence=1, timestamp=DAY, log_text="x")
                    added = pool.submit(store.add_logs, ExecutionLogUpload(logs=(log,)))
                # SQLite has one writer at a time, so the other waits to begin.
                while connection.dialect.name == "postgresql" and not added.done():
                    if connection.execute(WAITING).scalar_one():
                        break
            error = added.exception()
        of_job = what in ("logs of a job", "artifacts")
        assert type(error) is (UnknownJobExecutionError if of_job else UnknownExecutionError)

    def test_no_step_deletes_more_output_than_a_bound(self, store):
        """A run with much output is deleted in several transactions, output first."""
        _, job = run_at(store, 1)
        with store._database.write() as connection:
            chunks = [{"job_execution_id": job, "sequence": 2 + at, "text": "x"} for at in range(2_500)]
            connection.execute(insert(logs), chunks)
        left = []
        while True:
            with store._database.write() as connection:
                if forget_some(connection, DAY + timedelta(days=2), 0) is None:
                    break
            left.append((rows(store)["logs"], rows(store)["pipeline_executions"]))
        assert left == [(1_501, 1), (501, 1), (0, 0)]
