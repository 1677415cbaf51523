"""How the status of a parent follows from its children: the one roll-up rule."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from ..enums import ExecutionStatus

__all__ = ["StatusCounts", "counted_status"]


def counted_status(status: ExecutionStatus, allow_failure: bool) -> ExecutionStatus:
    """What a job counts as in its stage: a ``FAILED`` job that is allowed to fail counts as ``SUCCESS``.

    Args:
        status: The status of the job.
        allow_failure: Whether it is allowed to fail.
    """
    if allow_failure and status is ExecutionStatus.FAILED:
        return ExecutionStatus.SUCCESS
    return status


@frozen(kw_only=True)
class StatusCounts:
    """How many children of a parent have which status, and the status of the parent that follows.

    Counts add up: those of a whole are the sum of those of its parts, and ``StatusCounts()`` is the zero. A database
    that keeps only the counts has the status of the parent by the same rule.

    A child that is allowed to fail and did is counted under ``success``.

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
            statuses: What each child counts as.
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
        """The counts after one child moved from a status to another.

        Args:
            was: What the child counted as.
            now: What it counts as.
        """
        return self if was is now else self + _MOVES[was, now]

    @property
    def total(self) -> int:
        """How many children there are."""
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


def _move(was: ExecutionStatus, now: ExecutionStatus) -> StatusCounts:
    return StatusCounts(**{was.lower(): -1, now.lower(): 1})


_MOVES = {(was, now): _move(was, now) for was in ExecutionStatus for now in ExecutionStatus if was is not now}
