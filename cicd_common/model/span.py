"""When the children of a parent ran, and how many of them have which status."""

from __future__ import annotations

from datetime import datetime, timedelta

from attrs import frozen

from ..enums import ExecutionStatus
from .status import StatusCounts

__all__ = ["Span", "between", "earliest", "latest"]


@frozen
class Span:
    """From when to when the children of a parent ran, and how many of them have which status.

    Attributes:
        counts: The children by status.
        start: The earliest start among them.
        end: The latest completion among them, whether all are at their end or not.
    """

    counts: StatusCounts
    start: datetime | None
    end: datetime | None

    @property
    def completion(self) -> datetime | None:
        """When the parent ended; none if it has not, or if nothing ever ran."""
        return self.end if self.counts.status.is_terminal else None

    def after(self, was: ExecutionStatus, now: ExecutionStatus, start: datetime | None, end: datetime | None) -> Span:
        """The span after a child moved from a status to another, and now has these times.

        The times of a child are only ever filled in, or its start found to be earlier, so nothing need be looked at
        again.
        """
        return Span(self.counts.moved(was, now), earliest(self.start, start), latest(self.end, end))


def earliest(*times: datetime | None) -> datetime | None:
    """The earliest of the times that are known."""
    known = [time for time in times if time is not None]
    return min(known) if known else None


def latest(*times: datetime | None) -> datetime | None:
    """The latest of the times that are known."""
    known = [time for time in times if time is not None]
    return max(known) if known else None


def between(start: datetime | None, end: datetime | None) -> timedelta | None:
    """From a start to an end; none if either is not known."""
    return None if start is None or end is None else end - start
