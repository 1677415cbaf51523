"""A small Worker, Workers with one fault each, and the tests of the kit that find it."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from uuid import uuid4

import pytest
from attrs import evolve
from httpx import Client, HTTPError

from cicd_common import ExecutionStatus, converter
from cicd_common.api.request import Artifact, ArtifactUploadRequest, JobStatusUpdate
from cicd_common.api.response import ArtifactsResponse, JobExecutionResponse
from cicd_common.enums import EndReason
from cicd_common.testing.conformance import WorkerConformance

RUNNING, SUCCESS, FAILED, CANCELED = list(ExecutionStatus)[1:]
LATE = 4


class Superseded(Exception):
    """Raised when another Worker has the job."""


class SmallWorker:
    """A minimal Worker by the contract: it runs one job of the kind ``script`` and sends its updates."""

    pace = 0.1

    def __init__(self, request, url):
        self.request = request
        self.http = Client(base_url=url, timeout=60)
        self.worker = f"small-{uuid4()}"
        self.sequence = request.last_sequence
        self.last = None
        self.heard_at = time.monotonic()
        self.is_canceled = False

    def run(self):
        try:
            self.claim()
            status, reason, exit_code, logs = self.work()
            self.tell(status, logs, reason=reason, exit_code=exit_code)
        except Superseded:
            pass
        finally:
            self.http.close()

    # --- updates --------------------------------------------------------------------------------------------------

    def claim(self):
        self.tell(RUNNING)

    def tell(self, status, logs="", **more):
        self.sequence += 1
        self.last = JobStatusUpdate(
            job_execution_id=self.request.job_execution_id,
            sequence=self.sequence,
            status=status,
            occurred_at=datetime.now(UTC),
            logs=logs,
            attempt=self.request.attempt,
            worker=self.worker,
            **more,
        )
        self.send(self.last)

    def send(self, update):
        self.heed(self.post("/api/job/status", update))

    def post(self, path, message):
        for _ in range(200):
            try:
                response = self.http.post(path, content=converter.dumps(message))
            except HTTPError:
                response = None
            if response is not None and response.status_code == 200:
                return converter.loads(response.content, JobExecutionResponse)
            message = self.again(message)
            time.sleep(0.02)
        raise Superseded

    def again(self, message):
        return message

    def heed(self, answer):
        self.heard_at = time.monotonic()
        self.is_canceled |= answer.is_cancel_requested
        if answer.is_superseded:
            raise Superseded

    def beat(self):
        if time.monotonic() - self.heard_at > self.request.lease_seconds / 8:
            self.send(evolve(self.last, logs=""))

    # --- running --------------------------------------------------------------------------------------------------

    def work(self):
        if self.request.kind != "script":
            return FAILED, EndReason.NOT_RUNNABLE, None, f"no such kind: {self.request.kind}\n"
        for left in range(self.request.retries, -1, -1):
            with tempfile.TemporaryDirectory() as directory:
                end = self.attempt(Path(directory))
            if end[0] is not FAILED or end[1] is not EndReason.EXITED or not left:
                return end
            self.tell(RUNNING, end[3] + "once more\n")
        raise AssertionError

    def attempt(self, directory):
        subprocess.run(["git", "clone", "--quiet", self.request.repo, "."], cwd=directory, check=True)
        for job in self.request.inputs:
            answer = self.http.get(f"/api/job/artifacts/{job}")
            for artifact in converter.loads(answer.content, ArtifactsResponse).artifacts:
                target = directory / artifact.path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(self.http.get(f"/api/artifact/{artifact.sha256}").content)
        process = subprocess.Popen(
            ["sh", "-e", "-c", "\n".join(self.request.commands)],
            cwd=directory,
            env={"PATH": "/usr/bin:/bin", **self.request.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
        lines = Queue()
        reader = Thread(target=self.read, args=(process, lines))
        reader.start()
        try:
            why = self.watch(process, lines)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            reader.join()
            process.stdout.close()
        logs = self.rest(lines)
        if why is not None:
            return (CANCELED if why is EndReason.STOPPED else FAILED), why, None, logs
        self.upload(directory)
        return self.end(process.returncode, logs)

    def end(self, exit_code, logs):
        return (SUCCESS if exit_code == 0 else FAILED), EndReason.EXITED, exit_code, logs

    def read(self, process, lines):
        for line in process.stdout:
            lines.put(line.decode())

    def rest(self, lines):
        text = ""
        while True:
            try:
                text += lines.get_nowait()
            except Empty:
                return text

    def watch(self, process, lines):
        """Send output until the process ends or must be stopped."""
        limit = self.request.timeout_seconds
        deadline = None if limit is None else time.monotonic() + limit
        while process.poll() is None:
            if text := self.rest(lines):
                self.tell(RUNNING, text)
            self.beat()
            if self.is_to_stop():
                return EndReason.STOPPED
            if deadline is not None and time.monotonic() > deadline:
                return EndReason.TIMED_OUT
            time.sleep(self.pace)
        return None

    def is_to_stop(self):
        answer = self.http.get(f"/api/job/status/{self.request.job_execution_id}")
        self.is_canceled |= converter.loads(answer.content, JobExecutionResponse).is_cancel_requested
        return self.is_canceled

    def upload(self, directory):
        found = [path for pattern in self.request.artifacts for path in sorted(directory.glob(pattern))]
        if found:
            artifacts = tuple(
                Artifact(
                    path=path.relative_to(directory).as_posix(),
                    size=path.stat().st_size,
                    sha256=sha256(path.read_bytes()).hexdigest(),
                )
                for path in found
            )
            for path in found:
                content = path.read_bytes()
                self.http.put(f"/api/artifact/{sha256(content).hexdigest()}", content=content).raise_for_status()
            request = ArtifactUploadRequest(job_execution_id=self.request.job_execution_id, artifacts=artifacts)
            self.post("/api/job/artifact/upload", request)


class Kit(WorkerConformance):
    """The kit for a class of Workers.

    Attributes:
        make_worker: The class of the Worker.
        fails: The tests that find its fault.
    """

    make_worker = SmallWorker
    fails: frozenset[str] = frozenset()
    lease_seconds = 1

    @pytest.fixture(autouse=True)
    def _impatience(self, request):
        """Wait shortly in the tests that must fail, whose Workers stop no job before `LATE` seconds have passed."""
        if request.node.name in self.fails:
            self.patience = LATE - 2

    @pytest.fixture
    def run_job(self):
        """A function that runs the Worker in this process."""
        return lambda request, url: self.make_worker(request, url).run()


class LeavesHoles(SmallWorker):
    def tell(self, status, logs="", **more):
        self.sequence += self.sequence > 0
        super().tell(status, logs, **more)


class TestLeavesHoles(Kit):
    make_worker = LeavesHoles
    fails = frozenset({"test_tells_a_true_history", "test_goes_on_behind_what_is_stored"})


class WaitsForLineEnds(SmallWorker):
    def read(self, process, lines):
        for line in process.stdout:
            if line.endswith(b"\n"):
                lines.put(line.decode())


class TestWaitsForLineEnds(Kit):
    make_worker = WaitsForLineEnds
    fails = frozenset({"test_output_at_the_very_end_is_told"})


class RunsBeforeItClaims(SmallWorker):
    def run(self):
        request, self.request = self.request, evolve(self.request, artifacts=())
        tell, self.tell = self.tell, lambda *_, **__: None
        with tempfile.TemporaryDirectory() as directory:
            subprocess.run(["git", "clone", "--quiet", request.repo, "."], cwd=directory, check=True)
            for command in [command for command in request.commands[:1] if command.startswith("touch")]:
                subprocess.run(["sh", "-c", command], cwd=directory, check=True)
        self.request, self.tell = request, tell
        super().run()


class TestRunsBeforeItClaims(Kit):
    make_worker = RunsBeforeItClaims
    fails = frozenset({"test_claims_a_job_before_it_runs_it", "test_leaves_a_job_of_another_alone"})


class CallsFailureSuccess(SmallWorker):
    def end(self, exit_code, logs):
        return SUCCESS, EndReason.EXITED, exit_code, logs


class TestCallsFailureSuccess(Kit):
    make_worker = CallsFailureSuccess
    fails = frozenset({"test_a_failure_is_told_with_its_exit_code", "test_a_job_is_tried_again_as_often_as_it_may"})


class IsDeafToCancels(SmallWorker):
    canceled_at = None

    def is_to_stop(self):
        if super().is_to_stop() and self.canceled_at is None:
            self.canceled_at = time.monotonic()
        return self.canceled_at is not None and time.monotonic() - self.canceled_at > LATE


class TestIsDeafToCancels(Kit):
    make_worker = IsDeafToCancels
    fails = frozenset({"test_a_job_that_was_canceled_is_stopped"})


class KnowsNoTimeLimit(SmallWorker):
    def __init__(self, request, url):
        super().__init__(evolve(request, timeout_seconds=request.timeout_seconds and LATE), url)


class TestKnowsNoTimeLimit(Kit):
    make_worker = KnowsNoTimeLimit
    fails = frozenset({"test_a_job_that_exceeds_its_time_limit_is_stopped"})


class TellsOnWhenSuperseded(SmallWorker):
    def heed(self, answer):
        super().heed(evolve(answer, is_superseded=answer.is_superseded and self.sequence == 1))
        self.is_canceled |= answer.is_superseded and self.sequence > 4


class TestTellsOnWhenSuperseded(Kit):
    make_worker = TellsOnWhenSuperseded
    fails = frozenset({"test_stops_when_it_is_superseded"})


class IsSilent(SmallWorker):
    def beat(self):
        pass


class TestIsSilent(Kit):
    make_worker = IsSilent
    fails = frozenset({"test_is_heard_of_while_its_job_is_silent"})


class NumbersRepeatsAnew(SmallWorker):
    def again(self, message):
        if isinstance(message, JobStatusUpdate):
            self.sequence += 1
            return evolve(message, sequence=self.sequence)
        return message


class TestNumbersRepeatsAnew(Kit):
    make_worker = NumbersRepeatsAnew
    fails = frozenset({"test_repeats_what_was_not_answered"})


class EndsBeforeItUploads(SmallWorker):
    def upload(self, directory):
        self.directory = Path(tempfile.mkdtemp(dir=directory.parent))
        subprocess.run(["cp", "-r", f"{directory}/.", str(self.directory)], check=True)

    def run(self):
        super().run()
        if hasattr(self, "directory"):
            self.http = Client(base_url=self.http.base_url)
            super().upload(self.directory)
            subprocess.run(["rm", "-rf", str(self.directory)], check=True)


class TestEndsBeforeItUploads(Kit):
    make_worker = EndsBeforeItUploads
    fails = frozenset({"test_artifacts_are_told_before_the_end"})


class TestSmallWorker(Kit):
    """The Worker without a fault, which passes all tests of the kit."""
