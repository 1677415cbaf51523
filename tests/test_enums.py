"""The descriptions and the conversions of the enumerations."""

import pytest

from cicd_common.enums import EndReason, ExecutionStatus

SUCCESS, FAILED, CANCELED = ExecutionStatus.SUCCESS, ExecutionStatus.FAILED, ExecutionStatus.CANCELED


@pytest.mark.parametrize("member", [*ExecutionStatus, *EndReason])
def test_every_member_says_what_it_means(member):
    """The value of a member is its name, and its description is a sentence."""
    assert type(member)(member.value) is member == member.name
    assert member.description.endswith(".")


@pytest.mark.parametrize(
    ("reason", "status", "result"),
    [
        (EndReason.EXITED, SUCCESS, "success"),
        (EndReason.EXITED, FAILED, "failure"),
        (EndReason.TIMED_OUT, FAILED, "timeout"),
        (EndReason.STOPPED, CANCELED, "cancellation"),
        (EndReason.STOPPED, FAILED, "cancellation"),
        (EndReason.SKIPPED, CANCELED, "skip"),
        (EndReason.WORKER_LOST, FAILED, "error"),
        (EndReason.WORKER_LOST, CANCELED, "cancellation"),
        (EndReason.NOT_RUNNABLE, FAILED, "error"),
        (EndReason.OTHER, FAILED, "failure"),
    ],
)
def test_the_result_of_a_task_run(reason, status, result):
    """A reason and a status give one of the values of OpenTelemetry's semantic conventions."""
    assert reason.task_run_result(status) == result


@pytest.mark.parametrize("status", [ExecutionStatus.PENDING, ExecutionStatus.RUNNING])
def test_a_job_that_has_not_ended_has_no_result(status):
    with pytest.raises(ValueError, match=f"expected a terminal status, found {status}"):
        EndReason.EXITED.task_run_result(status)


def test_an_unknown_reason_is_another_one():
    """An unknown text becomes OTHER, and values of other types are refused."""
    assert EndReason("VAPORIZED") is EndReason.OTHER
    with pytest.raises(ValueError, match="7 is not a valid EndReason"):
        EndReason(7)
