"""Parents in the database: the counts and times that the rules of the model keep up with, as values and as rows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import fields

from ..model import Span, StatusCounts

__all__ = ["PROGRESS", "SPAN", "run_values", "span_of", "span_values"]

_COUNTS = tuple(field.name for field in fields(StatusCounts))
SPAN = (*_COUNTS, "start_time", "end_time")
"""The columns that a span is read from."""
PROGRESS = ("status", "completion_time", *SPAN)
"""The columns that change as a span does."""


def span_of(row: Mapping[Any, Any], prefix: str = "") -> Span:
    """The span of a parent.

    Args:
        row: A row with the columns of `SPAN`.
        prefix: What their names begin with.
    """
    counts = StatusCounts(**{name: row[prefix + name] for name in _COUNTS})
    return Span(counts, row[f"{prefix}start_time"], row[f"{prefix}end_time"])


def span_values(span: Span) -> dict[str, Any]:
    """The columns of a parent: its span, and what readers want to know of it."""
    return {
        "status": span.counts.status,
        "start_time": span.start,
        "completion_time": span.completion,
        "end_time": span.end,
        **{name: getattr(span.counts, name) for name in _COUNTS},
    }


def run_values(span: Span, canceled_at: datetime | None) -> dict[str, Any]:
    """The columns of a pipeline execution. One of which nothing ever ran completes when it was canceled.

    Args:
        span: Its span.
        canceled_at: When canceling was asked for; none if it was not.
    """
    values = span_values(span)
    if values["status"].is_terminal:
        values["completion_time"] = span.completion or canceled_at
    return values
