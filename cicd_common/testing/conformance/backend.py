"""The requirements of the contract on a Backend, as tests of its HTTP interface."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, ClassVar
from uuid import UUID, uuid4

import httpx
import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from ...api.request import (
    Artifact,
    ArtifactUploadRequest,
    ExecutionLogUpload,
    JobExecutionRequest,
    JobStatusUpdate,
    PipelineExecutionRequest,
)
from ...api.response import (
    ArtifactsResponse,
    ExecutionLogResponse,
    JobExecutionResponse,
    PipelineExecutionResponse,
)
from ...converter import converter
from ...enums import EndReason, ExecutionStatus
from ...model import ExecutionLog, Job, Pipeline, Stage
from ..backend_api import Paths
from ..strategies import documents
from .client import Caller
from .machine import machine_of

__all__ = ["BackendConformance"]

PENDING, RUNNING, SUCCESS, FAILED, CANCELED = ExecutionStatus

_MOMENT = datetime(2026, 1, 31, 12, tzinfo=UTC)
_NOBODY = UUID(int=0)
_SECRET = "correct horse battery staple"
# All examples share one Backend on purpose, and several classes may derive from the kit.
_UNCHECKED: Any = tuple(HealthCheck)
_FEW = settings(max_examples=25, deadline=None, suppress_health_check=_UNCHECKED)


class BackendConformance:
    """Tests of a Backend. A derived class defines the fixture ``backend``.

    The Backend may have other runs and other users: every test starts pipelines of new names.

    Example:
        .. code-block:: python

            class TestMyBackend(BackendConformance):
                @pytest.fixture
                def backend(self):
                    return client_of(create_app())

    Attributes:
        paths: The paths of the Backend; those of the example system by default.
        lease_seconds: The lease that the Backend of the fixture `short_leases` gives to jobs; 2 by default.
        patience: For how many seconds a test waits for a job to be taken over after its lease.
        examples: How many random sequences of updates, repeats and cancellations the Backend must handle.
    """

    paths: ClassVar[Paths] = Paths()
    lease_seconds: ClassVar[float] = 2.0
    patience: ClassVar[float] = 60.0
    examples: ClassVar[int] = 10

    @pytest.fixture
    def backend(self) -> httpx.Client:
        """A client of the Backend under test, see `client_of`. A derived class overrides this."""
        raise NotImplementedError("give a fixture `backend` that returns an httpx.Client of the Backend under test")

    @pytest.fixture
    def handed_out(self) -> Callable[[], list[JobExecutionRequest]]:
        """A function that returns all requests in the Backend's broker. A derived class overrides this if it can."""
        pytest.skip("the requests that the Backend hands out are not seen: override the fixture `handed_out`")

    @pytest.fixture
    def short_leases(self) -> httpx.Client:
        """A client of a Backend with short leases, for tests of lost jobs. A derived class overrides this if it can."""
        pytest.skip("the end of leases is not seen: override the fixture `short_leases`")

    @pytest.fixture
    def ask(self, backend: httpx.Client) -> Caller:
        """The client with the Backend's paths."""
        return Caller(backend, self.paths)

    # --- starting -------------------------------------------------------------------------------------------------

    def test_a_start_is_answered_with_a_new_run(self, ask: Caller) -> None:
        """The run has the number 1, is PENDING, and is found by its id."""
        run = ask.start(_request(_pipeline("a")))
        assert (run.run_number, run.status) == (1, PENDING)
        assert ask.run(run.execution_id) == run

    def test_a_start_is_idempotent(self, ask: Caller) -> None:
        """A repeated request is answered 200 with the same run, and starts no other."""
        request = _request(_pipeline("a"))
        run = ask.start(request)
        assert ask.post(self.paths.execute, PipelineExecutionResponse, request) == run
        assert len(ask.report(_named(request)).executions) == 1

    def test_runs_are_numbered_by_the_name_of_the_pipeline(self, ask: Caller) -> None:
        """The runs of all definitions of one name are numbered together, without a gap."""
        first = _pipeline("a")
        second = evolve(_pipeline("b"), name=first.name)
        numbers = [ask.start(_request(each)).run_number for each in (first, second, first)]
        assert numbers == [1, 2, 3]

    def test_a_run_has_the_branch_that_was_asked_for(self, ask: Caller) -> None:
        """The report has the branch and the commit of the request."""
        request = evolve(_request(_pipeline("a")), branch="develop", commit_hash="c" * 40)
        ask.start(request)
        (run,) = ask.report(_named(request)).executions
        assert (run.branch, run.commit_hash) == ("develop", "c" * 40)

    # --- handing out ----------------------------------------------------------------------------------------------

    def test_no_job_is_handed_out_before_its_dependencies(self, ask: Caller) -> None:
        """A job that depends on another one of its stage is queued once the other one has succeeded."""
        pipeline = _pipeline(["a", ("b", "a")])
        jobs = _started(ask, pipeline)
        assert ask.record(jobs["a"]).queued_at is not None
        assert ask.record(jobs["b"]).queued_at is None
        ask.tell(_update(jobs["a"], 1, RUNNING))
        assert ask.record(jobs["b"]).queued_at is None
        ask.tell(_update(jobs["a"], 2, SUCCESS))
        assert ask.record(jobs["b"]).queued_at is not None

    def test_no_job_is_handed_out_before_the_earlier_stages(self, ask: Caller) -> None:
        """The jobs of a stage are queued once all jobs of the stage before have succeeded."""
        jobs = _started(ask, _pipeline(["a", "b"], ["c"]))
        ask.tell(_update(jobs["a"], 1, SUCCESS))
        assert ask.record(jobs["c"]).queued_at is None
        ask.tell(_update(jobs["b"], 1, SUCCESS))
        assert ask.record(jobs["c"]).queued_at is not None

    def test_jobs_are_handed_out_once(self, ask: Caller, handed_out: Callable[[], list[JobExecutionRequest]]) -> None:
        """Each job is handed out once, however often requests and updates are repeated."""
        pipeline = _pipeline(["a"], ["b"])
        request = _request(pipeline)
        run = ask.start(request)
        ask.send(self.paths.execute, request)
        jobs = ask.jobs(pipeline, run.run_number)
        for _ in range(3):
            ask.tell(_update(jobs["a"], 1, SUCCESS))
        sent = [each for each in handed_out() if each.pipeline_execution_id == run.execution_id]
        assert [(each.job_name, each.job_execution_id) for each in sent] == [("a", jobs["a"]), ("b", jobs["b"])]
        assert {each.attempt for each in sent} == {1}
        assert sent[1].inputs == ()

    # --- updates --------------------------------------------------------------------------------------------------

    def test_a_job_goes_from_start_to_end(self, ask: Caller) -> None:
        """The record has the job's times, its exit code and its reason, and the run has its status."""
        pipeline = _pipeline("a")
        run = ask.start(_request(pipeline))
        job = ask.jobs(pipeline, 1)["a"]
        assert ask.tell(_update(job, 1, RUNNING)).status is RUNNING
        assert ask.run(run.execution_id).status is RUNNING
        ask.tell(_update(job, 2, SUCCESS, seconds=9, exit_code=0, reason=EndReason.EXITED))
        record = ask.record(job)
        assert (record.status, record.exit_code, record.reason) == (SUCCESS, 0, EndReason.EXITED)
        assert (record.start_time, record.completion_time) == (_MOMENT, _MOMENT + timedelta(seconds=9))
        assert ask.run(run.execution_id).status is SUCCESS

    def test_an_update_that_is_repeated_changes_nothing(self, ask: Caller) -> None:
        """The output is stored once, and the answer is the same."""
        job = _started(ask, _pipeline("a"))["a"]
        update = _update(job, 1, RUNNING, logs="once\n")
        assert ask.tell(update) == ask.tell(update)
        assert ask.record(job).logs == "once\n"

    def test_a_late_update_does_not_overwrite_the_end(self, ask: Caller) -> None:
        """A late update only fills in the start time and its output."""
        job = _started(ask, _pipeline("a"))["a"]
        ask.tell(_update(job, 2, SUCCESS, seconds=9, logs="last\n", exit_code=0))
        assert ask.tell(_update(job, 1, RUNNING, logs="first\n")).status is SUCCESS
        record = ask.record(job)
        assert (record.status, record.start_time, record.logs) == (SUCCESS, _MOMENT, "first\nlast\n")

    def test_the_first_end_stands(self, ask: Caller) -> None:
        """Another end is a conflict, and its Worker is told that it is superseded."""
        job = _started(ask, _pipeline("a"))["a"]
        ask.tell(_update(job, 1, SUCCESS, exit_code=0))
        answer = ask.tell(_update(job, 2, FAILED, exit_code=1))
        assert (answer.status, answer.is_superseded) == (SUCCESS, True)
        assert ask.record(job).exit_code == 0

    def test_output_is_joined_by_sequence(self, ask: Caller) -> None:
        """The output ends at the first missing chunk, which may come later."""
        job = _started(ask, _pipeline("a"))["a"]
        for sequence, text in ((1, "1\n"), (4, "4\n"), (2, "2\n")):
            ask.tell(_update(job, sequence, RUNNING, logs=text))
        assert ask.record(job).logs == "1\n2\n"
        ask.tell(_update(job, 3, RUNNING, logs="3\n"))
        assert ask.record(job).logs == "1\n2\n3\n4\n"
        assert ask.record(job, after=2).logs == "3\n4\n"

    def test_a_failure_halts_the_run(self, ask: Caller) -> None:
        """Jobs that were not handed out are canceled and never run; the others go on to their end."""
        pipeline = _pipeline(["a", "b"], ["c"])
        run = ask.start(_request(pipeline))
        jobs = ask.jobs(pipeline, 1)
        ask.tell(_update(jobs["a"], 1, FAILED, exit_code=1))
        record = ask.record(jobs["c"])
        assert (record.status, record.reason, record.queued_at) == (CANCELED, EndReason.SKIPPED, None)
        assert ask.run(run.execution_id).status is RUNNING
        ask.tell(_update(jobs["b"], 1, SUCCESS))
        assert ask.run(run.execution_id).status is FAILED

    def test_a_failure_that_is_allowed_halts_nothing(self, ask: Caller) -> None:
        """The job fails, and its stage and its run succeed."""
        pipeline = _pipeline(["a"], ["b"])
        (stage, last) = pipeline.stages
        pipeline = evolve(pipeline, stages=(evolve(stage, jobs=(evolve(stage.jobs[0], allow_failure=True),)), last))
        run = ask.start(_request(pipeline))
        jobs = ask.jobs(pipeline, 1)
        assert ask.tell(_update(jobs["a"], 1, FAILED, exit_code=1)).status is FAILED
        assert ask.record(jobs["b"]).queued_at is not None
        ask.tell(_update(jobs["b"], 1, SUCCESS))
        assert ask.run(run.execution_id).status is SUCCESS

    # --- canceling ------------------------------------------------------------------------------------------------

    def test_canceling_skips_what_waits_and_asks_workers_to_stop(self, ask: Caller) -> None:
        """The answers to the Worker's updates and status requests say so, and the Worker reports the end."""
        pipeline = _pipeline(["a"], ["b"])
        run = ask.start(_request(pipeline))
        jobs = ask.jobs(pipeline, 1)
        assert not ask.tell(_update(jobs["a"], 1, RUNNING)).is_cancel_requested
        assert ask.cancel(run.execution_id).status is RUNNING
        assert ask.job(jobs["b"]).status is CANCELED
        assert ask.job(jobs["a"]).is_cancel_requested
        assert ask.tell(_update(jobs["a"], 2, RUNNING)).is_cancel_requested
        ask.tell(_update(jobs["a"], 3, CANCELED, reason=EndReason.STOPPED))
        assert ask.run(run.execution_id).status is CANCELED

    def test_canceling_again_changes_nothing(self, ask: Caller) -> None:
        """A second cancellation, and one of a run that has ended, change nothing."""
        pipeline = _pipeline("a")
        run = ask.start(_request(pipeline))
        job = ask.jobs(pipeline, 1)["a"]
        ask.tell(_update(job, 1, RUNNING))
        assert ask.cancel(run.execution_id) == ask.cancel(run.execution_id)
        ask.tell(_update(job, 2, SUCCESS))
        assert ask.cancel(run.execution_id).status is SUCCESS

    # --- leases ---------------------------------------------------------------------------------------------------

    def test_the_first_worker_owns_the_attempt(self, ask: Caller) -> None:
        """Every other Worker is told that it is superseded, and none of its updates is stored."""
        job = _started(ask, _pipeline("a"))["a"]
        assert not ask.tell(_update(job, 1, RUNNING, logs="one\n", worker="one")).is_superseded
        assert ask.tell(_update(job, 1, RUNNING, logs="two\n", worker="two")).is_superseded
        assert ask.tell(_update(job, 2, SUCCESS, logs="two\n", worker="two")).is_superseded
        record = ask.record(job)
        assert (record.status, record.worker, record.logs) == (RUNNING, "one", "one\n")

    def test_a_released_job_goes_to_the_next_attempt(self, ask: Caller) -> None:
        """The next attempt continues after the stored output, and updates of the earlier one are not stored."""
        job = _started(ask, _pipeline("a"))["a"]
        ask.tell(_update(job, 1, RUNNING, logs="one\n", worker="one"))
        ask.tell(_update(job, 2, RUNNING, worker="one", is_released=True))
        assert ask.tell(_update(job, 3, RUNNING, logs="late\n", worker="one")).is_superseded
        answer = ask.tell(_update(job, 3, RUNNING, logs="two\n", worker="two", attempt=2))
        assert not answer.is_superseded
        record = ask.record(job)
        assert (record.attempt, record.worker, record.logs) == (2, "two", "one\ntwo\n")

    def test_a_lost_job_goes_to_the_next_attempt(self, short_leases: httpx.Client) -> None:
        """A Worker that was silent for a lease loses its job to the next one."""
        ask = Caller(short_leases, self.paths)
        job = _started(ask, _pipeline("a"))["a"]
        ask.tell(_update(job, 1, RUNNING, worker="one"))
        deadline = time.monotonic() + self.patience
        while ask.tell(_update(job, 2, RUNNING, worker="two", attempt=2)).is_superseded:
            assert time.monotonic() < deadline, "the job was not handed out again"
            time.sleep(0.05)
        assert ask.tell(_update(job, 2, SUCCESS, worker="one")).is_superseded
        assert ask.record(job).status is RUNNING

    def test_a_worker_that_is_heard_of_keeps_its_job(self, short_leases: httpx.Client) -> None:
        """Repeated updates keep a job for longer than a lease."""
        ask = Caller(short_leases, self.paths)
        job = _started(ask, _pipeline("a"))["a"]
        update = _update(job, 1, RUNNING, worker="one")
        for _ in range(15):  # For two and a half leases.
            assert not ask.tell(update).is_superseded, "the job was taken from a Worker that was heard of"
            time.sleep(self.lease_seconds / 6)
        assert ask.record(job).attempt == 1

    # --- artifacts and logs ---------------------------------------------------------------------------------------

    def test_artifacts_are_kept(self, ask: Caller) -> None:
        """The last file of a path replaces the earlier one."""
        job = _started(ask, _pipeline("a"))["a"]
        old, new, other = _artifact("b", 1), _artifact("b", 2), _artifact("a", 3)
        for files in ((old, other), (new,)):
            upload = ArtifactUploadRequest(job_execution_id=job, artifacts=files)
            ask.post(self.paths.upload, JobExecutionResponse, upload)
        answer = ask.get(self.paths.artifacts, ArtifactsResponse, job_execution_id=job)
        assert answer.job_execution_id == job
        assert sorted(answer.artifacts, key=lambda artifact: artifact.path) == [other, new]

    def test_contents_of_artifacts_are_kept(self, ask: Caller) -> None:
        """Content is stored under its SHA-256, also if it comes twice; other content is refused."""
        content = uuid4().bytes * 1_000
        path = self.paths.content.format(sha256=sha256(content).hexdigest())
        _is_problem(ask.client.get(path), 404)
        _is_problem(ask.client.put(path, content=b"other"), 422)
        assert [ask.client.put(path, content=content).status_code for _ in range(2)] == [204, 204]
        assert ask.client.get(path).content == content

    def test_logs_of_executions_are_kept_once(self, ask: Caller) -> None:
        """Logs are in the order of time and sequence, also if they come repeatedly and in another order."""
        run = ask.start(_request(_pipeline("a")))
        logs = [
            ExecutionLog(
                pipeline_execution_id=run.execution_id,
                sequence=sequence,
                timestamp=_MOMENT + timedelta(seconds=second),
                log_text=f"{second} {sequence}",
            )
            for second, sequence in ((1, 1), (1, 2), (2, 1))
        ]
        for upload in ([logs[2]], [logs[1], logs[0]], logs):
            response = ask.send(self.paths.add_logs, ExecutionLogUpload(logs=tuple(upload)))
            assert response.status_code == 204
        answer = ask.get(self.paths.execution_logs, ExecutionLogResponse, execution_id=run.execution_id)
        assert answer.logs == tuple(logs)

    # --- errors ---------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("name", ["execute", "update", "upload", "add_logs"])
    def test_what_is_not_json_is_answered_400(self, ask: Caller, name: str) -> None:
        """The answer to a body that is no JSON is a problem document with the status 400."""
        _is_problem(ask.send(getattr(self.paths, name), b'{"a":'), 400)

    def test_a_bad_message_is_answered_422_with_all_its_problems(self, ask: Caller) -> None:
        """Each problem of the message has a pointer to its place."""
        problem = _is_problem(ask.send(self.paths.update, b'{"sequence":0,"status":"DONE"}'), 422)
        pointers = {error["pointer"] for error in problem["errors"]}
        assert pointers == {"#/job_execution_id", "#/sequence", "#/status", "#/occurred_at", "#/worker"}

    def test_what_is_unknown_is_answered_404(self, ask: Caller) -> None:
        """An unknown execution, job, pipeline, or name in a report is answered 404."""
        unknown = _request(_pipeline("a"))
        unknown = evolve(unknown, pipeline=None, pipeline_id=uuid4())
        _is_problem(ask.send(self.paths.execute, unknown), 404)
        _is_problem(ask.send(self.paths.cancel, execution_id=_NOBODY), 404)
        _is_problem(ask.send(self.paths.update, _update(_NOBODY, 1, RUNNING)), 404)
        for path, parts in (
            (self.paths.pipeline_status, {"execution_id": _NOBODY}),
            (self.paths.job_status, {"job_execution_id": _NOBODY}),
            (self.paths.artifacts, {"job_execution_id": _NOBODY}),
            (self.paths.logs, {"job_execution_id": _NOBODY}),
            (self.paths.execution_logs, {"execution_id": _NOBODY}),
            (self.paths.report, {"pipeline_name": str(uuid4())}),
        ):
            _is_problem(ask.client.get(path.format(**parts)), 404)

    def test_another_repository_than_the_pipelines_is_refused(self, ask: Caller) -> None:
        """The code of another repository would run with the pipeline's secrets."""
        request = evolve(_request(_pipeline("a")), repo="https://example.org/other.git")
        _is_problem(ask.send(self.paths.execute, request), 409)

    def test_a_refusal_repeats_no_secret(self, ask: Caller) -> None:
        """A refused message may hold a secret in any place, so the answer repeats none of its texts."""
        for body in (
            f'{{"sequence":"{_SECRET}","{_SECRET}":1,"status":"{_SECRET}"}}',
            f'["{_SECRET}"]',
            f'"{_SECRET}',
        ):
            response = ask.send(self.paths.update, body.encode())
            assert response.status_code in (400, 422)
            for text in (response.text, str(response.headers)):
                assert _SECRET not in text

    @_FEW
    @given(data=st.data())
    def test_no_document_is_answered_500(self, ask: Caller, data: st.DataObject) -> None:
        """Every document is applied, or refused with its problems."""
        document = data.draw(documents(JobStatusUpdate))
        response = ask.send(self.paths.update, document.data)
        # The job of a valid update does not exist.
        expected = (404,) if document.value is not None else (400, 422)
        assert response.status_code in expected, response.text[:500]
        _is_problem(response, response.status_code)

    # --- random systems -------------------------------------------------------------------------------------------

    def test_any_system_ends_as_the_model_does(self, ask: Caller) -> None:
        """All answers equal those of the models, with cancellations and repeated, delayed and reordered updates."""
        run_state_machine_as_test(
            machine_of(ask),
            settings=settings(
                max_examples=self.examples,
                stateful_step_count=20,
                deadline=None,
                suppress_health_check=_UNCHECKED,
                print_blob=False,
            ),
        )


def _pipeline(*stages: str | list[Any]) -> Pipeline:
    """Make a pipeline of a new name from stages of jobs: each job is a name, or a name with its dependencies."""
    return Pipeline(
        name=f"conformance-{uuid4()}",
        repo_url="https://example.org/repo.git",
        stages=tuple(
            Stage(name=f"stage {at}", jobs=tuple(map(_job, [stage] if isinstance(stage, str) else stage)))
            for at, stage in enumerate(stages)
        ),
    )


def _job(each: str | tuple[str, ...]) -> Job:
    name, *dependencies = (each,) if isinstance(each, str) else each
    return Job(name=name, script=("true",), dependencies=tuple(dependencies))


def _request(pipeline: Pipeline) -> PipelineExecutionRequest:
    return PipelineExecutionRequest(request_id=uuid4(), repo=pipeline.repo_url, pipeline=pipeline)


def _named(request: PipelineExecutionRequest) -> str:
    assert request.pipeline is not None
    return request.pipeline.name


def _started(ask: Caller, pipeline: Pipeline) -> dict[str, Any]:
    """Start a run, and return its job executions by the names of their jobs."""
    return ask.jobs(pipeline, ask.start(_request(pipeline)).run_number)


def _update(job: UUID, sequence: int, status: ExecutionStatus, *, seconds: int = 0, **more: Any) -> JobStatusUpdate:
    return JobStatusUpdate(
        job_execution_id=job,
        sequence=sequence,
        status=status,
        occurred_at=_MOMENT + timedelta(seconds=seconds),
        **{"worker": "one", **more},
    )


def _artifact(path: str, size: int) -> Artifact:
    return Artifact(path=path, size=size, sha256=f"{size:064x}")


def _is_problem(response: httpx.Response, status: int) -> Any:
    """Check that a response is a problem document (RFC 9457) of a status, and return it."""
    assert response.status_code == status, f"expected {status}, found {response.status_code}: {response.text[:500]}"
    assert response.headers["Content-Type"].partition(";")[0] == "application/problem+json"
    problem = converter.loads(response.content, dict[str, Any])
    assert problem["status"] == status
    return problem
