"""Send jobs to the Workers, and send jobs again whose messages may be lost.

A job is stored as handed out before it is sent. If the Backend or the broker fails in between, no Worker claims the
job, and the store returns it again. Sending a job twice is harmless, because Workers claim a job before they run it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from threading import Event, Lock, Thread
from typing import Protocol, Self
from uuid import UUID

from cicd_common.api.request import JobExecutionRequest
from cicd_common.logging import get_logger
from cicd_common.store import ExecutionStore, StoreError

from ..job_queue import QueueError

__all__ = ["Dispatcher", "Queue"]

log = get_logger(__name__)


class Queue(Protocol):
    """Carries jobs to Workers."""

    def put(self, request: JobExecutionRequest) -> None:
        """Send a job. Raises if the broker did not accept it."""


class Dispatcher:
    """Sends jobs. A thread sends the jobs again that the broker did not accept or no Worker claimed.

    Within its context the thread runs.

    Args:
        store: Has the jobs.
        queue: Carries jobs to Workers.
        interval: The seconds between two calls of `look`.
    """

    def __init__(self, store: ExecutionStore, queue: Queue, *, interval: float = 1.0) -> None:
        self._store = store
        self._queue = queue
        self._interval = interval
        self._lock = Lock()
        self._unsent: dict[UUID, JobExecutionRequest] = {}  # Jobs that the broker does not have yet.
        self._refused: set[UUID] = set()  # Jobs that it did not accept; they are tried last.
        self._broker_fails = False
        self._told = ""  # The last error of the store that was logged.
        self._stop = Event()
        self._thread = Thread(target=self._run, name="dispatcher", daemon=True)

    def send(self, jobs: Iterable[JobExecutionRequest]) -> None:
        """Send jobs. If the broker does not accept jobs, they are sent later, and the call does not wait.

        Args:
            jobs: The jobs, already stored as handed out.
        """
        jobs = tuple(jobs)
        self._keep(jobs if self._broker_fails else self._put(jobs))

    def _keep(self, jobs: Iterable[JobExecutionRequest]) -> None:
        with self._lock:
            self._unsent |= {job.job_execution_id: job for job in jobs}

    def _put(self, jobs: Sequence[JobExecutionRequest]) -> Sequence[JobExecutionRequest]:
        """Send jobs until the broker does not accept one. Returns this job and those after it."""
        for number, job in enumerate(jobs):
            try:
                self._queue.put(job)
            except Exception as error:
                self._note_broker(error)
                self._refused.add(job.job_execution_id)
                return jobs[number:]
            self._refused.discard(job.job_execution_id)
            self._note_broker(None)
        return ()

    def _note_broker(self, error: Exception | None) -> None:
        """Log when the broker begins to fail, and when it works again."""
        failed, self._broker_fails = self._broker_fails, error is not None
        if error is not None and not failed:
            # Other errors may quote the job, which may contain secrets.
            reason = str(error) if isinstance(error, QueueError) else type(error).__name__
            log.warning("the broker does not take jobs; they are sent later", reason=reason)
        elif failed and error is None:
            log.info("the broker takes jobs again")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.look()
                self._told = ""
            except StoreError as error:
                self._tell(str(error))
            except Exception:
                log.exception("looking for jobs to be sent has failed")
            self._stop.wait(self._interval)

    def _tell(self, reason: str) -> None:
        """Log an error of the store, unless it is the same as before."""
        if reason != self._told:
            log.warning("the store does not tell which jobs are to be sent", reason=reason)
        self._told = reason

    def look(self) -> None:
        """Send the jobs that were not sent, and the jobs that the store takes over from lost Workers."""
        with self._lock:
            unsent, self._unsent = self._unsent, {}
        # Refused jobs come last, so that they do not block others.
        self._keep(self._put(sorted(unsent.values(), key=lambda job: job.job_execution_id in self._refused)))
        taken = self._store.take_over()
        for end in taken.ended:
            log.warning("nobody brought a job to its end", job_execution_id=end.job_execution_id)
        for job in taken.jobs:
            log.info("a job is sent again", job_execution_id=job.job_execution_id, attempt=job.attempt)
        self.send(taken.jobs)
