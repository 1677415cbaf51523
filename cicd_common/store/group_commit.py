"""Group commit: updates that many threads bring during one transaction share the next one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Condition
from time import sleep

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
    """

    update: JobStatusUpdate
    result: Applied | StoreError | None = None


@define(eq=False)
class GroupCommit:
    """Collects the updates of many threads into few transactions.

    While one thread leads a transaction, the updates of other threads wait. After it, one of the waiting threads leads
    the next transaction, for all updates that wait.

    Args:
        apply_all: Begins a transaction, calls its argument to take the updates, and applies them.
    """

    _apply_all: ApplyAll
    _waiting: list[_Entry] = field(init=False, factory=list)
    _is_led: bool = field(init=False, default=False)
    _is_shared: bool = field(init=False, default=False)  # Whether the last transaction had updates of several threads.
    _changed: Condition = field(init=False, factory=Condition)

    def __attrs_post_init__(self) -> None:
        FORKED.add(self)

    def after_fork(self) -> None:
        """Forget the updates of other threads: a forked process has none of them, and none of their leaders."""
        self._waiting, self._is_led, self._changed = [], False, Condition()

    def apply(self, update: JobStatusUpdate) -> Applied:
        """Apply an update, in a transaction with others.

        Args:
            update: The update.

        Raises:
            UnknownJobExecutionError: Its job does not exist.
            StoreError: The database fails.
        """
        entry = _Entry(update)
        with self._changed:
            self._waiting.append(entry)
            self._changed.wait_for(lambda: entry.result is not None or not self._is_led)
            is_leader = entry.result is None
            if is_leader:
                self._waiting.remove(entry)
                self._is_led = True
        if is_leader:
            self._lead([entry])
        if isinstance(entry.result, Applied):
            return entry.result
        assert entry.result is not None
        raise entry.result

    def _lead(self, batch: list[_Entry]) -> None:
        done = False
        try:
            for entry, result in zip(batch, self._results(batch), strict=True):
                entry.result = result
            done = True
        finally:
            with self._changed:
                if not done:
                    # This thread was interrupted or hit a bug: another thread leads the rest of the batch.
                    self._waiting = batch[1:] + self._waiting
                self._is_led = False
                self._changed.notify_all()

    def _results(self, batch: list[_Entry]) -> Sequence[Applied | StoreError]:
        """Apply a batch. Updates that wait when its transaction begins are added to it."""
        has_begun = False

        def take() -> Sequence[JobStatusUpdate]:
            nonlocal has_begun
            has_begun = True
            if self._is_shared:
                sleep(0)  # Let the threads that were just woken bring their next updates.
            with self._changed:
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
