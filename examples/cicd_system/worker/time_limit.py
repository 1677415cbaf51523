"""The time limit of a job, without the time in which it waits for the Backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from threading import Lock
from time import monotonic

__all__ = ["TimeLimit"]


class TimeLimit:
    """Counts the seconds of a job, except during pauses. It is thread-safe.

    Args:
        seconds: How many seconds the job may use.
        clock: Tells the time in seconds.

    Attributes:
        seconds: How many seconds the job may use.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._lock = Lock()
        self._used = 0.0
        self._since = clock()
        self._pauses: set[object] = set()

    @property
    def left(self) -> float:
        """The seconds that are left; infinite during a pause."""
        with self._lock:
            return inf if self._pauses else self.seconds - self._used - (self._clock() - self._since)

    def pause(self, reason: object) -> None:
        """Count no more seconds for a reason.

        Args:
            reason: The reason. A repeated reason counts once.
        """
        with self._lock:
            if not self._pauses:
                self._used += self._clock() - self._since
            self._pauses.add(reason)

    def go_on(self, reason: object) -> None:
        """End the pause, unless there is another reason for it.

        Args:
            reason: The reason that ends.
        """
        with self._lock:
            if self._pauses == {reason}:
                self._since = self._clock()
            self._pauses.discard(reason)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Count no seconds in the block."""
        reason = object()
        self.pause(reason)
        try:
            yield
        finally:
            self.go_on(reason)
