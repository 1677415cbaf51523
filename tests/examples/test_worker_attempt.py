"""Attempts at jobs with a real Backend, also over networks that fail: each job has one end and one log."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
from datetime import UTC, datetime
from hashlib import sha256
from secrets import token_hex

import pytest
from attrs import evolve
from cicd_system.connection import DeniedError, NoAnswerError
from cicd_system.worker import reporting
from cicd_system.worker.attempt import Settings, _TimeLimit, run_job
from cicd_system.worker.backend_client import BackendClient

from cicd_common import ExecutionStatus, converter
from cicd_common.api.request import JobExecutionRequest, JobStatusUpdate
from cicd_common.enums import EndReason
from cicd_common.logging.masking import process_masker
from cicd_common.values import Environment, JsonObject
from tests.support.examples.attempts import bench_in
from tests.support.examples.programs import is_alive
from tests.support.examples.proxy import Fault, once, passed
from tests.support.examples.waiting import DEADLINE, until

SUCCESS, FAILED, CANCELED = ExecutionStatus.SUCCESS, ExecutionStatus.FAILED, ExecutionStatus.CANCELED
RUNNING, PENDING = ExecutionStatus.RUNNING, ExecutionStatus.PENDING

CLAIM = r"\[cicd\] running on w1, attempt 1\n"


@pytest.fixture
def bench(tmp_path):
    with bench_in(tmp_path) as bench:
        yield bench
        assert list(bench.work.iterdir()) == []


@pytest.fixture
def no_docker(monkeypatch, tmp_path):
    """A machine without docker."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "cp").symlink_to(shutil.which("cp"))
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


def matches(pattern, text):
    assert re.fullmatch(pattern, text), text
    return True


def ended(job, sequence, status):
    """An update by another Worker: the job has ended."""
    return JobStatusUpdate(
        job_execution_id=job.job_execution_id,
        sequence=sequence,
        status=status,
        occurred_at=datetime.now(UTC),
        logs="of the other\n",
        attempt=job.attempt,
        worker="another",
    )


class TestCourse:
    def test_success(self, bench):
        """The log has the claim, then each command and its output; artifacts are known."""
        job = bench.job(
            "mkdir sub; cd sub", "printf out; echo err >&2; pwd > f", "printf unterminated", artifacts=("**/f",)
        )
        bench.attempt(job)
        assert bench.end(job) == (SUCCESS, 0)
        shown = ["$ mkdir sub; cd sub", "$ printf out; echo err >&2; pwd > f", "outerr", "$ printf unterminated"]
        assert matches(CLAIM + re.escape("\n".join([*shown, "unterminated"])), bench.log(job))
        (artifact,) = bench.store.artifacts(job.job_execution_id)
        assert artifact.path == "sub/f"

    def test_few_requests(self, bench, monkeypatch):
        """A job that says little costs two requests: the claim, the end."""
        monkeypatch.setattr(reporting, "POLL_INTERVAL", 100)
        bench.attempt(bench.job("true"))
        starts = [exchange.request.start for exchange in bench.proxy.exchanges]
        assert [start.split()[0] for start in starts] == ["POST", "POST"]

    def test_end_is_reported_before_the_working_copy_is_removed(self, bench):
        """A large working copy takes long to remove. A next try begins when the copy of the last one is removed."""
        copies = []

        def look(request):
            if request.method == "POST":
                copies.append(len(list(bench.work.glob("*/copy"))))
            return passed(request)

        bench.proxy.plan = look
        job = bench.job(f"echo copies: {bench.work}/*/copy", "false", retries=1)
        bench.attempt(job)
        claim, *_, end = copies
        assert (claim, end) == (0, 1)
        assert [len(line.split()) for line in re.findall("^copies: .*", bench.log(job), re.M)] == [2, 2]

    def test_any_bytes(self, bench):
        job = bench.job(r"printf '\377\000\355\240\200\342\202|'; head -c 100000 /dev/urandom")
        bench.attempt(job)
        assert bench.end(job) == (SUCCESS, 0)
        assert "\ufffd\0\ufffd\ufffd\ufffd\ufffd|" in bench.log(job)

    def test_secret(self, bench):
        """A secret is masked in output and in commands, cut in two as well."""
        secret = token_hex(12)
        process_masker.add(secret)
        commands = [f"echo {secret}", "echo $KEY", f'printf %s "{secret[:9]}"']
        job = bench.job(*commands, bench.gate("go"), f'printf "%s" "{secret[9:]}|"', secrets=("KEY",))
        attempt = bench.begin(job, secrets={"KEY": secret})
        until(lambda: "echo $KEY\n***\n" in bench.log(job), "the output before")
        bench.let_go("go")
        attempt.result()
        assert bench.end(job) == (SUCCESS, 0)
        assert secret not in bench.log(job)
        cut = bench.job(f"printf {secret[:9]}; sleep 0.6; echo {secret[9:]}")
        bench.attempt(cut)
        assert bench.log(cut).endswith("\n***\n")

    def test_secret_in_the_name_of_an_artifact(self, bench):
        """The file is left out, and the log says so without the secret; so it is for patterns that match nothing."""
        secret = token_hex(12)
        process_masker.add(secret)
        job = bench.job(": > out-$KEY.txt; : > out.txt", artifacts=("*.txt", f"{secret}/*"), secrets=("KEY",))
        bench.attempt(job, secrets={"KEY": secret})
        assert bench.end(job) == (SUCCESS, 0)
        assert [artifact.path for artifact in bench.store.artifacts(job.job_execution_id)] == ["out.txt"]
        assert secret not in bench.log(job)
        assert bench.log(job).endswith(
            "\n[cicd] no file matches the artifact pattern '***/*'\n"
            "[cicd] artifact left out, its name holds a secret: 'out-***.txt'\n"
        )

    def test_secret_in_the_name_of_the_worker(self, bench):
        """All lines of the Worker in the log are masked."""
        secret = token_hex(12)
        process_masker.add(secret)
        job = bench.job("true", retries=1)
        bench.attempt(job, name=secret)
        assert secret not in bench.log(job)
        assert secret not in str(bench.store.job_execution(job.job_execution_id).worker)


class TestCannotRun:
    @pytest.mark.parametrize(
        ("fields", "line"),
        [
            ({"working_dir": ".."}, "the working directory is not a directory of the repository"),
            ({"working_dir": "a\0b"}, "the working directory is not a directory of the repository"),
            ({"docker_image": "python:3.13"}, "the job asks for an image, and there is no docker on this machine"),
        ],
    )
    @pytest.mark.usefixtures("no_docker")
    def test_says_why(self, bench, fields, line):
        job = bench.job("echo never", **fields)
        bench.attempt(job)
        assert bench.end(job) == (FAILED, None)
        assert matches(CLAIM + re.escape(f"[cicd] {line}\n"), bench.log(job))

    @pytest.mark.parametrize("change", [{"repo": "/no/such"}, {"commit_hash": "--upload-pack=x"}, {"repo": "a\0b"}])
    def test_no_working_copy(self, bench, change):
        job = evolve(bench.job("echo never"), **change)
        bench.attempt(job)
        assert bench.end(job) == (FAILED, None)
        assert "never" not in bench.log(job)

    def test_masks_why(self, bench):
        """An error of git may contain a secret from the URL."""
        secret = token_hex(12)
        process_masker.add(secret)
        job = evolve(bench.job("true"), repo=f"http://127.0.0.1:1/{secret}.git")
        bench.attempt(job)
        assert bench.end(job) == (FAILED, None)
        assert "/***.git" in bench.log(job)
        assert secret not in bench.log(job)

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

    def test_link_in_the_place_of_the_working_copy(self, bench):
        """No artifact is taken from elsewhere."""
        (bench.side / "private").touch()
        job = bench.job(f"cd ..; rm -r copy; ln -s {bench.side} copy", artifacts=("*",))
        bench.attempt(job)
        assert bench.end(job) == (SUCCESS, 0)
        assert bench.log(job).endswith("\n[cicd] no file matches the artifact pattern '*'\n")
        assert (bench.side / "private").exists()

    def test_artifacts_are_strange(self, bench):
        """Files and patterns that are not allowed do not change how a job ends. There may be thousands of files."""
        job = bench.job("for i in $(seq 2001); do : > f$i; done; printf x > 'a\\b'", artifacts=("*", "**x", "../*"))
        bench.attempt(job)
        assert bench.end(job) == (SUCCESS, 0)
        assert bench.log(job).endswith(
            "\n[cicd] no file matches the artifact pattern '**x'\n"
            "[cicd] no file matches the artifact pattern '../*'\n"
            r"[cicd] artifact left out, its name is not allowed: 'a\\b'" + "\n"
        )
        first = bench.store.artifacts(job.job_execution_id, limit=1000)
        second = bench.store.artifacts(job.job_execution_id, limit=1000, after=first[-1].path)
        third = bench.store.artifacts(job.job_execution_id, limit=1000, after=second[-1].path)
        assert {file.path for file in (*first, *second, *third)} == {f"f{number}" for number in range(1, 2002)}
        assert first[0].sha256 == sha256(b"").hexdigest()


class TestStop:
    def test_canceled_before(self, bench):
        """A job that was canceled before its claim does not run."""
        job = bench.job(bench.note("ran"))
        bench.cancel(job)
        bench.attempt(job)
        assert bench.end(job) == (CANCELED, None)
        assert not (bench.side / "ran").exists()

    def test_canceled_while_it_runs(self, bench):
        """A job is stopped with all that it started, and its output is reported to the end."""
        job = bench.job(
            "trap 'echo bye; exit 5' TERM", f"sleep 1000 & echo $! > {bench.side}/child", bench.note("pid"), "wait"
        )
        attempt = bench.begin(job, grace=1)
        pid = bench.pid("pid")
        child = bench.pid("child")
        bench.cancel(job)
        attempt.result()
        assert bench.end(job) == (CANCELED, 5)
        assert "bye\n" in bench.log(job)
        assert bench.log(job).endswith("\n[cicd] canceled\n")
        until(lambda: not is_alive(pid) and not is_alive(child), "the end of its processes")

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
        clock.now += 1000
        bench.proxy.mend()
        until(lambda: "\n1000000\n$ until" in bench.store.log_tail(job.job_execution_id), "all its output")
        assert bench.end(job) == (RUNNING, None)
        clock.now += 11
        attempt.result()
        assert bench.end(job) == (FAILED, 143)

    def test_time_is_up_while_the_backend_is_away(self, bench):
        job = bench.job(bench.note("pid"), "while :; do echo busy; sleep 0.01; done")
        attempt = bench.begin(job, job_timeout=1)
        pid = bench.pid("pid")
        bench.proxy.cut()
        until(lambda: not is_alive(pid), "the end of the job")
        assert bench.end(job)[0] is RUNNING
        bench.proxy.mend()
        attempt.result()
        assert bench.end(job)[0] is FAILED
        assert bench.log(job).endswith("longer than 1 seconds\n")

    @pytest.mark.parametrize("reason", ["canceled", "time is up", "Worker ends"])
    @pytest.mark.parametrize(
        ("script", "pattern"),
        [
            ("truncate -s 60G huge", "huge"),
            ("mkdir -p $(printf 'd/%.0s' $(seq 60))", "**/d/**/d/**/d/**/d/**/d/**/f"),
        ],
    )
    def test_while_artifacts_are_looked_for(self, bench, script, pattern, reason):
        """What comes after the script ends with the job, and keeps the script's exit code and its output."""
        job = bench.job(script, "printf last", bench.note("over"), artifacts=(pattern,))
        attempt = bench.begin(job, job_timeout=1 if reason == "time is up" else 1000)
        bench.pid("over")
        if reason == "canceled":
            bench.cancel(job)
        elif reason == "Worker ends":
            bench.ending.set()
        assert attempt.exception(timeout=DEADLINE) is None
        assert "\n$ printf last\nlast$ " in bench.log(job)
        ends = {"canceled": (CANCELED, 0), "time is up": (FAILED, 0), "Worker ends": (RUNNING, None)}
        assert bench.end(job) == ends[reason]

    @pytest.mark.parametrize("reason", ["canceled", "time is up", "Worker ends"])
    def test_while_git_waits(self, bench, reason):
        """A job whose repository does not answer can be stopped, and its git ends, too."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"git://127.0.0.1:{silent.getsockname()[1]}/repository.git"
            job = evolve(bench.job(bench.note("ran")), repo=url)
            attempt = bench.begin(job, job_timeout=1 if reason == "time is up" else 1000)
            git, _ = silent.accept()
            if reason == "canceled":
                bench.cancel(job)
            elif reason == "Worker ends":
                bench.ending.set()
            error = attempt.exception(timeout=DEADLINE)
            with git:
                git.settimeout(DEADLINE)
                while git.recv(1000):
                    pass
        assert error is None
        status = {"canceled": CANCELED, "time is up": FAILED, "Worker ends": RUNNING}[reason]
        assert bench.end(job) == (status, None)
        assert not (bench.side / "ran").exists()


class TestDelivered:
    def test_twice_while_it_runs(self, bench, caplog):
        """A second delivery of a job changes nothing, and is not logged as a claim."""
        caplog.set_level("INFO")
        job = bench.job(f"echo ran >> {bench.side}/count", bench.gate("go"))
        attempt = bench.begin(job)
        until((bench.side / "count").exists, "the job to run")
        bench.attempt(job)
        bench.let_go("go")
        attempt.result()
        assert bench.end(job) == (SUCCESS, 0)
        assert (bench.side / "count").read_text() == "ran\n"
        assert bench.log(job).count("attempt") == 1
        assert caplog.text.count("the job was claimed") == 1

    def test_when_it_has_ended(self, bench):
        """A delivery of a job that has ended changes nothing."""
        job = bench.job("echo once")
        bench.attempt(job)
        before = bench.log(job)
        bench.attempt(job)
        assert (bench.end(job), bench.log(job)) == ((SUCCESS, 0), before)

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

    def test_ended_by_another_while_it_runs(self, bench):
        """An attempt that learns that the job has ended stops it, and reports nothing more."""
        job = bench.job(bench.note("pid"), "sleep 1000")
        attempt = bench.begin(job)
        pid = bench.pid("pid")
        again = bench.next_attempt(job)
        bench.store.apply(ended(again, 1000, SUCCESS))
        attempt.result(timeout=DEADLINE)
        assert not is_alive(pid)
        assert bench.end(job)[0] is SUCCESS
        assert "canceled" not in bench.log(job)

    def test_a_job_that_takes_long_to_stop_keeps_its_lease(self, bench):
        """A grace that is longer than the lease does not make another Worker run the job meanwhile."""
        job, attempt = stubborn(bench)
        bench.ending.set()
        until((bench.side / "told").exists, "the job to be told", pause=0.01)
        heard_at = bench.store.job_execution(job.job_execution_id).heard_at
        until(lambda: bench.store.job_execution(job.job_execution_id).heard_at > heard_at, "a heartbeat")
        bench.let_go("go")
        attempt.result()
        assert bench.store.job_execution(job.job_execution_id).attempt == 2

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


class TestRequest:
    def test_what_the_job_runs_for_is_in_its_environment(self, bench):
        """A job has its own variables, and those that describe its run."""
        job = bench.job(
            'echo "$CI/$CICD_PIPELINE/$CICD_STAGE/$CICD_JOB/$CICD_RUN_NUMBER/$CICD_BRANCH/$MINE"',
            "echo $CICD_JOB_EXECUTION_ID",
            environment=Environment({"MINE": "yes"}),
        )
        bench.attempt(job)
        assert "\ntrue/run/one/job/1/main/yes\n" in bench.log(job)
        assert f"\n{job.job_execution_id}\n" in bench.log(job)

    def test_only_secrets_that_a_job_names_are_in_its_environment(self, bench):
        """A job gets no other secrets."""
        job = bench.job('echo "[$KEY][$OTHER]"', secrets=("KEY",))
        bench.attempt(job, secrets={"KEY": "k", "OTHER": "o"})
        assert "\n[k][]\n" in bench.log(job)

    def test_a_secret_that_the_worker_does_not_hold_is_told(self, bench):
        """The job is not runnable, and its log names the secret."""
        job = bench.job("true", secrets=("KEY",))
        bench.attempt(job)
        record = bench.store.job_execution(job.job_execution_id)
        assert (record.status, record.reason) == (FAILED, EndReason.NOT_RUNNABLE)
        assert "does not hold the secrets KEY" in bench.log(job)

    def test_a_kind_is_run_by_its_command(self, bench):
        """The command gets the request on its standard input, and the variables; its exit code is that of the job."""
        parameters = JsonObject({"url": "https://example.org"})
        job = bench.job(kind="acme.show", parameters=parameters, environment=Environment({"WORD": "hello"}))
        bench.attempt(job, kinds={"acme.show": "sh -c 'cat; echo; echo $WORD; exit 3'"})
        _, shown, word, *_ = bench.log(job).splitlines()
        assert converter.loads(shown.encode(), JobExecutionRequest).parameters == parameters
        assert (word, bench.store.job_execution(job.job_execution_id).exit_code) == ("hello", 3)

    def test_a_kind_runs_in_no_container(self, bench):
        """The log says so."""
        job = bench.job(kind="acme.show", docker_image="alpine")
        bench.attempt(job, kinds={"acme.show": "cat"})
        assert "run on the Worker's machine\n" in bench.log(job)

    @pytest.mark.parametrize("parameters", [{"shell": "fish"}, {"other": 1}, {"submodules": 1}])
    def test_parameters_that_the_kind_does_not_have_are_not_runnable(self, bench, parameters):
        """The log names the parameter and what was expected."""
        job = bench.job("true", parameters=JsonObject(parameters))
        bench.attempt(job)
        assert bench.store.job_execution(job.job_execution_id).reason is EndReason.NOT_RUNNABLE
        assert f"/parameters/{next(iter(parameters))}: expected " in bench.log(job)

    def test_bash_by_the_parameter_shell(self, bench):
        """The shell bash has arrays, which sh does not have."""
        job = bench.job('words=(a b); echo "${words[1]}${BASH_VERSION:+!}"', parameters=JsonObject({"shell": "bash"}))
        bench.attempt(job)
        assert "\nb!\n" in bench.log(job)

    def test_a_job_that_fails_is_run_again_as_often_as_it_may(self, bench):
        """Each try has a fresh working copy, and the attempt has one end."""
        count = f"{bench.side}/count"
        job = bench.job(f"[ ! -e made ]; touch made; echo x >> {count}", f"[ $(wc -l < {count}) -ge 3 ]", retries=5)
        bench.attempt(job)
        assert bench.end(job) == (SUCCESS, 0)
        assert re.findall(r"\[cicd\] try .*", bench.log(job)) == ["[cicd] try 2 of 6", "[cicd] try 3 of 6"]

    def test_retries_are_used_up(self, bench):
        """The last try decides."""
        job = bench.job("exit 3", retries=1)
        bench.attempt(job)
        assert bench.end(job) == (FAILED, 3)
        assert bench.log(job).count("$ exit 3\n") == 2

    def test_a_canceled_job_is_not_tried_again(self, bench):
        """Canceling ends all tries."""
        job = bench.job(bench.note("pid"), "sleep 1000", retries=5)
        attempt = bench.begin(job)
        bench.pid("pid")
        bench.cancel(job)
        attempt.result()
        assert bench.end(job)[0] is CANCELED
        assert "try 2" not in bench.log(job)

    def test_a_worker_that_ends_gives_its_job_back(self, bench):
        """The job is stopped, and its next attempt goes on behind what was told."""
        job = bench.job(bench.note("pid"), "sleep 1000")
        attempt = bench.begin(job)
        pid = bench.pid("pid")
        bench.ending.set()
        attempt.result()
        assert not is_alive(pid)
        record = bench.store.job_execution(job.job_execution_id)
        assert (record.status, record.attempt, record.worker) == (RUNNING, 2, None)
        assert bench.log(job).endswith("[cicd] given back: the Worker ends\n")

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

    def test_a_worker_that_is_not_let_in_runs_nothing(self, bench):
        """A Worker with a wrong token does not run the job."""
        job = bench.job(bench.note("ran"))

        class Closed:
            def report(self, update, *, patient=True):  # noqa: ARG002 - as any Backend
                raise DeniedError("401")

        settings = Settings(name="w", directory=bench.work)
        with pytest.raises(DeniedError):
            run_job(job, Closed(), settings, ending=bench.ending, claimed=lambda: None)
        assert not (bench.side / "ran").exists()


class TestNetwork:
    @pytest.mark.parametrize(
        "fault", [Fault.CUT, Fault.TRUNCATED, Fault.LOST, Fault.REPEATED, Fault.REPLAYED, Fault.DELAYED]
    )
    def test_fails_at_each_request(self, bench, fault):
        """The job runs once, and its log is whole, if each request fails the first time."""
        bench.proxy.plan = once(fault)
        bench.proxy.delay = 0.05
        lines = "i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo line $i; sleep 0.01; done"
        job = bench.job(f"echo ran >> {bench.side}/count", lines, ": > file", artifacts=("file",))
        bench.attempt(job)
        assert bench.end(job) == (SUCCESS, 0)
        assert (bench.side / "count").read_text() == "ran\n"
        assert bench.proxy.faults[fault] >= 4
        found = [line for line in bench.log(job).splitlines() if line.startswith("line ")]
        assert found == [f"line {number}" for number in range(1, 61)]
        assert bench.log(job).count("attempt") == 1
        assert len(bench.store.artifacts(job.job_execution_id)) == 1

    def test_is_gone_for_a_while(self, bench):
        """The output and the end of a job are reported when the Backend is back."""
        job = bench.job(bench.gate("go"), "seq 20000", bench.note("over"))
        attempt = bench.begin(job)
        until(lambda: bench.end(job)[0] is RUNNING, "the claim")
        bench.proxy.cut()
        bench.let_go("go")
        bench.pid("over")
        assert bench.end(job)[0] is RUNNING
        bench.proxy.mend()
        attempt.result()
        assert bench.end(job) == (SUCCESS, 0)
        numbers = [line for line in bench.log(job).splitlines() if line.isdigit()]
        assert numbers == [str(number) for number in range(1, 20_001)]

    def test_backend_refuses(self, bench, caplog):
        """A job that the Backend does not know is not run, and the Worker logs an error."""
        job = evolve(bench.job(bench.note("ran")), job_execution_id=bench.job("true").job_id)
        bench.attempt(job)
        assert not (bench.side / "ran").exists()
        assert [record.levelname for record in caplog.records if "refuses a report" in record.message] == ["ERROR"]
