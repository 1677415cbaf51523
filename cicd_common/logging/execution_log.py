"""A handler that sends the logs of executions as `ExecutionLog` values."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

from ._delivery import Delivery
from ._fork import renew_in_child
from .console_format import ConsoleFormatter
from .fields import Fields, written_name
from .formatters import notice
from .masking import SecretMasker, process_masker
from .records import fields_of
from .values import scrub, text_of

if TYPE_CHECKING:
    from uuid import UUID

    from ..model.log import ExecutionLog

__all__ = ["ExecutionLogHandler"]

# From the widest to the narrowest. A record belongs to the narrowest execution that it names.
_WRITTEN_IDS = tuple(map(written_name, ("pipeline_execution_id", "stage_execution_id", "job_execution_id")))

# How many executions have their sequence remembered. An execution counts as ended once so many others have logged
# since its last record.
MOST_EXECUTIONS = 10_000

# A string, since the type is not imported before a record needs it.
_Ids: TypeAlias = "tuple[UUID | None, UUID | None, UUID | None]"
# The parts of a value: the ids, the sequence, the time and the text.
_Entry: TypeAlias = "tuple[_Ids, int, float, str]"


class ExecutionLogHandler(logging.Handler):
    """Sends the records of an execution context in batches, and ignores other records.

    A record becomes an `ExecutionLog` with masked text: level, logger, message, fields and stack trace, or the output
    of the handler's formatter. Its sequence rises by one for each record of its execution: the job execution if the
    record names one, else the stage execution, else the pipeline execution. A gap shows that a record was lost.

    ``send`` runs in a thread of the handler. A call that logs never waits: a record that does not fit into the queue is
    lost and counted. Once sending works again, a warning tells how many records were lost.

    Args:
        send: Called with one batch after the other, of at least one value. If it raises, it is called again with the
            same values.
        masker: The masker; that of the process by default.
        capacity: How many records can wait to be sent.
        batch_size: How many values a batch has at most.
        linger: How long a batch waits to become full, in seconds.
        attempts: How often a batch is tried before it is given up.
        pause: How long to wait before the second attempt, in seconds; doubled before each further one, up to 5.
        timeout: How long `flush` and `close` wait at most, in seconds.
    """

    def __init__(
        self,
        send: Callable[[Sequence[ExecutionLog]], object],
        *,
        masker: SecretMasker | None = None,
        capacity: int = 10_000,
        batch_size: int = 500,
        linger: float = 0.5,
        attempts: int = 12,
        pause: float = 0.1,
        timeout: float = 30.0,
    ) -> None:
        super().__init__()
        self._send = send
        self._masker = masker if masker is not None else process_masker
        self._timeout = timeout
        self._sequences: OrderedDict[UUID, int] = OrderedDict()
        self._delivery: Delivery[_Entry] = Delivery(
            self._prepare,
            _report,
            capacity=capacity,
            batch_size=batch_size,
            linger=linger,
            attempts=attempts,
            pause=pause,
        )
        self.setFormatter(ConsoleFormatter(time=False, omit=_WRITTEN_IDS, masker=self._masker))
        self.renew()
        renew_in_child(self)

    @property
    def lost(self) -> int:
        """How many records were given up."""
        return self._delivery.lost

    def renew(self) -> None:
        """Renew the lock in a child process."""
        # Reentrant, since a signal handler may log while a record is put in the queue.
        self._order = threading.RLock()

    def handle(self, record: logging.LogRecord) -> bool:
        """Emit a record that passes the filters.

        The lock of the handler is not taken: `logging.shutdown` holds it while it waits for `close`, and ``send``
        may log.

        Args:
            record: Any record.

        Returns:
            Whether the record passed the filters.
        """
        passed = self.filter(record)
        if passed:
            self.emit(passed if isinstance(passed, logging.LogRecord) else record)
        return bool(passed)

    def emit(self, record: logging.LogRecord) -> None:
        """Put a record into the queue if it belongs to an execution.

        Args:
            record: Any record.
        """
        try:
            ids = _ids_of(fields_of(record))
            execution = ids[2] or ids[1] or ids[0]
            if execution is not None:
                self._put(execution, ids, record.created, self.format(record))
        except Exception:
            self._delivery.lose(1)

    def flush(self) -> None:
        """Wait until all records were sent or given up."""
        self._delivery.flush(self._timeout)

    def close(self) -> None:
        """Send the records that wait, and take no more."""
        self._delivery.close(self._timeout)
        super().close()

    def _put(self, execution: UUID, ids: _Ids, created: float, text: str) -> None:
        with self._order:
            sequence = self._sequences.pop(execution, 0)
            self._sequences[execution] = sequence + 1
            if len(self._sequences) > MOST_EXECUTIONS:
                self._sequences.popitem(last=False)
            self._delivery.put((ids, sequence, created, text))

    def _prepare(self, batch: list[_Entry]) -> Callable[[], object]:
        # Imported here, since only a program that sends logs needs these modules.
        from datetime import UTC, datetime, timedelta

        from ..model.log import ExecutionLog

        logs = tuple(
            ExecutionLog(
                pipeline_execution_id=ids[0],
                stage_execution_id=ids[1],
                job_execution_id=ids[2],
                sequence=sequence,
                # Not fromtimestamp, which on some systems refuses times before 1970.
                timestamp=datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=created),
                # Masked once more: secrets may have been added while the text waited.
                log_text=scrub(self._masker.mask(text)),
            )
            for ids, sequence, created, text in batch
        )
        return lambda: self._send(logs)


def _report(lost: int) -> None:
    # A handler that raises must not end the thread that delivers.
    with suppress(Exception):
        logging.getLogger().handle(notice("%d records of executions were lost", lost, lost=lost))


def _ids_of(fields: Fields) -> _Ids:
    pipeline, stage, job = (_uuid(fields.values.get(name)) for name in _WRITTEN_IDS)
    return pipeline, stage, job


def _uuid(value: object) -> UUID | None:
    from uuid import UUID

    if value is None or isinstance(value, UUID):
        return value
    try:
        return UUID(text_of(value))
    except ValueError:
        return None
