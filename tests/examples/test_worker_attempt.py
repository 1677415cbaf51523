"""Attempts at jobs with a real Backend, also over networks that fail: each job has one end and one log."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
from collections import defaultdict
from datetime import UTC, datetime
from secrets import token_hex

import pytest
from attrs import evolve
from cicd_system.connection import NoAnswerError
from cicd_system.worker import artifacts, reporting
from cicd_system.worker.attempt import _TimeLimit
from cicd_system.worker.backend_client import BackendClient

from cicd_common import ExecutionStatus, converter
from cicd_common.api.request import JobExecutionRequest, JobStatusUpdate
from cicd_common.enums import EndReason
from cicd_common.logging.masking import process_masker
from cicd_common.values import Environment, JsonObject
from tests.support.examples.attempts import bench_in
from tests.support.examples.programs import is_alive
from tests.support.examples.proxy import Fault, passed
from tests.support.examples.waiting import DEADLINE, until

SUCCESS, FAILED, CANCELED = ExecutionStatus.SUCCESS, ExecutionStatus.FAILED, ExecutionStatus.CANCELED
RUNNING = ExecutionStatus.RUNNING

CLAIM = "[cicd] running on w1, attempt 1\n"


@pytest.fixture
def bench(tmp_path):
    with bench_in(tmp_path) as bench:
        yield bench
        assert list(bench.work.iterdir()) == []


@pytest.fixture
def secret():
    """A secret that is masked."""
    process_masker.add(secret := token_hex(12))
    return secret


@pytest.fixture
def no_docker(monkeypatch, tmp_path):
    """A machine without docker."""
    (tmp_path / "bin").mkdir()
    for program in ("cp", "git"):
        (tmp_path / "bin" / program).symlink_to(shutil.which(program))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


class Clock:
    """The clock of the time limit, which only the test advances."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("cicd_system.worker.attempt.monotonic", clock)
    return clock


@pytest.fixture
def immutable(tmp_path):
    """Removes a directory with immutable files; skips where there are none."""

    def remove(directory):
        for path in directory.iterdir():
            subprocess.run(["chattr", "-R", "-i", str(path)], check=True)
            shutil.rmtree(path)

    (tmp_path / "probe").touch()
    if not shutil.which("chattr") or subprocess.run(["chattr", "+i", tmp_path / "probe"], check=False).returncode:
        pytest.skip("needs the right to make files immutable")
    subprocess.run(["chattr", "-i", tmp_path / "probe"], check=True)
    return remove


class TestCourse:
    def test_success(self, bench, monkeypatch):
        """The log has the claim, then each command and its output. A job that says little costs two requests."""
        monkeypatch.setattr(reporting, "POLL_INTERVAL", 1000)
        monkeypatch.setattr("cicd_system.worker.output._LATEST", 1000)  # Else a slow job reports in parts, and beats.
        job = bench.job("mkdir sub; cd sub", "printf out; echo err >&2; pwd > f", "printf unterminated")
        job = evolve(job, lease_seconds=3000)
        bench.attempt(job)
        assert bench.end(job) == (SUCCESS, 0)
        shown = ["$ mkdir sub; cd sub", "$ printf out; echo err >&2; pwd > f", "outerr", "$ printf unterminated"]
        assert bench.log(job) == CLAIM + "\n".join([*shown, "unterminated"])
        assert [exchange.request.method for exchange in bench.proxy.exchanges] == ["POST", "POST"]

    def test_environment(self, bench):
        """A job has its variables, the secrets that it names, and those that describe its run; here in bash."""
        described = "CI CICD_PIPELINE CICD_STAGE CICD_JOB CICD_RUN_NUMBER CICD_BRANCH CICD_JOB_EXECUTION_ID"
        job = bench.job(
            'for name in $NAMES; do printf "%s/" "${!name}"; done',
            environment=Environment({"NAMES": f"{described} MINE KEY OTHER", "MINE": "yes"}),
            secrets=("KEY",),
            parameters=JsonObject({"shell": "bash"}),
        )
        bench.attempt(job, secrets={"KEY": "k", "OTHER": "o"})
        assert bench.log(job).endswith(f"\ntrue/run/one/job/1/main/{job.job_execution_id}/yes/k//")

    def test_a_kind_is_run_by_its_command(self, bench):
        """The command gets the request on its standard input, and the variables; its exit code is that of the job."""
        parameters = JsonObject({"url": "https://example.org"})
        job = bench.job(kind="acme.show", parameters=parameters, environment=Environment({"WORD": "hello"}))
        bench.attempt(job, kinds={"acme.show": "sh -c 'cat; echo; echo $WORD; exit 3'"})
        _, shown, word, *_ = bench.log(job).splitlines()
        assert converter.loads(shown.encode(), JobExecutionRequest).parameters == parameters
        assert (word, bench.end(job)) == ("hello", (FAILED, 3))

    def test_tries(self, bench):
        """The last try decides. Each one has a fresh working copy, and a next one begins when the last is removed.

        The end is reported before the working copy is removed, which may take long.
        """
        copies = []

        def look(request):
            if request.method == "POST":
                copies.append(len(list(bench.work.glob("*/copy"))))
            return passed(request)

        bench.proxy.plan = look
        job = bench.job(f"[ ! -e made ]; touch made; echo copies: {bench.work}/*/copy", "exit 3", retries=1)
        bench.attempt(job)
        claim, *_, end = copies
        assert (claim, end) == (0, 1)
        assert [len(line.split()) for line in re.findall(r"^copies: .*", bench.log(job), re.MULTILINE)] == [2, 2]
        assert re.findall(r"\[cicd\] try .*", bench.log(job)) == ["[cicd] try 2 of 2"]
        assert bench.end(job) == (FAILED, 3)

    def test_masks_lines_of_the_worker(self, bench, secret):
        """A secret may be in the name of the Worker, or in the URL in an error of git."""
        job = evolve(bench.job("true", retries=1), repo=f"http://127.0.0.1:1/{secret}.git")
        bench.attempt(job, name=secret)
        assert bench.end(job) == (FAILED, None)
        assert "/***.git" in bench.log(job)
        assert secret not in bench.log(job) + str(bench.store.job_execution(job.job_execution_id).worker)


class TestArtifacts:
    def test_secret_in_a_name(self, bench, secret):
        """The file is left out, and the log says so without the secret; so it is for patterns that match nothing."""
        job = bench.job(": > out-$KEY.txt; : > out.txt", artifacts=("*.txt", f"{secret}/*"), secrets=("KEY",))
        bench.attempt(job, secrets={"KEY": secret})
        assert bench.end(job) == (SUCCESS, 0)
        assert [artifact.path for artifact in bench.store.artifacts(job.job_execution_id)] == ["out.txt"]
        assert secret not in bench.log(job)
        assert bench.log(job).endswith(
            "\n[cicd] no file matches the artifact pattern '***/*'\n"
            "[cicd] artifact left out, its name holds a secret: 'out-***.txt'\n"
        )

    def test_many(self, bench, monkeypatch):
        """They are uploaded in several requests."""
        monkeypatch.setattr("cicd_system.worker.artifacts._FILES", 2)
        job = bench.job("touch 1 2 3 4 5", artifacts=("*",))
        bench.attempt(job)
        found = bench.store.artifacts(job.job_execution_id)
        assert sorted(artifact.path for artifact in found) == list("12345")

    def test_what_cannot_be_removed(self, bench, immutable, caplog):
        """Files that cannot be removed stay, and do not change how the job ends; all others are removed."""
        job = bench.job("mkdir -p a/b c; : > a/b/f; : > c/f; chattr +i a/b/f", "printf last", artifacts=("a/b/f",))
        bench.attempt(job)
        assert bench.end(job) == (SUCCESS, 0)
        assert bench.log(job).endswith("$ printf last\nlast")
        left = [path.name for path in bench.work.rglob("*")]
        assert left[1:] == ["copy", "a", "b", "f"]
        assert "a directory cannot be removed wholly" in caplog.text
        immutable(bench.work)


class TestCannotRun:
    @pytest.mark.parametrize(
        ("fields", "line"),
        [
            ({"working_dir": ".."}, "the working directory is not a directory of the repository"),
            ({"docker_image": "python:3.13"}, "the job asks for an image, and there is no docker on this machine"),
            ({"kind": "acme.show"}, "expected a job of a kind that this Worker runs: script, acme.cat"),
            (
                {"kind": "acme.cat", "docker_image": "alpine"},
                "expected no image: jobs of the kind acme.cat run on the Worker's machine",
            ),
            ({"secrets": ("KEY",)}, "this Worker does not hold the secrets KEY"),
            ({"parameters": JsonObject({"shell": "fish"})}, "/parameters/shell: expected "),
            ({"parameters": JsonObject({"other": 1})}, "/parameters/other: expected "),
        ],
    )
    @pytest.mark.usefixtures("no_docker")
    def test_says_why(self, bench, fields, line):
        """A job that cannot be run is not tried again."""
        job = bench.job("echo never", retries=1, **fields)
        bench.attempt(job, kinds={"acme.cat": "cat"})
        record = bench.store.job_execution(job.job_execution_id)
        assert (record.status, record.reason, record.exit_code) == (FAILED, EndReason.NOT_RUNNABLE, None)
        assert bench.log(job).startswith(f"{CLAIM}[cicd] {line}")
        assert bench.log(job).count("\n") == 2

    @pytest.mark.usefixtures("no_docker")
    def test_host_is_allowed(self, bench):
        """With `allow_host`, a job with an image runs without docker."""
        job = bench.job("echo here", docker_image="python:3.13")
        bench.attempt(job, allow_host=True)
        assert bench.end(job) == (SUCCESS, 0)

    def test_path_of_a_container(self, bench, monkeypatch, tmp_path):
        """The variable PATH of a job is for its container; docker is found by the PATH of the Worker."""
        docker = tmp_path / "bin" / "docker"
        docker.parent.mkdir()
        docker.write_text("#!/bin/sh\necho docker $1\n")
        docker.chmod(0o700)
        monkeypatch.setenv("PATH", f"{docker.parent}:{os.environ['PATH']}")
        job = bench.job("true", docker_image="image", environment=Environment({"PATH": "/nowhere"}))
        bench.attempt(job)
        assert bench.end(job) == (SUCCESS, 0)
        assert bench.log(job).endswith("\ndocker run\n")

    def test_worker_is_broken(self, bench, monkeypatch):
        """A job that was claimed has an end, whatever fails in the Worker."""
        monkeypatch.setattr("cicd_system.worker.script.script_of", lambda _: 1 / 0)
        job = bench.job("true")
        bench.attempt(job)
        assert bench.end(job) == (FAILED, None)
        assert bench.log(job).endswith("[cicd] the Worker cannot run it: ZeroDivisionError\n")


class TestStop:
    def test_canceled_while_it_runs(self, bench):
        """A job is stopped with all that it started, its output is reported to the end, and it is not tried again."""
        child = f"sleep 1000 & echo $! > {bench.side}/child"
        job = bench.job("trap 'echo bye; exit 5' TERM", child, bench.note("pid"), "wait", retries=5)
        attempt = bench.begin(job)
        pids = [bench.pid("pid"), bench.pid("child")]
        bench.cancel(job)
        attempt.result()
        assert bench.end(job) == (CANCELED, 5)
        assert "bye\n" in bench.log(job)
        assert bench.log(job).endswith("\n[cicd] canceled\n")
        until(lambda: not any(map(is_alive, pids)), "the end of its processes")

    def test_time_in_which_the_backend_is_waited_for(self, bench, clock, monkeypatch):
        """The time until the Backend has answered a request about artifacts does not count."""

        def takes_long(method):
            def request(*arguments, **options):
                clock.now += 1000
                return method(*arguments, **options)

            return request

        for name in ("artifacts", "fetch", "put", "upload"):
            monkeypatch.setattr(BackendClient, name, takes_long(getattr(BackendClient, name)))
        first = bench.job("echo text > file", artifacts=("file",))
        bench.attempt(first, job_timeout=10)
        assert bench.end(first) == (SUCCESS, 0)
        second = evolve(bench.job("cat file"), inputs=(first.job_execution_id,))
        bench.attempt(second, job_timeout=10)
        assert bench.end(second) == (SUCCESS, 0)
        assert clock.now == 4000

    def test_time_in_which_the_backend_takes_no_output(self, bench, clock, monkeypatch):
        """While a job waits for its output to be taken, no time counts; afterwards it does."""
        pauses = []

        class Limit(_TimeLimit):
            @contextlib.contextmanager
            def paused(self):
                with super().paused():
                    clock.now += 1000
                    pauses.append(self)
                    yield

        monkeypatch.setattr("cicd_system.worker.attempt._TimeLimit", Limit)
        job = bench.job(bench.gate("go"), "seq 1000000", bench.gate("end"))
        attempt = bench.begin(job, job_timeout=10)
        until(lambda: "$ until" in bench.log(job), "the first output")
        bench.proxy.cut()
        before = len(pauses)
        bench.let_go("go")
        until(lambda: len(pauses) > before, "the job to be held up")
        bench.proxy.mend()
        until(lambda: "\n1000000\n$ until" in bench.store.log_tail(job.job_execution_id), "all its output")
        assert bench.end(job) == (RUNNING, None)
        clock.now += 11
        attempt.result()
        assert bench.end(job) == (FAILED, 143)

    @pytest.mark.parametrize(
        ("reason", "script", "pattern", "end"),
        [
            ("canceled", "mkdir -p $(printf 'd/%.0s' $(seq 60))", "**/d/**/d/**/d/**/d/**/d/**/f", (CANCELED, 0)),
            ("time is up", "truncate -s 60G huge", "huge", (FAILED, 0)),
            ("Worker ends", "truncate -s 60G huge", "huge", (RUNNING, None)),
        ],
    )
    def test_while_artifacts_are_looked_for(self, bench, clock, monkeypatch, reason, script, pattern, end):
        """What comes after the script ends with the job, and keeps the script's exit code and its output."""
        noted = ("/bin/sh", "-c", f'{bench.note("over")}; exec "$@"', "sh", *artifacts._COLLECT)
        monkeypatch.setattr(artifacts, "_COLLECT", noted)
        job = bench.job(script, "printf last", artifacts=(pattern,))
        attempt = bench.begin(job, job_timeout=10)
        bench.pid("over")
        if reason == "canceled":
            bench.cancel(job)
        elif reason == "time is up":
            clock.now += 11
        else:
            bench.ending.set()
        assert attempt.exception(timeout=DEADLINE) is None
        assert "\n$ printf last\nlast\n[cicd] " in bench.log(job)
        assert bench.end(job) == end

    def test_while_git_waits(self, bench):
        """A job whose repository does not answer can be stopped, and its git ends, too."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"git://127.0.0.1:{silent.getsockname()[1]}/repository.git"
            job = evolve(bench.job(bench.note("ran")), repo=url)
            attempt = bench.begin(job)
            git, _ = silent.accept()
            bench.cancel(job)
            assert attempt.exception(timeout=DEADLINE) is None
            with git:
                git.settimeout(DEADLINE)
                while git.recv(1000):
                    pass
        assert bench.end(job) == (CANCELED, None)
        assert not (bench.side / "ran").exists()

    def test_a_worker_that_ends_without_a_backend_leaves_its_job(self, bench):
        """The job is taken over when its lease ends."""
        job = bench.job(bench.note("pid"), "sleep 1000")
        attempt = bench.begin(job)
        pid = bench.pid("pid")
        bench.proxy.cut()
        bench.ending.set()
        with pytest.raises(NoAnswerError):
            attempt.result()
        assert not is_alive(pid)
        assert bench.end(job) == (RUNNING, None)


class TestDelivered:
    def test_when_it_has_ended(self, bench, caplog):
        """A delivery of a job that has ended changes nothing, and is not logged as a claim."""
        caplog.set_level("INFO")
        job = bench.job(f"echo once >> {bench.side}/count")
        bench.attempt(job)
        before = bench.log(job)
        bench.attempt(job)
        assert (bench.end(job), bench.log(job)) == ((SUCCESS, 0), before)
        assert (bench.side / "count").read_text() == "once\n"
        assert caplog.text.count("the job was claimed") == 1

    def test_the_next_attempt_takes_over_in_silence(self, bench):
        """A job that prints nothing is stopped by the answer to a heartbeat."""
        job = evolve(bench.job(bench.note("pid"), "sleep 1000"), lease_seconds=1)
        first = bench.begin(job)
        pid = bench.pid("pid")
        (bench.side / "pid").unlink()
        second = bench.begin(bench.next_attempt(job))
        first.result(timeout=DEADLINE)
        assert not is_alive(pid)
        assert is_alive(bench.pid("pid"))
        bench.cancel(job)
        second.result()
        assert bench.end(job)[0] is CANCELED

    def test_ended_by_another_in_silence(self, bench):
        """A job that has ended is stopped by the answer to a request for its status."""
        job = evolve(bench.job(bench.note("pid"), "sleep 1000"), lease_seconds=1000)
        attempt = bench.begin(job)
        pid = bench.pid("pid")
        until(lambda: "$ sleep" in bench.log(job), "all its output")
        again = bench.next_attempt(job)
        now, sequence = datetime.now(UTC), again.last_sequence + 1
        end = {"job_execution_id": job.job_execution_id, "sequence": sequence, "attempt": again.attempt, "worker": "w2"}
        bench.store.apply(JobStatusUpdate(status=SUCCESS, occurred_at=now, **end))
        attempt.result(timeout=DEADLINE)
        assert not is_alive(pid)
        assert bench.end(job)[0] is SUCCESS

    def test_a_worker_that_ends_gives_its_job_back(self, bench):
        """The job has stopped before, also if this takes longer than the lease."""
        job, attempt = stubborn(bench)
        bench.ending.set()
        until((bench.side / "told").exists, "the job to be told", pause=0.01)
        heard_at = bench.store.job_execution(job.job_execution_id).heard_at
        until(lambda: bench.store.job_execution(job.job_execution_id).heard_at > heard_at, "a heartbeat")
        bench.let_go("go")
        attempt.result()
        record = bench.store.job_execution(job.job_execution_id)
        assert (record.status, record.attempt, record.worker) == (RUNNING, 2, None)
        assert bench.log(job).endswith("[cicd] given back: the Worker ends\n")

    def test_a_canceled_job_that_does_not_stop_loses_its_lease(self, bench):
        """Its run ends within two leases, whatever keeps the Worker from stopping it."""
        job, attempt = stubborn(bench)
        bench.cancel(job)
        until((bench.side / "told").exists, "the job to be told", pause=0.01)
        heard_at = bench.store.job_execution(job.job_execution_id).heard_at
        asked = len(bench.proxy.exchanges)
        until(lambda: len(bench.proxy.exchanges) > asked + 50, "the time of some heartbeats")
        assert bench.store.job_execution(job.job_execution_id).heard_at == heard_at
        bench.let_go("go")
        attempt.result()
        assert bench.store.job_execution(job.job_execution_id).reason is EndReason.STOPPED


def stubborn(bench):
    """A job that does not stop when it is told to, and the attempt at it, which has reported all its output."""
    script = [f"trap ': > {bench.side}/told' TERM; exec 2> /dev/null", f"{bench.gate('go')} || :"]
    job = evolve(bench.job(*script), lease_seconds=1)
    attempt = bench.begin(job, grace=1000)
    until(lambda: "$ until" in bench.log(job), "all its output")
    return job, attempt


class TestNetwork:
    def test_fails_at_each_request(self, bench):
        """The job runs once, and its log is whole, if each request fails in several ways, one after the other."""
        faults = [Fault.CUT, Fault.TRUNCATED, Fault.LOST, Fault.REPEATED]
        left = defaultdict(lambda: [*faults])

        def plan(request):
            to_meet = left[request.start, request.body]
            return to_meet.pop(0) if to_meet else Fault.NONE

        bench.proxy.plan = plan
        lines = "i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo line $i; sleep 0.01; done"
        job = bench.job(f"echo ran >> {bench.side}/count", lines, "seq 100000; : > file", artifacts=("file",))
        bench.attempt(job)
        assert bench.end(job) == (SUCCESS, 0)
        assert (bench.side / "count").read_text() == "ran\n"
        assert all(bench.proxy.faults[fault] >= 4 for fault in faults)
        found = [line for line in bench.log(job).splitlines() if re.fullmatch(r"(line )?\d+", line)]
        assert found == [*(f"line {number}" for number in range(1, 61)), *map(str, range(1, 100_001))]
        assert bench.log(job).count("attempt") == 1
        assert len(bench.store.artifacts(job.job_execution_id)) == 1

    def test_backend_refuses(self, bench, caplog):
        """A job that the Backend does not know is not run, and the Worker logs an error."""
        job = evolve(bench.job(bench.note("ran")), job_execution_id=bench.job("true").job_id)
        bench.attempt(job)
        assert not (bench.side / "ran").exists()
        assert [record.levelname for record in caplog.records if "refuses a report" in record.message] == ["ERROR"]
