"""Apply the updates of jobs to the store, many in one transaction."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from anyio import CapacityLimiter, move_on_after, to_thread

from cicd_common.api.request import JobStatusUpdate
from cicd_common.store import Applied, BusyError, ExecutionStore, UnavailableError

__all__ = ["Intake"]

MAX_WAITING = 1000
"""The most updates that wait for the store. Further ones are refused."""

_MAX_BATCH = 64
_MAX_PAUSE = 0.003  # Seconds.


class Intake:
    """Applies updates in batches: those that arrive during one transaction share the next one.

    All transactions run in one thread, one after the other, so that an update needs no thread of its own. After a
    transaction with several updates, the next one waits a moment for the next updates of the same clients, because a
    transaction with eight updates takes only about twice as long as one with a single update.
    """

    def __init__(self, store: ExecutionStore) -> None:
        self._store = store
        self._waiting: deque[tuple[JobStatusUpdate, asyncio.Future[Applied]]] = deque()
        self._task: asyncio.Task[None] | None = None  # Runs while updates wait.
        self._thread = CapacityLimiter(1)
        self._expected = 0  # How many updates the next transaction waits for.
        self._enough = asyncio.Event()

    async def apply(self, update: JobStatusUpdate) -> Applied:
        """Apply an update, in a transaction with others.

        Raises:
            UnknownJobExecutionError: Its job does not exist.
            BusyError: Too many updates wait for the store, or the store is locked.
            StoreError: The store fails.
        """
        if len(self._waiting) >= MAX_WAITING:
            raise BusyError(f"expected at most {MAX_WAITING} updates to wait for the store")
        result: asyncio.Future[Applied] = asyncio.get_running_loop().create_future()
        self._waiting.append((update, result))
        if len(self._waiting) >= self._expected:
            self._enough.set()
        if self._task is None:
            self._task = asyncio.create_task(self._apply_waiting())
        return await result

    async def _apply_waiting(self) -> None:
        try:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MAX_BATCH))]
                updates = [update for update, _ in batch]
                results = await to_thread.run_sync(self._apply, updates, limiter=self._thread)
                for (_, future), result in zip(batch, results, strict=True):
                    if future.cancelled():
                        continue  # The Backend is ending.
                    if isinstance(result, Applied):
                        future.set_result(result)
                    else:
                        future.set_exception(result)
                if len(batch) > 1:
                    # Wait for as many updates again, but not for long.
                    self._expected = len(batch) + len(self._waiting)
                    self._enough.clear()
                    with move_on_after(_MAX_PAUSE):
                        await self._enough.wait()
        finally:
            self._task = None

    def _apply(self, updates: Sequence[JobStatusUpdate]) -> Sequence[Applied | Exception]:
        """Apply updates in one transaction, or else each in a transaction of its own."""
        try:
            return self._store.apply_all(updates)
        except Exception as error:
            # One update may be the cause, so each is tried alone. If the store is locked or does not answer, each would
            # only wait for it again.
            if len(updates) == 1 or isinstance(error, (BusyError, UnavailableError)):
                return [error] * len(updates)
        return [result for update in updates for result in self._apply([update])]
