"""What a program logs about runs, stages and jobs, sent to the Backend's store for the run's log of events."""

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
_AT_END = 10.0  # Seconds that a program waits at its end for what is not sent yet.
# Lines about requests, not about runs: they name whatever id somebody asks for.
_LEFT_OUT = ("cicd_system.backend.access",)


@contextmanager
def shipping_logs(send: Callable[[ExecutionLogUpload], object], refused: type[Exception]) -> Iterator[None]:
    """Send what is logged within an execution context in the block, from ``INFO`` on, in batches.

    A call that logs waits for nothing. When the block is left, what was logged is sent, which takes 10 seconds at most.

    Args:
        send: Sends a batch.
        refused: What it raises if a batch will never be taken, as where one of its executions is not known. The batch
            is then sent in halves, so that a single line is lost and not those around it.
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
