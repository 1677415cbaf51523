"""How a Worker ends: once its job has ended, or at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, RLock

__all__ = ["Leaving", "LeavingError"]


class LeavingError(Exception):
    """The Worker takes no more jobs."""


class Leaving:
    """Ends a Worker that is told to, when no job runs. To tell it again ends the job, too.

    Until the job has ended, the Worker's main loop goes on: without it there are no heartbeats, and a broker that
    misses them gives the job to another.

    Args:
        end: Ends the main loop.

    Attributes:
        at_once: Set when the job is to be stopped.
        has_failed: Whether the Worker ends because it cannot go on.
    """

    def __init__(self, end: Callable[[], None]) -> None:
        self.at_once = Event()
        self._end = end
        self._lock = RLock()  # A signal may come while another is handled.
        self._is_told = False
        self._runs_job = False
        self.has_failed = False

    def tell(self, *_: object) -> None:
        """Tell the Worker to end; fit to be the handler of a signal."""
        with self._lock:
            if self._is_told:
                self.at_once.set()
            self._is_told = True
            if not self._runs_job:
                self._end()

    def fail(self) -> None:
        """End the Worker, since it cannot go on: it takes no more jobs."""
        self.has_failed = True
        self.tell()

    @contextmanager
    def job(self) -> Iterator[None]:
        """Run a job in the block.

        Raises:
            LeavingError: The Worker takes no more.
        """
        self._begin()
        try:
            yield
        finally:
            self._leave()

    def _begin(self) -> None:
        with self._lock:
            if self._is_told:
                raise LeavingError("the Worker takes no more jobs")
            self._runs_job = True

    def _leave(self) -> None:
        with self._lock:
            self._runs_job = False
            if self._is_told:
                self._end()
