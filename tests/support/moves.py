"""Helpers for tests of state changes, with naive implementations of the rules as oracles."""

from datetime import UTC, datetime, timedelta

from cicd_common import ExecutionStatus
from cicd_common.api.request import JobStatusUpdate
from cicd_common.model import Job, Pipeline, Stage

MOMENT = datetime(2026, 1, 31, 12, tzinfo=UTC)
PENDING, RUNNING, SUCCESS, FAILED, CANCELED = ExecutionStatus


def job(name, *dependencies, **fields):
    return Job(name=name, script=("true",), dependencies=dependencies, **fields)


def pipeline(*stages):
    """A pipeline. Each stage is a list of jobs or of names of jobs."""
    return Pipeline(
        name="pipeline",
        repo_url="https://example.org/repo.git",
        stages=tuple(
            Stage(name=f"stage {at}", jobs=tuple(job(each) if isinstance(each, str) else each for each in jobs))
            for at, jobs in enumerate(stages)
        ),
    )


def jobs_of(execution):
    return [job for stage in execution.stages for job in stage.jobs]


def named(execution, name):
    """The execution of the job with this name."""
    return next(job for job in jobs_of(execution) if job.job.name == name)


def update(execution, name, sequence, status, seconds=0, **fields):
    """An update of the job with this name."""
    return JobStatusUpdate(
        job_execution_id=named(execution, name).id,
        sequence=sequence,
        status=status,
        occurred_at=MOMENT + timedelta(seconds=seconds),
        **{"worker": "worker", **fields},
    )


def moved(execution, name, status, seconds=1, **fields):
    """The execution after its ready jobs were handed out and one job got a new status."""
    execution, _ = execution.hand_out(MOMENT)
    execution, _ = execution.apply(update(execution, name, 1, status, seconds, **fields))
    return execution


def state_of(execution):
    """Everything that is derived from the jobs: statuses, times, and ready jobs."""
    return (
        execution.status,
        execution.start_time,
        execution.completion_time,
        [(stage.status, stage.start_time, stage.completion_time) for stage in execution.stages],
        execution.ready_jobs(),
    )


def counts_as(job):
    return SUCCESS if job.status is FAILED and job.job.allow_failure else job.status


def roll_up(statuses):
    kinds = set(statuses)
    if kinds <= {SUCCESS, FAILED, CANCELED}:
        return FAILED if FAILED in kinds else CANCELED if CANCELED in kinds else SUCCESS
    return PENDING if kinds == {PENDING} else RUNNING


def naive_counts(execution):
    return roll_up(roll_up(map(counts_as, stage.jobs)) for stage in execution.stages)


def naive_ready(execution):
    """The ready jobs by the rules of the contract, found by looking at every job."""
    known = {job.job.name: job for job in jobs_of(execution)}
    if execution.canceled_at is not None or any(counts_as(job) in (FAILED, CANCELED) for job in known.values()):
        return []
    ready = []
    for stage in execution.stages:
        ready += [
            job
            for job in stage.jobs
            if job.status is PENDING
            and job.queued_at is None
            and all(counts_as(known[name]) is SUCCESS for name in job.job.dependencies)
        ]
        if roll_up(map(counts_as, stage.jobs)) is not SUCCESS:
            break
    return ready
