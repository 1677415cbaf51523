"""Send the logs of a program about runs, stages and jobs to the Backend's store."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from cicd_common.api.request import ExecutionLogUpload
from cicd_common.logging import ExecutionLogHandler, get_logger
from cicd_common.model import ExecutionLog

__all__ = ["shipping_logs"]

log = get_logger(__name__)

_OUTAGE = 120  # Tries, 5 seconds apart in the end: a Backend may be away for ten minutes.
_AT_END = 10.0  # Seconds that a program waits at its end for unsent lines.
# Lines about requests contain ids that a client sent, also unknown ones.
_LEFT_OUT = ("cicd_system.backend.middleware",)


@contextmanager
def shipping_logs(send: Callable[[ExecutionLogUpload], object], refused: type[Exception]) -> Iterator[None]:
    """Send records of an execution context that are logged in the block, from ``INFO`` on, in batches.

    A call that logs does not wait. At the end of the block the remaining records are sent, for at most 10 seconds.

    Args:
        send: Sends a batch.
        refused: The exception that `send` raises if a batch is refused, for example because an execution is unknown.
            The batch is then split, so that only the refused lines are lost.
    """
    handler = ExecutionLogHandler(lambda logs: _send_all(send, refused, logs), attempts=_OUTAGE, timeout=_AT_END)
    handler.setLevel(logging.INFO)
    handler.addFilter(lambda record: record.name not in _LEFT_OUT)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()
        if handler.lost:
            log.warning("not all that was logged about executions was sent", lost=handler.lost)


def _send_all(
    send: Callable[[ExecutionLogUpload], object], refused: type[Exception], logs: Sequence[ExecutionLog]
) -> None:
    try:
        send(ExecutionLogUpload(logs=tuple(logs)))
    except refused:
        if len(logs) == 1:
            log.info("a line about an execution was refused")
            return
        middle = len(logs) // 2
        _send_all(send, refused, logs[:middle])
        _send_all(send, refused, logs[middle:])
