"""A bounded queue, and the thread that delivers its items in batches."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Generic, TypeVar

from ._fork import renew_in_child

__all__ = ["Delivery"]

T = TypeVar("T")

# In seconds. Logs arrive soon after the Backend is up again.
_LONGEST_PAUSE = 5.0


class Delivery(Generic[T]):
    """Delivers items in batches, in order, from one thread, which starts with the first item.

    Args:
        prepare: Called once with each batch. It returns a function that delivers the batch, which is called again if it
            raises.
        report: Called with the number of lost items, once a batch was delivered again.
        capacity: How many items can wait.
        batch_size: How many items a batch has at most.
        linger: How long a batch waits to become full, in seconds.
        attempts: How often a batch is tried before it is given up.
        pause: How long to wait before the second attempt, in seconds; doubled before each further one, up to 5.

    Attributes:
        lost: How many items were given up, or were refused because the queue was full or closed.
    """

    def __init__(
        self,
        prepare: Callable[[list[T]], Callable[[], object]],
        report: Callable[[int], object],
        *,
        capacity: int,
        batch_size: int,
        linger: float,
        attempts: int,
        pause: float,
    ) -> None:
        self._prepare = prepare
        self._report = report
        self._capacity = capacity
        self._batch_size = batch_size
        self._linger = linger
        self._attempts = attempts
        self._pause = pause
        self._closed = False
        self.renew()
        renew_in_child(self)

    def renew(self) -> None:
        """Start empty in a child process: the parent has the thread, and delivers the items that wait."""
        self._changed = threading.Condition()
        self._waiting: deque[T] = deque()
        self._thread: threading.Thread | None = None
        self._under_way = False
        self._urgent = 0
        self._reported = self.lost = 0

    def put(self, item: T) -> None:
        """Put an item into the queue, or count it as lost if the queue is full or closed.

        Args:
            item: The item.
        """
        with self._changed:
            if self._closed or len(self._waiting) >= self._capacity:
                self.lost += 1
                return
            self._waiting.append(item)
            if self._thread is None:
                self._start()
            if len(self._waiting) in (1, self._batch_size):
                self._changed.notify_all()

    def lose(self, count: int) -> None:
        """Count items as lost.

        Args:
            count: The number of items.
        """
        with self._changed:
            self.lost += count

    def flush(self, timeout: float) -> bool:
        """Wait until all items were delivered or given up.

        Args:
            timeout: How long to wait at most, in seconds.

        Returns:
            Whether no item is left.
        """
        with self._changed:
            if threading.current_thread() is self._thread:
                return False
            self._urgent += 1
            self._changed.notify_all()
            done = self._changed.wait_for(lambda: not self._waiting and not self._under_way, timeout)
            self._urgent -= 1
            return done

    def close(self, timeout: float) -> None:
        """Deliver the items that wait, and take no more. Items that still wait after the timeout are lost.

        Args:
            timeout: How long to wait at most, in seconds.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            thread = self._thread
        if thread is None:
            self._run()  # No thread could be started, since the interpreter is at its end.
        elif thread is not threading.current_thread():
            thread.join(timeout)
        with self._changed:
            self.lost += len(self._waiting)
            self._waiting.clear()

    def _start(self) -> None:
        # With an empty context, since logs of the delivery belong to no execution: in some versions of Python a thread
        # begins with the context of its creator.
        thread = threading.Thread(target=Context().run, args=(self._run,), name="cicd-log-delivery", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # Too late, or too many threads: the next item tries again.
            return
        self._thread = thread

    def _run(self) -> None:
        while batch := self._next():
            delivered = self._deliver(batch)
            with self._changed:
                self.lost += 0 if delivered else len(batch)
                unreported = self.lost - self._reported
                self._reported += unreported if delivered else 0
            if delivered and unreported:
                self._report(unreported)

    def _next(self) -> list[T]:
        """Wait for the next batch; an empty one means that the queue is closed."""
        with self._changed:
            self._under_way = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._waiting or self._closed)
            self._changed.wait_for(self._is_due, self._linger)
            batch = [self._waiting.popleft() for _ in range(min(self._batch_size, len(self._waiting)))]
            self._under_way = bool(batch)
            return batch

    def _is_due(self) -> bool:
        return bool(len(self._waiting) >= self._batch_size or self._urgent or self._closed)

    def _deliver(self, batch: list[T]) -> bool:
        try:
            send = self._prepare(batch)
        except Exception:
            return False
        return any(self._attempt(send, number) for number in range(self._attempts))

    def _attempt(self, send: Callable[[], object], number: int) -> bool:
        if number:
            threading.Event().wait(min(self._pause * 2 ** (number - 1), _LONGEST_PAUSE))
        try:
            send()
        except BaseException:  # Also the cancellation of a task: this thread must go on.
            return False
        return True
