"""The enumerations of the contract."""

from enum import StrEnum
from typing import Self

__all__ = ["ExecutionStatus"]


class ExecutionStatus(StrEnum):
    """How far a pipeline, a stage or a job has come.

    On the wire a status is its value, in upper case. Three of the five are terminal: an execution that
    reached one of them stays there.

    Attributes:
        description: What the status says, in one sentence.
    """

    description: str

    PENDING = "PENDING", "Not started yet."
    RUNNING = "RUNNING", "Started, and not at its end yet."
    SUCCESS = "SUCCESS", "Ended, and did what it was asked to do."
    FAILED = "FAILED", "Ended, and did not do what it was asked to do."
    CANCELED = "CANCELED", "Stopped, or never started, because it was no longer wanted."

    def __new__(cls, value: str, description: str) -> Self:  # noqa: D102 - as any enum
        member = str.__new__(cls, value)
        member._value_ = value
        member.description = description
        return member

    @property
    def is_terminal(self) -> bool:
        """Whether an execution of this status is at its end, for good."""
        return _RANKS[self] == 2

    def can_become(self, other: Self) -> bool:
        """Whether an execution may move from this status to another: only to a higher rank.

        ``RUNNING`` may be skipped, since the network may lose or reorder the update that tells of it.

        Args:
            other: The status to move to.
        """
        return _RANKS[self] < _RANKS[other]


_RANKS = {
    ExecutionStatus.PENDING: 0,
    ExecutionStatus.RUNNING: 1,
    ExecutionStatus.SUCCESS: 2,
    ExecutionStatus.FAILED: 2,
    ExecutionStatus.CANCELED: 2,
}
