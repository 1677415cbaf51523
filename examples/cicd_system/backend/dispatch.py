"""Send jobs to the Workers, and send jobs again whose messages may be lost.

A job is stored as handed out before it is sent. If the Backend or the broker fails in between, no Worker claims the
job, and the store returns it again. Sending a job twice is harmless, because Workers claim a job before they run it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from uuid import UUID

from cicd_common.api.request import JobExecutionRequest
from cicd_common.logging import get_logger
from cicd_common.store import ExecutionStore

from ..job_queue import QueueError
from .repeating import Outage

__all__ = ["Dispatcher", "SendJobs"]

log = get_logger(__name__)

SendJobs = Callable[[Sequence[JobExecutionRequest]], None]
"""Sends jobs to Workers, without waiting for a broker that fails."""


class Dispatcher:
    """Sends jobs, from any thread.

    Args:
        store: Has the jobs.
        put: Gives a job to the broker; it raises if the broker does not accept the job.
    """

    def __init__(self, store: ExecutionStore, put: Callable[[JobExecutionRequest], None]) -> None:
        self._store = store
        self._put = put
        self._lock = Lock()
        self._unsent: dict[UUID, JobExecutionRequest] = {}  # Jobs that the broker does not have yet.
        self._broker = Outage("the broker")

    def send(self, jobs: Sequence[JobExecutionRequest]) -> None:
        """Send jobs that are stored as handed out. If the broker does not accept jobs, `look` sends them later."""
        self._keep(jobs if self._broker.is_on else self._put_all(jobs))

    def look(self) -> bool:
        """Send the jobs that were not sent, and the jobs that the store takes over from lost Workers; return False."""
        with self._lock:
            unsent, self._unsent = self._unsent, {}
        self._keep(self._put_all(list(unsent.values())))
        taken = self._store.take_over()
        for end in taken.ended:
            log.warning("a job was ended that no Worker brought to its end", job_execution_id=end.job_execution_id)
        for job in taken.jobs:
            log.info("a job is sent again", job_execution_id=job.job_execution_id, attempt=job.attempt)
        self.send(taken.jobs)
        return False

    def _put_all(self, jobs: Sequence[JobExecutionRequest]) -> Sequence[JobExecutionRequest]:
        """Send jobs until the broker does not accept one. Return the unsent jobs; that one comes last."""
        for number, job in enumerate(jobs):
            try:
                self._put(job)
            except Exception as error:
                # Other errors may quote the job, which may contain secrets.
                self._broker.begin(str(error) if isinstance(error, QueueError) else type(error).__name__)
                return [*jobs[number + 1 :], job]
            self._broker.end()
        return ()

    def _keep(self, jobs: Sequence[JobExecutionRequest]) -> None:
        with self._lock:  # New jobs come first, because a job that was refused comes last.
            self._unsent = {job.job_execution_id: job for job in jobs} | self._unsent
