"""Log lines that say which span they belong to."""

from __future__ import annotations

import logging

from opentelemetry.trace import get_current_span

__all__ = ["SpanIds"]


class SpanIds(logging.Filter):
    """Puts ``trace_id`` and ``span_id`` of the current span on the records of a handler, if there is one.

    Handlers of the package write them on the line. A record that has a ``trace_id`` keeps it. Where a queue lies before
    the handler that writes, the filter belongs on the handler that fills the queue, in the thread of the span.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Put the ids on a record.

        Args:
            record: Any record.

        Returns:
            True: no record is held back.
        """
        context = get_current_span().get_span_context()
        if context.is_valid and "trace_id" not in vars(record):
            record.trace_id = f"{context.trace_id:032x}"
            record.span_id = f"{context.span_id:016x}"
        return True
