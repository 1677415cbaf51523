"""The roll-up: how the status and the times of a parent follow from those of its children."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from attrs import frozen

from ..enums import ExecutionStatus

__all__ = [
    "Span",
    "StatusCounts",
    "counted_status",
    "duration_between",
    "earliest",
    "is_halting",
    "latest",
    "open_stage",
    "shifted",
]


def counted_status(status: ExecutionStatus, allow_failure: bool) -> ExecutionStatus:
    """Return the status that a job counts as in its stage: an allowed failure counts as ``SUCCESS``.

    Args:
        status: The status of the job.
        allow_failure: Whether it is allowed to fail.
    """
    if allow_failure and status is ExecutionStatus.FAILED:
        return ExecutionStatus.SUCCESS
    return status


def is_halting(counted: ExecutionStatus) -> bool:
    """Tell whether a job halts its run: no more jobs start after one that counts as ``FAILED`` or ``CANCELED``.

    Args:
        counted: The status that the job counts as in its stage.
    """
    return counted is ExecutionStatus.FAILED or counted is ExecutionStatus.CANCELED


def open_stage(statuses: Sequence[ExecutionStatus]) -> int:
    """Return the place of the stage whose jobs may start: the first one that is not in ``SUCCESS``.

    Args:
        statuses: The status of each stage of a run, in the order in which they run.

    Returns:
        The place, from 0; the number of stages if all are in ``SUCCESS``.
    """
    return next((at for at, status in enumerate(statuses) if status is not ExecutionStatus.SUCCESS), len(statuses))


@frozen(kw_only=True)
class StatusCounts:
    """The number of children of a parent in each status, and the status of the parent.

    Counts can be added: the counts of a parent are the sum of those of its parts, and ``StatusCounts()`` is zero. A
    database that keeps only the counts gets the status of the parent by the same rule.

    A child that failed and is allowed to counts under ``success``.

    Attributes:
        pending: Children in ``PENDING``; 0 by default, like all others.
        running: Children in ``RUNNING``.
        success: Children in ``SUCCESS``.
        failed: Children in ``FAILED``.
        canceled: Children in ``CANCELED``.
    """

    pending: int = 0
    running: int = 0
    success: int = 0
    failed: int = 0
    canceled: int = 0

    @classmethod
    def of(cls, statuses: Iterable[ExecutionStatus]) -> StatusCounts:
        """Count children, in one pass.

        Args:
            statuses: The status that each child counts as.
        """
        counts = dict.fromkeys(ExecutionStatus, 0)
        for status in statuses:
            counts[status] += 1
        return cls(**{status.lower(): count for status, count in counts.items()})

    def __add__(self, other: StatusCounts) -> StatusCounts:
        return StatusCounts(
            pending=self.pending + other.pending,
            running=self.running + other.running,
            success=self.success + other.success,
            failed=self.failed + other.failed,
            canceled=self.canceled + other.canceled,
        )

    def moved(self, was: ExecutionStatus, now: ExecutionStatus) -> StatusCounts:
        """Return the counts after one child moved from a status to another.

        Args:
            was: The status that the child counted as.
            now: The status that it counts as.
        """
        return self if was is now else self + _MOVES[was, now]

    @property
    def total(self) -> int:
        """The number of children."""
        return self.pending + self.running + self.success + self.failed + self.canceled

    @property
    def status(self) -> ExecutionStatus:
        """The status of the parent.

        No children, or all terminal: ``FAILED`` if any failed, else ``CANCELED`` if any was canceled, else ``SUCCESS``.
        All ``PENDING``: ``PENDING``. Anything else: ``RUNNING``.
        """
        if not (self.pending or self.running):
            if self.failed:
                return ExecutionStatus.FAILED
            return ExecutionStatus.CANCELED if self.canceled else ExecutionStatus.SUCCESS
        return ExecutionStatus.PENDING if self.pending == self.total else ExecutionStatus.RUNNING


_MOVES = {
    (was, now): StatusCounts(**{was.lower(): -1, now.lower(): 1})
    for was in ExecutionStatus
    for now in ExecutionStatus
    if was is not now
}


@frozen
class Span:
    """The counts of a parent's children, and the times between which they ran.

    Attributes:
        counts: The children by status.
        start: The earliest start among them.
        end: The latest completion among them, whether all have ended or not.
    """

    counts: StatusCounts
    start: datetime | None
    end: datetime | None

    @property
    def completion(self) -> datetime | None:
        """When the parent ended; none if it has not, or if nothing ever ran."""
        return self.end if self.counts.status.is_terminal else None

    def after(self, was: ExecutionStatus, now: ExecutionStatus, start: datetime | None, end: datetime | None) -> Span:
        """Return the span after a child moved.

        The other children need not be looked at: a move fills in the times of a child or makes its start earlier.

        Args:
            was: The status that the child counted as.
            now: The status that it counts as.
            start: When it started, if that is known.
            end: When it completed, if that is known.
        """
        return Span(self.counts.moved(was, now), earliest(self.start, start), latest(self.end, end))


def earliest(*times: datetime | None) -> datetime | None:
    """Return the earliest of the times that are known."""
    return min((time for time in times if time is not None), default=None)


def latest(*times: datetime | None) -> datetime | None:
    """Return the latest of the times that are known."""
    return max((time for time in times if time is not None), default=None)


def shifted(time: datetime, by: timedelta) -> datetime:
    """Return a time moved by a duration, within the years 1 to 9999.

    Args:
        time: The time, in UTC.
        by: How far to move it; backwards if negative.
    """
    try:
        return time + by
    except OverflowError:
        return (datetime.max if by > timedelta() else datetime.min).replace(tzinfo=UTC)


def duration_between(start: datetime | None, end: datetime | None) -> timedelta | None:
    """Return the time from a start to an end; None if either is not known, zero if the end is before the start."""
    return None if start is None or end is None else max(end - start, timedelta())
