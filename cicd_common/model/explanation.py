"""Why a pipeline execution is in its status."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from enum import Enum

from attrs import frozen

from ..enums import EndReason, ExecutionStatus
from .job_execution import JobExecution

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
        jobs: The jobs that led to the status, as few as possible: after a failure the job that failed first, after a
            success all.
        canceled: How many jobs were canceled and never ran.
        text: All of this in one sentence.
    """

    status: ExecutionStatus
    reason: Reason
    jobs: tuple[JobExecution, ...]
    canceled: int
    text: str

    def __str__(self) -> str:
        return self.text


def explain(status: ExecutionStatus, jobs: Sequence[JobExecution], canceled_at: datetime | None) -> Explanation:
    """Explain the status of a pipeline execution.

    Args:
        status: The status, which follows from the jobs.
        jobs: All its jobs, in the order of definition.
        canceled_at: When canceling was asked for; none if it was not.
    """
    reason, grounds, text = _EXPLAINERS[status](jobs, canceled_at)
    return Explanation(
        status=status,
        reason=reason,
        jobs=tuple(grounds),
        canceled=len(_never_ran(jobs)),
        text=f"{status}: {text}",
    )


_AS_ASKED = (None, EndReason.SKIPPED, EndReason.STOPPED)
"""How jobs end when canceling was asked for. The text names any other reason."""

_Found = tuple[Reason, Sequence[JobExecution], str]


def _failed(jobs: Sequence[JobExecution], canceled_at: datetime | None) -> _Found:
    cause = _first(job for job in jobs if job.counted_status is ExecutionStatus.FAILED)
    text = f"job {cause.job.name} failed{_because(cause)}"
    if canceled := _never_ran(jobs):
        because = " because of it" if canceled_at is None else ""
        text += f"; {_were(len(canceled), 'canceled')}{because}"
    return Reason.JOB_FAILED, [cause], text


def _because(job: JobExecution) -> str:
    """Say why a job ended: by its exit code if its process ended by itself, else by its reason."""
    if job.reason in (None, EndReason.EXITED):
        return "" if job.exit_code is None else f" with exit code {job.exit_code}"
    sentence = job.reason.description.rstrip(".")
    return f" ({job.reason}: {sentence[0].lower()}{sentence[1:]})"


def _canceled(jobs: Sequence[JobExecution], canceled_at: datetime | None) -> _Found:
    canceled = [job for job in jobs if job.status is ExecutionStatus.CANCELED]
    if canceled_at is not None:
        text = f"canceling was asked for at {canceled_at.isoformat()}; {_were(len(canceled), 'canceled')}"
        text += "".join(f"; job {job.job.name}{_because(job)}" for job in canceled if job.reason not in _AS_ASKED)
        return Reason.CANCELING_ASKED, [], text
    cause = _first(canceled)
    text = f"job {cause.job.name} was canceled by its Worker{_because(cause)}"
    if others := _never_ran(jobs):
        text += f"; {_were(len(others), 'canceled')} because of it"
    return Reason.JOB_CANCELED, [cause], text


def _succeeded(jobs: Sequence[JobExecution], _: datetime | None) -> _Found:
    failed = [f"{job.job.name}{_because(job)}" for job in jobs if job.status is ExecutionStatus.FAILED]
    if not failed:
        return Reason.ALL_SUCCEEDED, jobs, f"all jobs succeeded ({len(jobs)})"
    return Reason.ALL_SUCCEEDED, jobs, f"all other jobs succeeded; allowed to fail, and failed: {', '.join(failed)}"


def _pending(jobs: Sequence[JobExecution], _: datetime | None) -> _Found:
    handed_out = sum(job.queued_at is not None for job in jobs)
    text = "no job has started" + (f"; {_were(handed_out, 'handed to Workers')}" if handed_out else "")
    return Reason.NONE_STARTED, jobs, text


def _running(jobs: Sequence[JobExecution], _: datetime | None) -> _Found:
    for job in jobs:
        if job.status is ExecutionStatus.RUNNING:
            attempt = f", in attempt {job.attempt}" if job.attempt > 1 else ""
            return Reason.JOB_RUNNING, [job], f"job {job.job.name} is running{attempt}"
    ended = _first(job for job in jobs if job.status.is_terminal)
    waiting = next(job for job in jobs if job.status is ExecutionStatus.PENDING)
    text = f"job {ended.job.name} ended in {ended.status}, job {waiting.job.name} has not started"
    return Reason.BETWEEN_JOBS, [ended, waiting], text


_EXPLAINERS: dict[ExecutionStatus, Callable[[Sequence[JobExecution], datetime | None], _Found]] = {
    ExecutionStatus.FAILED: _failed,
    ExecutionStatus.CANCELED: _canceled,
    ExecutionStatus.SUCCESS: _succeeded,
    ExecutionStatus.PENDING: _pending,
    ExecutionStatus.RUNNING: _running,
}

_END_OF_TIME = datetime.max.replace(tzinfo=UTC)


def _first(jobs: Iterable[JobExecution]) -> JobExecution:
    """Return the job that ended first; if none ever ran, the first in the order of definition."""
    return min(jobs, key=lambda job: job.completion_time or _END_OF_TIME)


def _never_ran(jobs: Sequence[JobExecution]) -> list[JobExecution]:
    return [job for job in jobs if job.status is ExecutionStatus.CANCELED and job.completion_time is None]


def _were(count: int, what: str) -> str:
    return f"{count} job was {what}" if count == 1 else f"{count} jobs were {what}"
