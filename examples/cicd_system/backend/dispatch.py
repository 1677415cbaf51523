"""Send ready jobs to the Workers, and send again what may have been lost on the way.

A job is stored as handed out before it is sent. Where the Backend or the broker fails between the two, its message is
lost, and the store knows: nobody has ever reported on the job. Sending twice is harmless, since Workers claim a job
before they run it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from threading import Event, Lock, Thread
from time import monotonic
from typing import Protocol, Self
from uuid import UUID

from cicd_common.api.request import JobExecutionRequest
from cicd_common.logging import get_logger
from cicd_common.store import ExecutionStore, StoreError

from ..job_queue import QueueError

__all__ = ["FIRST_PAUSE", "Dispatcher", "Queue", "Sendings"]

log = get_logger(__name__)

FIRST_PAUSE = 60.0
"""After how many seconds a job that nobody has reported on is sent again; from then on the pauses double."""


class Queue(Protocol):
    """What carries jobs to Workers."""

    def put(self, request: JobExecutionRequest) -> None:
        """Send a job; it raises if it was not taken."""


@dataclass(frozen=True)
class _Sending:
    noted: float
    due: float
    pause: float
    failures: int = 0


class Sendings:
    """Which jobs were sent, and when each is to be sent again. For many threads at once.

    Times are seconds of any clock that only rises.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: dict[UUID, _Sending] = {}
        self._first_pause = 0.0  # Whoever starts cannot know what was sent before, and sends at once.

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

    def not_sent(self, job_execution_id: UUID, now: float, *, tried: bool) -> None:
        """Note that a job is still to be sent.

        Args:
            job_execution_id: The job.
            now: The time.
            tried: Whether the broker did not take it; else it was not asked.
        """
        with self._lock:
            known = self._known.get(job_execution_id, _Sending(now, now, FIRST_PAUSE / 2))
            self._known[job_execution_id] = replace(known, noted=now, due=now, failures=known.failures + tried)

    def due(self, unheard: Iterable[UUID], asked: float, now: float) -> list[UUID]:
        """Which jobs are to be sent now. All that are not unheard of any more are forgotten.

        Args:
            unheard: The jobs that were handed out and that nobody has reported on.
            asked: The time before the store was asked for them: what was noted since may be missing.
            now: The time.

        Returns:
            Those that failed less often first: so none that the broker never takes keeps it from all others.
        """
        with self._lock:
            # A job that is new here is just being sent, by the request that handed it out or by another Backend.
            new = _Sending(now, now + self._first_pause, FIRST_PAUSE / 2)
            self._first_pause = FIRST_PAUSE
            recent = {each: sending for each, sending in self._known.items() if sending.noted >= asked}
            self._known = {each: self._known.get(each, new) for each in unheard} | recent
            due = [each for each, sending in self._known.items() if sending.due <= now]
            return sorted(due, key=lambda each: self._known[each].failures)


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
        self._told = ""  # What keeps the store from answering.
        self._stop = Event()
        self._thread = Thread(target=self._run, name="dispatcher", daemon=True)

    def send(self, jobs: Iterable[JobExecutionRequest]) -> None:
        """Send jobs. What the broker does not take is sent later, so that nobody waits for a broker that is gone.

        Args:
            jobs: The jobs, already stored as handed out.
        """
        jobs = tuple(jobs)
        for job in jobs if self._broker_fails else self._put(jobs):
            self._sendings.not_sent(job.job_execution_id, monotonic(), tried=False)

    def _put(self, jobs: Sequence[JobExecutionRequest]) -> Sequence[JobExecutionRequest]:
        """Send jobs up to one that the broker does not take; those behind it, which were not tried."""
        for number, job in enumerate(jobs, start=1):
            try:
                self._queue.put(job)
            except Exception as error:
                self._sendings.not_sent(job.job_execution_id, monotonic(), tried=True)
                self._note_broker(error)
                return jobs[number:]
            self._sendings.sent(job.job_execution_id, monotonic())
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
        """Send every job that is due."""
        asked = monotonic()
        unheard = {job.job_execution_id: job for job in self._unheard()}
        due = self._sendings.due(unheard, asked, monotonic())
        self._put([unheard[each] for each in due if each in unheard])

    def _unheard(self) -> Iterator[JobExecutionRequest]:
        after = None
        while page := self._store.handed_out(after=after):
            yield from page
            after = page[-1].job_execution_id
