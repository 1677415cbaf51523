"""Group commit: updates that many threads bring during one transaction share the next one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from time import sleep
from typing import Any

from attrs import define, field

from ..api.request import JobStatusUpdate
from .apply import Applied
from .engine import FORKED
from .errors import StoreError, UnavailableError, UnknownJobExecutionError

__all__ = ["GroupCommit"]

_MAX_BATCH = 64

Result = Applied | UnknownJobExecutionError
Take = Callable[[], Sequence[JobStatusUpdate]]
ApplyAll = Callable[[Take], Sequence[Result]]


@define(eq=False)
class _Entry:
    """An update that waits for its transaction.

    Attributes:
        update: The update.
        result: The result of the update, or the error of its transaction; None while it waits.
        leads: Whether its thread is to lead the next transaction.
        awaited: Held until the update has a result or its thread is to lead.
    """

    update: JobStatusUpdate
    result: Applied | StoreError | None = None
    leads: bool = False
    awaited: Any = field(init=False, factory=Lock)

    def __attrs_post_init__(self) -> None:
        self.awaited.acquire()


@define(eq=False)
class GroupCommit:
    """Collects the updates of many threads into few transactions.

    While one thread leads a transaction, the updates of other threads wait. After it, one of the waiting threads leads
    the next transaction, for all updates that wait. Each thread is woken once.

    Args:
        apply_all: Begins a transaction, calls its argument to take the updates, and applies them.
    """

    _apply_all: ApplyAll
    _waiting: list[_Entry] = field(init=False, factory=list)
    _is_led: bool = field(init=False, default=False)
    _is_shared: bool = field(init=False, default=False)  # Whether the last transaction had updates of several threads.
    _lock: Any = field(init=False, factory=Lock)

    def __attrs_post_init__(self) -> None:
        FORKED.add(self)

    def after_fork(self) -> None:
        """Forget the updates of other threads: a forked process has none of them, and none of their leaders."""
        self._waiting, self._is_led, self._lock = [], False, Lock()

    def apply(self, update: JobStatusUpdate) -> Applied:
        """Apply an update, in a transaction with others.

        Args:
            update: The update.

        Raises:
            UnknownJobExecutionError: Its job does not exist.
            StoreError: The database fails.
        """
        entry = _Entry(update)
        with self._lock:
            self._waiting.append(entry)
            if not self._is_led:
                self._choose_leader()
        try:
            entry.awaited.acquire()
        except BaseException:
            self._leave(entry)
            raise
        if entry.leads:
            self._lead([entry])
        if isinstance(entry.result, Applied):
            return entry.result
        assert entry.result is not None
        raise entry.result

    def _choose_leader(self) -> None:
        """Let the thread that has waited longest lead the next transaction. The caller holds the lock."""
        self._is_led = bool(self._waiting)
        if self._is_led:
            leader = self._waiting.pop(0)
            leader.leads = True
            leader.awaited.release()

    def _leave(self, entry: _Entry) -> None:
        """Forget an update whose thread was interrupted while it waited."""
        with self._lock:
            if entry.leads:
                self._choose_leader()
            elif entry in self._waiting:
                self._waiting.remove(entry)

    def _lead(self, batch: list[_Entry]) -> None:
        try:
            for entry, result in zip(batch, self._results(batch), strict=True):
                entry.result = result
        finally:
            with self._lock:
                # If this thread was interrupted or hit a bug, another one leads the rest of the batch.
                self._waiting = [entry for entry in batch[1:] if entry.result is None] + self._waiting
                self._choose_leader()
            for entry in batch[1:]:
                if entry.result is not None:
                    entry.awaited.release()

    def _results(self, batch: list[_Entry]) -> Sequence[Applied | StoreError]:
        """Apply a batch. Updates that wait when its transaction begins are added to it."""
        has_begun = False

        def take() -> Sequence[JobStatusUpdate]:
            nonlocal has_begun
            has_begun = True
            if self._is_shared:
                sleep(0)  # Let the threads that were just woken bring their next updates.
            with self._lock:
                count = _MAX_BATCH - len(batch)
                batch.extend(self._waiting[:count])
                self._waiting = self._waiting[count:]
                self._is_shared = len(batch) > 1
            return [entry.update for entry in batch]

        try:
            return self._apply_all(take)
        except StoreError as error:
            # One update may be the cause, so each is tried alone. If the database is gone, each would only wait for it.
            if has_begun and len(batch) > 1 and not isinstance(error, UnavailableError):
                return [self._alone(entry.update) for entry in batch]
            take()
            return [error, *(type(error)(*error.args) for _ in batch[1:])]  # Each thread raises its own.

    def _alone(self, update: JobStatusUpdate) -> Applied | StoreError:
        try:
            return self._apply_all(lambda: [update])[0]
        except StoreError as error:
            return error
