"""Send jobs to the Workers, and send again what may have been lost on the way.

A job is stored as handed out before it is sent. Where the Backend or the broker fails between the two, its message is
lost, and the store knows: nobody claims the job, and it is sent again. Sending twice is harmless, since Workers claim a
job before they run it.
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
        """Send a job; it raises if the broker did not take it."""


class Dispatcher:
    """Sends jobs; in a thread of its own, again and again the jobs that the broker did not take or nobody claimed.

    As a context manager that thread runs.

    Args:
        store: Knows the jobs.
        queue: Takes them.
        interval: How many seconds pass between two looks at the store.
    """

    def __init__(self, store: ExecutionStore, queue: Queue, *, interval: float = 1.0) -> None:
        self._store = store
        self._queue = queue
        self._interval = interval
        self._lock = Lock()
        self._unsent: dict[UUID, JobExecutionRequest] = {}  # The broker did not take them, or was not asked.
        self._refused: set[UUID] = set()  # Those of them that it did not take, which are tried last.
        self._broker_fails = False
        self._told = ""  # What keeps the store from answering.
        self._stop = Event()
        self._thread = Thread(target=self._run, name="dispatcher", daemon=True)

    def send(self, jobs: Iterable[JobExecutionRequest]) -> None:
        """Send jobs. Those that the broker does not take are sent later: nobody waits for a broker that is gone.

        Args:
            jobs: The jobs, already stored as handed out.
        """
        jobs = tuple(jobs)
        self._keep(jobs if self._broker_fails else self._put(jobs))

    def _keep(self, jobs: Iterable[JobExecutionRequest]) -> None:
        with self._lock:
            self._unsent |= {job.job_execution_id: job for job in jobs}

    def _put(self, jobs: Sequence[JobExecutionRequest]) -> Sequence[JobExecutionRequest]:
        """Send jobs up to one that the broker does not take; it and those behind it, which were not sent."""
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
        """Tell when the broker begins to fail, and when it works again; not each time in between."""
        failed, self._broker_fails = self._broker_fails, error is not None
        if error is not None and not failed:
            # Other errors may quote the job, which may hold secrets.
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
        """Tell once what keeps the store from answering, and not at each look."""
        if reason != self._told:
            log.warning("the store does not tell which jobs are to be sent", reason=reason)
        self._told = reason

    def look(self) -> None:
        """Send the jobs that were not sent, and take over those of which nobody was heard."""
        with self._lock:
            unsent, self._unsent = self._unsent, {}
        # A job that the broker never takes keeps no other one from being sent.
        self._keep(self._put(sorted(unsent.values(), key=lambda job: job.job_execution_id in self._refused)))
        taken = self._store.take_over()
        for end in taken.ended:
            log.warning("nobody brought a job to its end", job_execution_id=end.job_execution_id)
        for job in taken.jobs:
            log.info("a job is sent again", job_execution_id=job.job_execution_id, attempt=job.attempt)
        self.send(taken.jobs)
