"""Why a pipeline execution is in its status."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING

from attrs import frozen

from ..enums import ExecutionStatus

if TYPE_CHECKING:
    from .execution import PipelineExecution
    from .parts import JobExecution

__all__ = ["Explanation", "Reason", "explain"]


class Reason(Enum):
    """The rule that decided a status."""

    JOB_FAILED = "A job failed that is not allowed to."
    JOB_CANCELED = "A job was canceled, and none failed that is not allowed to."
    CANCELING_ASKED = "Canceling was asked for, and no job failed that is not allowed to."
    ALL_SUCCEEDED = "Every job succeeded, or failed and is allowed to."
    NONE_STARTED = "No job has started."
    JOB_RUNNING = "A job is running."
    BETWEEN_JOBS = "Some jobs have ended, others have not started, and none is running."


@frozen(kw_only=True)
class Explanation:
    """Why a pipeline execution is in its status.

    Attributes:
        status: The status.
        reason: The rule that decided.
        jobs: The smallest set of jobs that it rests on: for a failure the job that failed first; for a success all.
        canceled: How many jobs were canceled before they were handed to a Worker.
        text: All of this in one sentence.
    """

    status: ExecutionStatus
    reason: Reason
    jobs: tuple[JobExecution, ...]
    canceled: int
    text: str

    def __str__(self) -> str:
        return self.text


def explain(execution: PipelineExecution) -> Explanation:
    """Say why an execution is in its status.

    Args:
        execution: The execution.
    """
    jobs = [job for stage in execution.stages for job in stage.jobs]
    reason, grounds, text = _EXPLAINERS[execution.status](execution, jobs)
    return Explanation(
        status=execution.status,
        reason=reason,
        jobs=tuple(grounds),
        canceled=len(_never_ran(jobs)),
        text=f"{execution.status}: {text}",
    )


_Found = tuple[Reason, Sequence["JobExecution"], str]


def _failed(execution: PipelineExecution, jobs: Sequence[JobExecution]) -> _Found:
    cause = _first(job for job in jobs if job.counted_status is ExecutionStatus.FAILED)
    code = "" if cause.exit_code is None else f" with exit code {cause.exit_code}"
    text = f"job {cause.job.name} failed{code}"
    if canceled := _never_ran(jobs):
        because = " because of it" if execution.canceled_at is None else ""
        text += f"; {_were(len(canceled), 'canceled')}{because}"
    return Reason.JOB_FAILED, [cause], text


def _canceled(execution: PipelineExecution, jobs: Sequence[JobExecution]) -> _Found:
    canceled = [job for job in jobs if job.status is ExecutionStatus.CANCELED]
    if execution.canceled_at is not None:
        text = f"canceling was asked for at {execution.canceled_at.isoformat()}; {_were(len(canceled), 'canceled')}"
        return Reason.CANCELING_ASKED, [], text
    cause = _first(canceled)
    text = f"job {cause.job.name} was canceled by its Worker"
    if others := _never_ran(jobs):
        text += f"; {_were(len(others), 'canceled')} because of it"
    return Reason.JOB_CANCELED, [cause], text


def _succeeded(_: PipelineExecution, jobs: Sequence[JobExecution]) -> _Found:
    failed = [job.job.name for job in jobs if job.status is ExecutionStatus.FAILED]
    if not failed:
        return Reason.ALL_SUCCEEDED, jobs, f"all jobs succeeded ({len(jobs)})"
    return Reason.ALL_SUCCEEDED, jobs, f"all other jobs succeeded; allowed to fail, and failed: {', '.join(failed)}"


def _pending(_: PipelineExecution, jobs: Sequence[JobExecution]) -> _Found:
    handed_out = sum(job.queued_at is not None for job in jobs)
    text = "no job has started" + (f"; {_were(handed_out, 'handed to Workers')}" if handed_out else "")
    return Reason.NONE_STARTED, jobs, text


def _running(_: PipelineExecution, jobs: Sequence[JobExecution]) -> _Found:
    for job in jobs:
        if job.status is ExecutionStatus.RUNNING:
            return Reason.JOB_RUNNING, [job], f"job {job.job.name} is running"
    ended = _first(job for job in jobs if job.status.is_terminal)
    waiting = next(job for job in jobs if job.status is ExecutionStatus.PENDING)
    text = f"job {ended.job.name} ended in {ended.status}, job {waiting.job.name} has not started"
    return Reason.BETWEEN_JOBS, [ended, waiting], text


_EXPLAINERS: dict[ExecutionStatus, Callable[[PipelineExecution, Sequence[JobExecution]], _Found]] = {
    ExecutionStatus.FAILED: _failed,
    ExecutionStatus.CANCELED: _canceled,
    ExecutionStatus.SUCCESS: _succeeded,
    ExecutionStatus.PENDING: _pending,
    ExecutionStatus.RUNNING: _running,
}

_END_OF_TIME = datetime.max.replace(tzinfo=UTC)


def _first(jobs: Iterable[JobExecution]) -> JobExecution:
    """The job that ended first, of those that never ran the first by definition."""
    return min(jobs, key=lambda job: job.completion_time or _END_OF_TIME)


def _never_ran(jobs: Sequence[JobExecution]) -> list[JobExecution]:
    return [job for job in jobs if job.status is ExecutionStatus.CANCELED and job.queued_at is None]


def _were(count: int, what: str) -> str:
    return f"{count} job was {what}" if count == 1 else f"{count} jobs were {what}"
