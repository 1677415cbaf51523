"""The results of runs and jobs, and the URLs of their repositories, in terms that several standards share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from ..enums import EndReason, ExecutionStatus
from ..model import JobExecution, PipelineExecution
from ..model.explanation import explain

__all__ = ["cause_of", "job_result", "moved_jobs", "plain_url", "result"]

_RESULTS = {ExecutionStatus.SUCCESS: "success", ExecutionStatus.CANCELED: "cancellation"}


def job_result(job: JobExecution) -> str:
    """Return the result of an ended job: ``success``, ``failure``, ``error``, ``timeout``, ``cancellation``, ``skip``.

    Args:
        job: The job.
    """
    return (job.reason or EndReason.OTHER).task_run_result(job.status)


def result(status: ExecutionStatus, jobs: Sequence[JobExecution]) -> str:
    """Return the result of a run or a stage that ended, in the same terms.

    Args:
        status: The status of the run or the stage.
        jobs: Its jobs.
    """
    cause = cause_of(status, jobs)
    if cause is not None:
        return {"error": "error", "timeout": "timeout"}.get(job_result(cause), "failure")
    return _RESULTS[status]


def moved_jobs(
    before: PipelineExecution | None, after: PipelineExecution
) -> Iterator[tuple[JobExecution | None, JobExecution]]:
    """Yield the jobs that may have changed between two states of a run, each with its states before and after.

    Args:
        before: The run before; None if it is new, and so are its jobs.
        after: The run after.

    Raises:
        ValueError: The states are of two runs.
    """
    if before is not None and before.id != after.id:
        raise ValueError("expected two states of one run")
    for at, stage in enumerate(after.stages):
        known = None if before is None else before.stages[at].jobs
        # A changed run shares its unchanged parts with the run before.
        for place, job in enumerate(stage.jobs if stage.jobs is not known else ()):
            was = None if known is None else known[place]
            if was is not job:
                yield was, job


def cause_of(status: ExecutionStatus, jobs: Sequence[JobExecution]) -> JobExecution | None:
    """Return the job whose failure made a run or a stage fail; None if it did not fail.

    Args:
        status: The status of the run or the stage.
        jobs: Its jobs.
    """
    return explain(status, jobs, None).jobs[0] if status is ExecutionStatus.FAILED else None


def plain_url(text: str) -> str | None:
    """Return a URL without user and password; None if the text is no URL, or has other than plain characters.

    Args:
        text: The URL or the path of a repository.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    if not parts.scheme or not parts.hostname or not _is_plain(text):
        return None
    host = parts.hostname if port is None else f"{parts.hostname}:{port}"
    return f"{parts.scheme}://{host}{parts.path}"


_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/@")


def _is_plain(text: str) -> bool:
    return _PLAIN.issuperset(text)
