"""The enumerations of the contract."""

from enum import StrEnum
from typing import Self

__all__ = ["EndReason", "ExecutionStatus"]


class _Described(StrEnum):
    """An enumeration whose members are their value on the wire, and have a description of one sentence."""

    description: str

    def __new__(cls, value: str, description: str) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.description = description
        return member


class ExecutionStatus(_Described):
    """How far a pipeline, a stage or a job has come.

    On the wire a status is its value, in upper case. Three of the five are terminal: an execution that
    reached one of them stays there.

    Attributes:
        description: What the status says, in one sentence.
    """

    PENDING = "PENDING", "Not started yet."
    RUNNING = "RUNNING", "Started, and not at its end yet."
    SUCCESS = "SUCCESS", "Ended, and did what it was asked to do."
    FAILED = "FAILED", "Ended, and did not do what it was asked to do."
    CANCELED = "CANCELED", "Stopped, or never started, because it was no longer wanted."

    @property
    def is_terminal(self) -> bool:
        """Whether an execution of this status has ended for good."""
        return _RANKS[self] == 2

    def can_become(self, other: Self) -> bool:
        """Tell whether an execution may move from this status to another one, which must have a higher rank.

        ``RUNNING`` may be skipped, since the network may lose or reorder its update.

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


class EndReason(_Described):
    """Why a job ended.

    This is an open enumeration: a value that the reader does not know is read as ``OTHER``, so that an old Backend
    takes the last update of a newer Worker.

    Attributes:
        description: What the reason says, in one sentence.
    """

    EXITED = "EXITED", "Its process ended by itself."
    TIMED_OUT = "TIMED_OUT", "It ran for longer than its time limit."
    STOPPED = "STOPPED", "Its Worker was told to stop it."
    SKIPPED = "SKIPPED", "It never ran, because the run was halted first."
    WORKER_LOST = "WORKER_LOST", "No Worker brought it to its end."
    NOT_RUNNABLE = "NOT_RUNNABLE", "Its Worker could not start it."
    OTHER = "OTHER", "It ended for a reason that this version does not know."

    @classmethod
    def _missing_(cls, value: object) -> "EndReason | None":
        return cls.OTHER if isinstance(value, str) else None

    def task_run_result(self, status: ExecutionStatus) -> str:
        """Return the value of OpenTelemetry's attribute ``cicd.pipeline.task.run.result`` for a job that ended.

        Args:
            status: The terminal status that the job ended in.

        Returns:
            ``success``, ``failure``, ``error``, ``timeout``, ``cancellation`` or ``skip``, the values of the
            semantic conventions for CI/CD.

        Raises:
            ValueError: The status is not terminal.
        """
        if not status.is_terminal:
            raise ValueError(f"expected a terminal status, found {status}")
        if self is EndReason.SKIPPED:
            return "skip"
        if status is ExecutionStatus.FAILED:
            return _RESULTS_OF_FAILURES.get(self, "failure")
        return "success" if status is ExecutionStatus.SUCCESS else "cancellation"


_RESULTS_OF_FAILURES = {
    EndReason.TIMED_OUT: "timeout",
    EndReason.STOPPED: "cancellation",
    EndReason.WORKER_LOST: "error",
    EndReason.NOT_RUNNABLE: "error",
}
