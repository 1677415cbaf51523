"""The requirements of the contract on a Worker, as tests with a Backend that the kit provides."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from attrs import define, evolve, field

from ...api.request import Artifact, ArtifactUploadRequest, JobExecutionRequest, JobStatusUpdate
from ...api.response import JobExecutionResponse
from ...converter import converter
from ...enums import EndReason, ExecutionStatus
from ...model import Job, JobExecution, Pipeline, Stage
from ...values import Environment
from ..backend_api import Answer, BackendApi, serve
from ..fake_backend import FakeBackend

__all__ = ["Played", "WorkerConformance"]

RUNNING, SUCCESS, FAILED, CANCELED = list(ExecutionStatus)[1:]

Fault = Callable[["Played", JobStatusUpdate], "Answer | None"]
RunJob = Callable[[JobExecutionRequest, str], None]


@define
class Played:
    """The kit's Backend, and everything that one Worker sent to it.

    Attributes:
        api: The Backend.
        request: The request that the Worker got.
        told: The updates in the order in which they came, with repeats.
        times: When each update came, in seconds of a monotonic clock.
        uploads: The lists of artifacts that were uploaded, each with the number of updates before it.
    """

    api: BackendApi
    request: JobExecutionRequest
    told: list[JobStatusUpdate] = field(factory=list)
    times: list[float] = field(factory=list)
    uploads: list[tuple[int, ArtifactUploadRequest]] = field(factory=list)

    @property
    def news(self) -> list[JobStatusUpdate]:
        """The updates, each sequence once."""
        return list({update.sequence: update for update in self.told}.values())

    @property
    def output(self) -> str:
        """The output of all updates, in the order of the sequences."""
        return "".join(update.logs for update in sorted(self.news, key=lambda update: update.sequence))

    @property
    def job(self) -> JobExecution:
        """The job at the Backend."""
        return self.api.backend.execution(self.request.pipeline_execution_id).job(self.request.job_execution_id)

    @property
    def history(self) -> str:
        """The updates in the order in which they came, a line for each."""
        first = self.times[0] if self.times else 0
        return "".join(
            f"{at - first:7.2f} s: {update.status} {update.sequence} of attempt {update.attempt} by {update.worker}, "
            f"reason {update.reason}, exit code {update.exit_code}, output {update.logs[-60:]!r}\n"
            for at, update in zip(self.times, self.told, strict=False)
        )

    def cancel(self) -> None:
        """Cancel the run."""
        self.api.backend.cancel(self.request.pipeline_execution_id)


class WorkerConformance:
    """Tests of a Worker. A derived class defines the fixture ``run_job``.

    The jobs are of the kind ``script``, in the language of a POSIX shell. Their repository is a local git repository,
    which the kit makes with the command ``git``.

    Example:
        .. code-block:: python

            class TestMyWorker(WorkerConformance):
                @pytest.fixture
                def run_job(self):
                    def run_job(request, url):
                        MyWorker(backend=url).run(request)

                    return run_job

    Attributes:
        lease_seconds: The lease of jobs in tests that last longer than a lease; 3 by default.
        patience: For how many seconds a test waits for a job to be stopped.
    """

    lease_seconds: ClassVar[int] = 3
    patience: ClassVar[float] = 30.0

    @pytest.fixture
    def run_job(self) -> RunJob:
        """A function that lets the Worker run one request for the Backend at a base URL, until the job has ended."""
        raise NotImplementedError("give a fixture `run_job` that returns a callable")

    @pytest.fixture
    def repository(self, tmp_path: Path) -> Path:
        """A git repository with one file, ``greeting.txt``, on the branch ``main``."""
        path = tmp_path / "repository"
        path.mkdir()
        (path / "greeting.txt").write_text("hello from the repository\n")
        for arguments in (["init", "--quiet", "--initial-branch=main"], ["add", "."], [*_AUTHOR, "commit", "-qm", "x"]):
            subprocess.run(["git", *arguments], cwd=path, check=True, capture_output=True)
        return path

    @pytest.fixture
    def side(self, tmp_path: Path) -> Path:
        """A directory in which jobs create files for the test."""
        path = tmp_path / "side"
        path.mkdir()
        return path

    @pytest.fixture
    def play(self, run_job: RunJob, repository: Path) -> Callable[..., Played]:
        """A function that lets the Worker run a job of some commands, and calls a fault for every update."""

        def play(*commands: str, fault: Fault | None = None, lease_seconds: int = 60, **fields: Any) -> Played:
            with _played(repository, commands, fault, lease_seconds, fields) as (played, url):
                try:
                    run_job(played.request, url)
                finally:
                    sys.stdout.write(played.history)  # Pytest shows it if the test fails.
            return played

        return play

    # --- the history ----------------------------------------------------------------------------------------------

    def test_tells_a_true_history(self, play: Callable[..., Played]) -> None:
        """Updates have one Worker, the request's attempt, sequences rising by one, RUNNING, and then one end."""
        played = play("echo one", "echo two")
        told = played.news
        assert [update.sequence for update in told] == list(range(1, len(told) + 1))
        assert {(update.attempt, update.worker) for update in told} == {(1, told[0].worker)}
        assert {update.job_execution_id for update in told} == {played.request.job_execution_id}
        assert [update.status for update in told] == [RUNNING] * (len(told) - 1) + [SUCCESS]

    def test_claims_a_job_before_it_runs_it(self, play: Callable[..., Played], side: Path) -> None:
        """The first update is a claim, and the job does not start before the claim is answered."""
        ran = []

        def look(_: Played, __: JobStatusUpdate) -> None:
            ran.append((side / "ran").exists())

        played = play(f"touch '{side}/ran'", fault=look)
        assert (played.told[0].status, played.told[0].sequence, ran[0]) == (RUNNING, 1, False)
        assert (side / "ran").exists()

    def test_leaves_a_job_of_another_alone(self, play: Callable[..., Played], side: Path) -> None:
        """A Worker whose claim is answered `is_superseded` sends no more, and does not run the job."""
        played = play(f"touch '{side}/ran'", fault=_supersede)
        assert len(played.told) == 1
        assert not (side / "ran").exists()

    def test_goes_on_behind_what_is_stored(self, play: Callable[..., Played]) -> None:
        """A later attempt begins with the sequence after the request's `last_sequence`."""

        def hand_out_again(played: Played) -> None:
            for sequence, is_released in ((1, False), (2, True)):
                applied = played.api.backend.apply(_claim(played.request, sequence, is_released=is_released))
            (played.request,) = applied.jobs

        played = play("echo again", before=hand_out_again)
        assert [update.sequence for update in played.news] == list(range(3, 3 + len(played.news)))
        assert {update.attempt for update in played.news} == {2}
        assert played.job.status is SUCCESS

    # --- the end --------------------------------------------------------------------------------------------------

    def test_success_is_told_with_its_exit_code(self, play: Callable[..., Played]) -> None:
        """A job without a failure ends as `SUCCESS`, `EXITED`, 0."""
        assert _end(play("true")) == (SUCCESS, EndReason.EXITED, 0)

    def test_a_failure_is_told_with_its_exit_code(self, play: Callable[..., Played], side: Path) -> None:
        """The first command that fails ends the job."""
        assert _end(play("exit 3", f"touch '{side}/ran'")) == (FAILED, EndReason.EXITED, 3)
        assert not (side / "ran").exists()

    def test_a_job_that_exceeds_its_time_limit_is_stopped(self, play: Callable[..., Played], side: Path) -> None:
        """The job ends as `FAILED`, `TIMED_OUT`, soon after its limit, and its output is told."""
        played = self._soon(lambda: play("echo begin", f"touch '{side}/began'", "sleep 600", timeout_seconds=1))
        assert _end(played)[:2] == (FAILED, EndReason.TIMED_OUT)
        # On a slow machine the limit may end before the first command does.
        assert "begin\n" in played.output or not (side / "began").exists()

    def test_a_job_of_an_unknown_kind_is_not_run(self, play: Callable[..., Played]) -> None:
        """A job of an unknown kind ends as `FAILED`, `NOT_RUNNABLE`."""
        assert _end(play(kind="nobody.knows"))[:2] == (FAILED, EndReason.NOT_RUNNABLE)

    def test_a_job_is_tried_again_as_often_as_it_may(self, play: Callable[..., Played], side: Path) -> None:
        """Retries of the job are within one attempt, and only one end is told."""
        played = play(f"echo >> '{side}/tries'", f"test $(wc -l < '{side}/tries') -ge 3", retries=2)
        assert _end(played)[:2] == (SUCCESS, EndReason.EXITED)
        assert (side / "tries").read_text().count("\n") == 3
        assert [update.status.is_terminal for update in played.news].count(True) == 1

    def test_a_job_that_was_canceled_is_stopped(self, play: Callable[..., Played]) -> None:
        """The job ends as `CANCELED`, `STOPPED`, soon after the cancellation."""

        def cancel(played: Played, _: JobStatusUpdate) -> None:
            played.cancel()

        played = self._soon(lambda: play("echo begin", "sleep 600", fault=cancel))
        assert _end(played)[:2] == (CANCELED, EndReason.STOPPED)

    # --- output ---------------------------------------------------------------------------------------------------

    def test_the_output_is_whole(self, play: Callable[..., Played]) -> None:
        """The Worker tells every line of 20,000, once and in order."""
        lines = "".join(f"{number}\n" for number in range(1, 20_001))
        assert lines in play("seq 1 20000").output

    def test_output_at_the_very_end_is_told(self, play: Callable[..., Played]) -> None:
        """Output of both channels is told, also without a line end."""
        output = play("echo error >&2", "printf 'the last words'").output
        assert "error\n" in output
        assert "the last words" in output

    def test_output_is_told_while_the_job_runs(self, play: Callable[..., Played], side: Path) -> None:
        """The output of a job that waits is told before the job ends."""

        def let_go(played: Played, update: JobStatusUpdate) -> None:
            if "before" in played.output + update.logs:
                (side / "go").touch()

        played = self._soon(
            lambda: play("echo before", f"while [ ! -e '{side}/go' ]; do sleep 0.05; done", fault=let_go)
        )
        assert played.job.status is SUCCESS

    # --- faults ---------------------------------------------------------------------------------------------------

    def test_repeats_what_was_not_answered(self, play: Callable[..., Played]) -> None:
        """An unanswered update is repeated unchanged until it is answered, whether the Backend stored it or not."""
        answers: dict[int, int] = {}

        def lose(played: Played, update: JobStatusUpdate) -> Answer | None:
            answers[update.sequence] = answers.get(update.sequence, 0) + 1
            if answers[update.sequence] == 1:
                return _unavailable()  # The update is not stored.
            if answers[update.sequence] == 2:
                played.api.backend.apply(update)
                return _LOST
            return None

        # A Worker may also print the commands, which differ from their output.
        played = play("echo $((20 + 1))", "echo $((20 + 2))", fault=lose)
        assert played.job.status is SUCCESS
        assert set(answers.values()) == {3}
        by_sequence = {(update.sequence, update.logs, update.status) for update in played.told}
        assert len(by_sequence) == len(played.news), "a repeat differs from what it repeats"
        assert played.output.count("21\n") == played.output.count("22\n") == 1

    def test_stops_when_it_is_superseded(self, play: Callable[..., Played], side: Path) -> None:
        """After an answer `is_superseded` the job is stopped, and nothing more is told."""

        def supersede_later(played: Played, update: JobStatusUpdate) -> Answer | None:
            return _supersede(played, update) if played.told else None

        loop = f"while echo x; do echo >> '{side}/beats'; sleep 0.1; done"
        played = self._soon(lambda: play(loop, fault=supersede_later))
        assert len(played.told) == 2
        beats = (side / "beats").read_text() if (side / "beats").exists() else ""
        time.sleep(0.5)
        assert ((side / "beats").read_text() if (side / "beats").exists() else "") == beats, "the job still runs"

    def test_is_heard_of_while_its_job_is_silent(self, play: Callable[..., Played]) -> None:
        """The time between two updates is shorter than a lease, also without output."""
        lease = self.lease_seconds
        played = play(f"sleep {2 * lease}", "echo end", lease_seconds=lease)
        assert played.job.status is SUCCESS
        gaps = [later - sooner for sooner, later in zip(played.times, played.times[1:], strict=False)]
        assert max(gaps) < lease, f"nothing was heard for {max(gaps):.1f} s, of a lease of {lease} s"
        assert played.job.attempt == 1

    # --- files and environment of a job ---------------------------------------------------------------------------

    def test_a_job_runs_in_a_copy_of_its_repository(self, play: Callable[..., Played], repository: Path) -> None:
        """The job finds the files of the branch, and its changes do not reach the repository."""
        played = play("cat greeting.txt", "echo changed > greeting.txt")
        assert "hello from the repository\n" in played.output
        assert (repository / "greeting.txt").read_text() == "hello from the repository\n"

    def test_a_job_has_its_environment(self, play: Callable[..., Played]) -> None:
        """The job has the environment variables of its request."""
        assert "<good day>" in play('echo "<$GREETING>"', environment=Environment({"GREETING": "good day"})).output

    def test_artifacts_are_told_before_the_end(self, play: Callable[..., Played]) -> None:
        """Files that match the patterns are told with size and SHA-256, after their contents were uploaded."""
        played = play("mkdir dist", "printf 'a wheel' > dist/a.whl", "touch other", artifacts=("dist/*.whl",))
        ((before, upload),) = played.uploads
        assert before < len(played.told), "the end was told before the artifacts"
        (artifact,) = upload.artifacts
        assert (artifact.path, artifact.size) == ("dist/a.whl", 7)
        assert artifact.sha256 == sha256(b"a wheel").hexdigest()
        content = played.api.answer("GET", played.api.paths.content.format(sha256=artifact.sha256), "", b"")
        assert (content.status, content.body) == (200, b"a wheel"), "the content was not uploaded"

    def test_a_job_gets_the_artifacts_of_its_dependencies(self, play: Callable[..., Played]) -> None:
        """The artifacts of the jobs in `inputs` are in the working copy, at their paths."""
        content = b"made before\n"
        artifact = Artifact(path="dist/a.whl", size=len(content), sha256=sha256(content).hexdigest())

        def end_the_first(played: Played) -> None:
            api, first = played.api, played.request.job_execution_id
            api.answer("PUT", api.paths.content.format(sha256=artifact.sha256), "", content)
            api.backend.add_artifacts(ArtifactUploadRequest(job_execution_id=first, artifacts=(artifact,)))
            end = JobStatusUpdate(
                job_execution_id=first,
                sequence=1,
                status=SUCCESS,
                occurred_at=datetime.now(UTC),
                worker="the Worker before",
            )
            (played.request,) = api.backend.apply(end).jobs

        played = play("cat dist/a.whl", before=end_the_first, is_second=True)
        assert played.job.status is SUCCESS
        assert "made before\n" in played.output

    def _soon(self, play: Callable[[], Played]) -> Played:
        start = time.monotonic()
        played = play()
        assert time.monotonic() - start < self.patience, "the job was not stopped in time"
        return played


_AUTHOR = ["-c", "user.name=conformance", "-c", "user.email=conformance@example.org"]
_LOST = Answer(0)
"""Stands for an answer: the connection is closed without one."""


@contextmanager
def _played(
    repository: Path, commands: tuple[str, ...], fault: Fault | None, lease_seconds: int, fields: dict[str, Any]
) -> Iterator[tuple[Played, str]]:
    before, is_second = fields.pop("before", None), fields.pop("is_second", False)
    in_request = {name: fields.pop(name) for name in ("environment",) if name in fields}
    jobs: tuple[Job, ...] = (Job(name="job", script=commands, **fields),)
    if is_second:
        jobs = (Job(name="before", script=("true",)), evolve(jobs[0], dependencies=("before",)))
    pipeline = Pipeline(
        name=f"conformance-{uuid4()}",
        repo_url=str(repository),
        stages=(Stage(name="stage", jobs=jobs),),
    )
    api = BackendApi(FakeBackend(lease_seconds=lease_seconds))
    (request,) = api.backend.start(pipeline, **in_request).jobs
    played = Played(api, request)
    if before is not None:
        before(played)
    lock = Lock()

    def answer(method: str, path: str, query: str, body: bytes) -> Answer | None:
        with lock:
            if path == api.paths.update:
                update = converter.loads(body, JobStatusUpdate)
                # The fault sees the earlier updates. Its answer replaces that of the Backend.
                answered = fault(played, update) if fault is not None else None
                played.told.append(update)
                played.times.append(time.monotonic())
                if answered is not None:
                    return None if answered is _LOST else answered
            if path == api.paths.upload:
                played.uploads.append((len(played.told), converter.loads(body, ArtifactUploadRequest)))
        return api.answer(method, path, query, body)

    with serve(answer) as url:
        yield played, url


def _claim(request: JobExecutionRequest, sequence: int, *, is_released: bool) -> JobStatusUpdate:
    return JobStatusUpdate(
        job_execution_id=request.job_execution_id,
        sequence=sequence,
        status=RUNNING,
        occurred_at=datetime.now(UTC),
        worker="the Worker before",
        is_released=is_released,
    )


def _supersede(_: Played, update: JobStatusUpdate) -> Answer:
    response = JobExecutionResponse(job_execution_id=update.job_execution_id, status=RUNNING, is_superseded=True)
    return Answer(200, converter.dumps(response))


def _unavailable() -> Answer:
    return Answer(503, b'{"title":"Service Unavailable","status":503}', "application/problem+json")


def _end(played: Played) -> tuple[ExecutionStatus, EndReason | None, int | None]:
    """Return the status, the reason and the exit code of the job at the Backend."""
    return played.job.status, played.job.reason, played.job.exit_code
