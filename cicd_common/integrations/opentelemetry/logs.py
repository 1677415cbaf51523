"""A filter that adds the ids of the current span to log lines."""

from __future__ import annotations

import logging

from opentelemetry.trace import get_current_span

__all__ = ["SpanIds"]


class SpanIds(logging.Filter):
    """Adds ``trace_id`` and ``span_id`` of the current span to the records of a handler, if there is a span.

    Handlers of the package write them on the line. A record that has a ``trace_id`` keeps it. With a queue between the
    logger and the handler that writes, add the filter to the handler that fills the queue in the thread of the span.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the ids to a record.

        Args:
            record: Any record.

        Returns:
            True, since no record is dropped.
        """
        context = get_current_span().get_span_context()
        if context.is_valid and "trace_id" not in vars(record):
            record.trace_id = f"{context.trace_id:032x}"
            record.span_id = f"{context.span_id:016x}"
        return True
