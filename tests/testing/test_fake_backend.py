"""The Backend in memory, by named cases. The tests of the store compare it with a database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from attrs import evolve

from cicd_common import ContractError, ExecutionStatus
from cicd_common.api.request import (
    Artifact,
    ArtifactUploadRequest,
    ExecutionLogUpload,
    JobStatusUpdate,
    PipelineExecutionRequest,
    ReportRequest,
)
from cicd_common.enums import EndReason
from cicd_common.errors import UnknownJobError
from cicd_common.model import ExecutionLog, Job, Pipeline, Stage
from cicd_common.testing import FakeBackend

NOW = datetime(2026, 1, 31, tzinfo=UTC)
NOBODY = UUID(int=7)
RUNNING, SUCCESS, CANCELED = ExecutionStatus.RUNNING, ExecutionStatus.SUCCESS, ExecutionStatus.CANCELED
PIPELINE = Pipeline(
    name="build",
    repo_url="r",
    stages=(
        Stage(name="one", jobs=(Job(name="a", script=("x",)), Job(name="b", script=("x",)))),
        Stage(name="two", jobs=(Job(name="c", script=("x",)),)),
    ),
)


def told(request, sequence, status, **fields):
    return JobStatusUpdate(
        job_execution_id=request.job_execution_id,
        sequence=sequence,
        status=status,
        occurred_at=NOW,
        **{"worker": "w", "logs": f"{sequence}\n", **fields},
    )


@pytest.fixture
def backend():
    return FakeBackend()


class TestStart:
    def test_a_request_starts_once(self, backend):
        """A repeated request returns the same run, and hands out no jobs."""
        request = PipelineExecutionRequest(request_id=uuid4(), repo="r", pipeline=PIPELINE)
        first, again = backend.start(request), backend.start(request)
        assert [job.job_name for job in first.jobs] == ["a", "b"]
        assert (again.execution, again.jobs) == (first.execution, ())
        assert [run.run_number for run in backend.executions] == [1]

    def test_a_known_definition_starts_by_its_id(self, backend):
        """A request with the id of a known definition starts its next run."""
        backend.start(PIPELINE)
        request = PipelineExecutionRequest(request_id=uuid4(), repo="r", pipeline_id=PIPELINE.id)
        assert backend.start(request).execution.run_number == 2
        assert backend.pipeline(PIPELINE.id) is PIPELINE
        assert [each.id for each in backend.pipelines(name="build")] == [PIPELINE.id]
        assert backend.pipelines(name="other") == ()

    @pytest.mark.parametrize(
        ("pointer", "fields"),
        [
            ("/pipeline_id", {"pipeline_id": NOBODY}),
            ("/pipeline_id", {"file_path": "x.yaml"}),
            ("/pipeline_id", {"pipeline_id": NOBODY, "pipeline": PIPELINE}),
            ("/repo", {"repo": "other", "pipeline": PIPELINE}),
            ("/id", {"pipeline": evolve(PIPELINE, commit_hash="abc")}),
        ],
    )
    def test_a_request_that_names_no_definition_is_refused(self, backend, pointer, fields):
        """A request without a valid definition is refused with the pointer of the wrong field."""
        backend.start(PIPELINE)
        with pytest.raises(ContractError) as caught:
            backend.start(PipelineExecutionRequest(**{"request_id": uuid4(), "repo": "r", **fields}))
        assert [problem.pointer for problem in caught.value.problems] == [pointer]


class TestJobs:
    def test_updates_move_a_run_to_its_end(self, backend):
        """Updates bring a run to its end, and logs and reports have the output."""
        started = backend.start(PIPELINE)
        jobs = list(started.jobs)
        for request in jobs:
            applied = backend.apply_all([told(request, 1, RUNNING), told(request, 2, SUCCESS, reason=EndReason.EXITED)])
            jobs += [job for each in applied for job in each.jobs]
        execution_id = started.execution.execution_id
        assert backend.status(execution_id).status is SUCCESS
        first = jobs[0].job_execution_id
        assert (backend.logs(first, after=1).text, backend.log_tail(first, max_bytes=2)) == ("2\n", "2\n")
        report = backend.report(ReportRequest(pipeline_name="build", stage_name="one", job_name="a"))
        assert [record.logs for record in report.executions] == ["1\n2\n"]
        assert backend.job_execution(first).reason is EndReason.EXITED
        assert backend.job_status(first).status is SUCCESS

    def test_another_worker_is_superseded(self, backend):
        """The update of another Worker is superseded and not stored."""
        request = backend.start(PIPELINE).jobs[0]
        backend.apply(told(request, 1, RUNNING))
        assert backend.apply(told(request, 2, SUCCESS, worker="other")).response.is_superseded
        assert backend.logs(request.job_execution_id).text == "1\n"

    def test_a_release_hands_the_job_out_again(self, backend):
        """A released job is handed out with its next attempt."""
        request = backend.start(PIPELINE).jobs[0]
        backend.apply(told(request, 1, RUNNING))
        [again] = backend.apply(told(request, 2, RUNNING, is_released=True)).jobs
        assert (again.attempt, again.last_sequence) == (2, 2)

    def test_an_unknown_job_in_a_batch_is_its_error(self, backend):
        """An unknown job in a batch has its error as result, and the other updates are applied."""
        request = backend.start(PIPELINE).jobs[0]
        unknown, known = backend.apply_all(
            [evolve(told(request, 1, RUNNING), job_execution_id=NOBODY), told(request, 1, RUNNING)]
        )
        assert isinstance(unknown, UnknownJobError)
        assert known.response.status is RUNNING

    def test_leases(self, backend):
        """A silent Worker loses its job; a job of a canceled run ends, claimed or not."""
        started = backend.start(PIPELINE, at=NOW)
        first, second = started.jobs
        backend.take_over(NOW)
        backend.apply(told(first, 1, RUNNING), at=NOW)
        taken = [backend.take_over(NOW + timedelta(seconds=seconds)) for seconds in range(10, 80, 10)]
        assert [job.attempt for each in taken for job in each.jobs] == [2]
        backend.apply(told(first, 2, RUNNING, attempt=2, worker="other"), at=NOW + timedelta(seconds=80))
        to_stop = backend.cancel(started.execution.execution_id, NOW + timedelta(seconds=80))
        assert [job.is_cancel_requested for job in to_stop] == [True, True]
        taken = [backend.take_over(NOW + timedelta(seconds=seconds)) for seconds in range(80, 200, 10)]
        assert {end.job_execution_id for each in taken for end in each.ended} == {
            first.job_execution_id,
            second.job_execution_id,
        }
        assert backend.status(started.execution.execution_id).status is CANCELED
        assert backend.cancel(started.execution.execution_id) == ()


class TestWhatHangsOnRuns:
    def test_artifacts(self, backend):
        """A second artifact with the same path replaces the first."""
        job = backend.start(PIPELINE).jobs[0].job_execution_id
        for size in (1, 2):
            files = (Artifact(path="a", size=size, sha256="0" * 64),)
            backend.add_artifacts(ArtifactUploadRequest(job_execution_id=job, artifacts=files))
        assert [file.size for file in backend.artifacts(job)] == [2]

    def test_logs_of_executions(self, backend):
        """The logs of a run include those of its stages and jobs."""
        request = backend.start(PIPELINE).jobs[0]
        ids = {
            name: getattr(request, name) for name in ("pipeline_execution_id", "stage_execution_id", "job_execution_id")
        }
        entries = tuple(
            ExecutionLog(sequence=at, timestamp=NOW, log_text=name, **{name: value})
            for at, (name, value) in enumerate(ids.items())
        )
        backend.add_logs(ExecutionLogUpload(logs=entries))
        found = [len(backend.execution_logs(**{name: value}).logs) for name, value in ids.items()]
        assert found == [3, 2, 1]


@pytest.mark.parametrize(
    "ask",
    [
        lambda backend: backend.status(NOBODY),
        lambda backend: backend.cancel(NOBODY),
        lambda backend: backend.pipeline(NOBODY),
        lambda backend: backend.job_status(NOBODY),
        lambda backend: backend.execution_logs(pipeline_execution_id=NOBODY),
        lambda backend: backend.add_logs(
            ExecutionLogUpload(logs=(ExecutionLog(sequence=0, timestamp=NOW, log_text="", stage_execution_id=NOBODY),))
        ),
    ],
)
def test_what_is_not_known_is_an_error(backend, ask):
    """An unknown id raises a ContractError."""
    with pytest.raises(ContractError, match="there is none with the id"):
        ask(backend)
