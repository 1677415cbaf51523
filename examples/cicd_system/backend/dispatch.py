"""Send ready jobs to the Workers, and send again what may have been lost on the way.

A job is stored as handed out before it is sent. Where the Backend or the broker fails between the two, its message is
lost, and the store knows: nobody has ever reported on the job. Sending twice is harmless, since Workers claim a job
before they run it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from threading import Event, Lock, Thread
from time import monotonic
from typing import Protocol, Self
from uuid import UUID

from cicd_common.api.request import JobExecutionRequest
from cicd_common.logging import get_logger
from cicd_common.store import ExecutionStore, StoreError

__all__ = ["FIRST_PAUSE", "GRACE", "Dispatcher", "Queue", "Sendings"]

log = get_logger(__name__)

FIRST_PAUSE = 60.0
"""After how many seconds a job that nobody has reported on is sent again; from then on the pauses double."""
GRACE = 2.0
"""For how many seconds a job may be unheard of before it counts as not sent at all."""


class Queue(Protocol):
    """What carries jobs to Workers."""

    def put(self, request: JobExecutionRequest) -> None:
        """Send a job; it raises if it was not taken."""


@dataclass(frozen=True)
class _Sending:
    noted: float
    due: float
    pause: float


class Sendings:
    """Which jobs were sent, and when each is to be sent again. For many threads at once.

    Times are seconds of any clock that only rises.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: dict[UUID, _Sending] = {}
        self._grace = 0.0  # Whoever starts cannot know what was sent before, and sends at once.

    def sent(self, job_execution_id: UUID, now: float) -> None:
        """Note that a job was sent.

        Args:
            job_execution_id: The job.
            now: The time.
        """
        with self._lock:
            known = self._known.get(job_execution_id)
            pause = FIRST_PAUSE if known is None else 2 * known.pause
            self._known[job_execution_id] = _Sending(now, now + pause, pause)

    def due(self, unheard: Iterable[UUID], asked: float, now: float) -> set[UUID]:
        """Which jobs are to be sent now. All that are not unheard of any more are forgotten.

        Args:
            unheard: The jobs that were handed out and that nobody has reported on.
            asked: The time before the store was asked for them: what was noted since may be missing.
            now: The time.
        """
        with self._lock:
            # A job that is new here is just being sent by the request that handed it out, as a rule.
            new = _Sending(now, now + self._grace, FIRST_PAUSE / 2)
            self._grace = GRACE
            recent = {each: sending for each, sending in self._known.items() if sending.noted >= asked}
            self._known = recent | {each: self._known.get(each, new) for each in unheard}
            return {each for each, sending in self._known.items() if sending.due <= now}


class Dispatcher:
    """Sends jobs; in a thread of its own, again and again what is due.

    As a context manager that thread runs. It begins with every job that is unheard of, since it cannot know which of
    them were sent before it started.

    Args:
        store: Knows the jobs.
        queue: Takes them.
        interval: How many seconds pass between two looks at the store.
    """

    def __init__(self, store: ExecutionStore, queue: Queue, *, interval: float = 1.0) -> None:
        self._store = store
        self._queue = queue
        self._interval = interval
        self._sendings = Sendings()
        self._broker_fails = False
        self._stop = Event()
        self._thread = Thread(target=self._run, name="dispatcher", daemon=True)

    def send(self, jobs: Iterable[JobExecutionRequest]) -> None:
        """Send jobs. What the broker does not take is sent later, so that nobody waits for a broker that is gone.

        Args:
            jobs: The jobs, already stored as handed out.
        """
        if not self._broker_fails:
            self._put(jobs)

    def _put(self, jobs: Iterable[JobExecutionRequest]) -> None:
        for job in jobs:
            try:
                self._queue.put(job)
            except Exception:
                self._broker_fails = True
                log.warning("the broker did not take a job; it is sent later", job_execution_id=job.job_execution_id)
                return
            self._broker_fails = False
            self._sendings.sent(job.job_execution_id, monotonic())

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
            except StoreError:
                log.warning("the store did not tell which jobs are to be sent", exc_info=True)
            except Exception:
                log.exception("looking for jobs to be sent has failed")
            self._stop.wait(self._interval)

    def look(self) -> None:
        """Send every job that is due."""
        asked = monotonic()
        unheard = {job.job_execution_id: job for job in self._unheard()}
        due = self._sendings.due(unheard, asked, monotonic())
        self._put(job for job_id, job in unheard.items() if job_id in due)

    def _unheard(self) -> Iterator[JobExecutionRequest]:
        after = None
        while page := self._store.handed_out(after=after):
            yield from page
            after = page[-1].job_execution_id
