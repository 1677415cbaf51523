"""Explanations of the status of an execution, by named cases."""

import pytest

from cicd_common.enums import EndReason
from cicd_common.model import PipelineExecution, Reason
from tests.support.moves import CANCELED, FAILED, MOMENT, RUNNING, SUCCESS, job, moved, pipeline, update


def new(*stages):
    return PipelineExecution.of(pipeline(*stages), run_number=1)


def later(execution, *updates):
    for each in updates:
        execution, _ = execution.apply(update(execution, *each))
    return execution


def failed_later_by_definition_first_in_time():
    execution, _ = new(["a", "b"]).hand_out(MOMENT)
    return later(execution, ("a", 1, FAILED, 9), ("b", 1, FAILED, 5))


def canceled_by_request():
    execution, _ = new(["a"], ["b", "c"]).hand_out(MOMENT)
    execution, _ = execution.cancel(MOMENT)
    return later(execution, ("a", 1, CANCELED, 1))


def lost_after_request():
    execution, (handed_out,) = new(["a"]).hand_out(MOMENT)
    execution, _ = later(execution, ("a", 1, RUNNING, 1)).cancel(MOMENT)
    return execution.lose(handed_out.id, MOMENT, losses=1)[0]


def failed_after_request():
    execution, _ = new(["a"], ["b"]).hand_out(MOMENT)
    execution, _ = execution.cancel(MOMENT)
    return later(execution, ("a", 1, FAILED, 1))


CASES = {
    "a failure, and what was canceled because of it": (
        moved(new(["test"], ["x", "y"], ["z"]), "test", FAILED, exit_code=1),
        Reason.JOB_FAILED,
        ["test"],
        "FAILED: job test failed with exit code 1; 3 jobs were canceled because of it",
    ),
    "a failure that canceled one job": (
        moved(new(["test"], ["x"]), "test", FAILED),
        Reason.JOB_FAILED,
        ["test"],
        "FAILED: job test failed; 1 job was canceled because of it",
    ),
    "a failure alone": (
        moved(new(["test"]), "test", FAILED, exit_code=-9),
        Reason.JOB_FAILED,
        ["test"],
        "FAILED: job test failed with exit code -9",
    ),
    "two failures rest on the one that came first": (
        failed_later_by_definition_first_in_time(),
        Reason.JOB_FAILED,
        ["b"],
        "FAILED: job b failed",
    ),
    "a failure after canceling was asked for": (
        failed_after_request(),
        Reason.JOB_FAILED,
        ["a"],
        "FAILED: job a failed; 1 job was canceled",
    ),
    "canceling that was asked for": (
        canceled_by_request(),
        Reason.CANCELING_ASKED,
        [],
        "CANCELED: canceling was asked for at 2026-01-31T12:00:00+00:00; 3 jobs were canceled",
    ),
    "a job that its Worker canceled": (
        moved(new(["a"], ["b"]), "a", CANCELED),
        Reason.JOB_CANCELED,
        ["a"],
        "CANCELED: job a was canceled by its Worker; 1 job was canceled because of it",
    ),
    "a job that its Worker canceled, alone": (
        moved(new(["a"]), "a", CANCELED),
        Reason.JOB_CANCELED,
        ["a"],
        "CANCELED: job a was canceled by its Worker",
    ),
    "a job that its Worker canceled for a reason of its own": (
        moved(new(["a"]), "a", CANCELED, reason=EndReason.STOPPED),
        Reason.JOB_CANCELED,
        ["a"],
        "CANCELED: job a was canceled by its Worker (STOPPED: its Worker was told to stop it)",
    ),
    "canceling, and a Worker that was lost": (
        lost_after_request(),
        Reason.CANCELING_ASKED,
        [],
        (
            "CANCELED: canceling was asked for at 2026-01-31T12:00:00+00:00; 1 job was canceled; "
            "job a (WORKER_LOST: no Worker brought it to its end)"
        ),
    ),
    "a success": (
        later(moved(new(["a", "b"]), "a", SUCCESS), ("b", 1, SUCCESS)),
        Reason.ALL_SUCCEEDED,
        ["a", "b"],
        "SUCCESS: all jobs succeeded (2)",
    ),
    "a success in spite of a failure": (
        later(moved(new([job("lint", allow_failure=True), "b"]), "lint", FAILED, exit_code=2), ("b", 1, SUCCESS)),
        Reason.ALL_SUCCEEDED,
        ["lint", "b"],
        "SUCCESS: all other jobs succeeded; allowed to fail, and failed: lint with exit code 2",
    ),
    "a success in spite of two failures": (
        later(moved(new([job("a", allow_failure=True), job("b", allow_failure=True)]), "a", FAILED), ("b", 1, FAILED)),
        Reason.ALL_SUCCEEDED,
        ["a", "b"],
        "SUCCESS: all other jobs succeeded; allowed to fail, and failed: a, b",
    ),
    "nothing started": (new(["a"]), Reason.NONE_STARTED, ["a"], "PENDING: no job has started"),
    "nothing started, but handed out": (
        new(["a", "b"]).hand_out(MOMENT)[0],
        Reason.NONE_STARTED,
        ["a", "b"],
        "PENDING: no job has started; 2 jobs were handed to Workers",
    ),
    "a job that runs": (
        later(moved(new(["a", "b"]), "b", RUNNING), ("a", 1, SUCCESS)),
        Reason.JOB_RUNNING,
        ["b"],
        "RUNNING: job b is running",
    ),
    "between two jobs": (
        moved(new(["a", "b"]), "b", SUCCESS),
        Reason.BETWEEN_JOBS,
        ["b", "a"],
        "RUNNING: job b ended in SUCCESS, job a has not started",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_explanation(case):
    """An explanation has the status, the reason, the jobs and the text of its case."""
    execution, reason, jobs, text = CASES[case]
    explanation = execution.explain()
    assert (explanation.status, explanation.reason) == (execution.status, reason)
    assert [each.job.name for each in explanation.jobs] == jobs
    assert str(explanation) == explanation.text == text


def test_jobs_that_never_ran_are_counted():
    """An explanation has the number of canceled jobs."""
    assert moved(new(["test"], ["x", "y"]), "test", FAILED).explain().canceled == 2
