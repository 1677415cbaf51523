"""Attempts at jobs, against a real Backend, by networks that fail: each job has one end, and one course to it."""

from __future__ import annotations

import re
import socket
from datetime import UTC, datetime
from hashlib import sha256
from secrets import token_hex
from types import NoneType

import pytest
from attempts import bench_in
from attrs import evolve
from cicd_system.worker.backend_client import GivenUpError
from programs import is_alive
from proxy import Fault, once
from waiting import DEADLINE, until

from cicd_common import ExecutionStatus
from cicd_common.api.request import JobStatusUpdate
from cicd_common.logging.masking import process_masker

SUCCESS, FAILED, CANCELED = ExecutionStatus.SUCCESS, ExecutionStatus.FAILED, ExecutionStatus.CANCELED
RUNNING, PENDING = ExecutionStatus.RUNNING, ExecutionStatus.PENDING

CLAIM = r"\[cicd\] running on w1, attempt [0-9a-f]{8}\n"
AGAIN = r"\[cicd\] running on w1, attempt [0-9a-f]{8}, delivered again\n"


@pytest.fixture
def bench(tmp_path):
    with bench_in(tmp_path) as bench:
        yield bench
        assert list(bench.work.iterdir()) == []


def matches(pattern, text):
    assert re.fullmatch(pattern, text), text
    return True


def ended(job, sequence, status):
    """The end of a job, told by somebody else."""
    return JobStatusUpdate(
        job_execution_id=job.job_execution_id,
        sequence=sequence,
        status=status,
        occurred_at=datetime.now(UTC),
        logs="of the other\n",
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

    def test_failure(self, bench):
        """The first command that fails is the last that runs."""
        job = bench.job("echo before", "exit 7", "echo after")
        bench.attempt(job)
        assert bench.end(job) == (FAILED, 7)
        assert bench.log(job).endswith("before\n$ exit 7\n")

    def test_ended_by_a_signal(self, bench):
        job = bench.job("kill -KILL $$")
        bench.attempt(job)
        assert bench.end(job) == (FAILED, 137)

    def test_few_requests(self, bench):
        """A job that says little costs three requests: how it stands, the claim, the end."""
        bench.attempt(bench.job("true"), poll_interval=100)
        starts = [exchange.request.start for exchange in bench.proxy.exchanges]
        assert [start.split()[0] for start in starts] == ["GET", "POST", "POST"]

    def test_output_comes_while_it_runs(self, bench):
        job = bench.job("echo first", bench.gate("go"), "echo last")
        attempt = bench.begin(job)
        until(lambda: "first\n" in bench.log(job), "the first output")
        assert bench.end(job) == (RUNNING, None)
        bench.let_go("go")
        attempt.result()
        assert bench.end(job) == (SUCCESS, 0)
        assert bench.log(job).endswith("$ echo last\nlast\n")

    def test_much_output(self, bench):
        """Lines are neither lost nor doubled, however many there are."""
        job = bench.job("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); echo line $i; done")
        bench.attempt(job)
        chunks, after = [], 0
        while page := bench.store.logs(job.job_execution_id, after=after).chunks:
            chunks += [text for _, text in page]
            after = page[-1][0]
        _, _, *lines = "".join(chunks).splitlines()
        assert lines == [f"line {number}" for number in range(1, 200_001)]

    def test_any_bytes(self, bench):
        job = bench.job(r"printf '\377\000\355\240\200\342\202|'; head -c 100000 /dev/urandom")
        bench.attempt(job)
        assert bench.end(job) == (SUCCESS, 0)
        assert "\ufffd\0\ufffd\ufffd\ufffd\ufffd|" in bench.log(job)

    def test_environment(self, bench):
        """A job knows who it is."""
        job = bench.job('[ "$CI $CICD_JOB_EXECUTION_ID" = "true ' + "$(cat id)" + '" ]')
        (bench.repository / "id").write_text(str(job.job_execution_id))
        bench.attempt(job)
        assert bench.end(job) == (SUCCESS, 0)

    def test_secret(self, bench):
        """A secret is masked in output and in commands, cut in two as well."""
        secret = token_hex(12)
        process_masker.add(secret)
        bench.environment["KEY"] = secret
        job = bench.job(
            f"echo {secret}", "echo $KEY", f'printf %s "{secret[:9]}"', bench.gate("go"), f'printf "%s" "{secret[9:]}|"'
        )
        attempt = bench.begin(job)
        until(lambda: "echo $KEY\n***\n" in bench.log(job), "the output before")
        bench.let_go("go")
        attempt.result()
        assert bench.end(job) == (SUCCESS, 0)
        assert secret not in bench.log(job)
        cut = bench.job(f"printf {secret[:9]}; sleep 0.6; echo {secret[9:]}")
        bench.attempt(cut)
        assert bench.log(cut).endswith("\n***\n")


class TestCannotRun:
    @pytest.mark.parametrize(
        ("fields", "line"),
        [
            ({"working_dir": ".."}, "the working directory is none in the repository"),
            ({"working_dir": "a\0b"}, "the working directory is none in the repository"),
            ({"docker_image": "python:3.13"}, "the job asks for an image, and there is no docker on this machine"),
        ],
    )
    def test_says_why(self, bench, fields, line, monkeypatch, tmp_path):
        monkeypatch.setenv("PATH", str(tmp_path))
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
        """What git says may repeat a secret of the address."""
        secret = token_hex(12)
        process_masker.add(secret)
        job = evolve(bench.job("true"), repo=f"http://127.0.0.1:1/{secret}.git")
        bench.attempt(job)
        assert bench.end(job) == (FAILED, None)
        assert "/***.git" in bench.log(job)
        assert secret not in bench.log(job)

    def test_host_is_allowed(self, bench, monkeypatch, tmp_path):
        """Where it was asked for, a job with an image runs without docker."""
        monkeypatch.setenv("PATH", str(tmp_path))
        job = bench.job("echo here", docker_image="python:3.13")
        bench.attempt(job, allow_host=True)
        assert bench.end(job) == (SUCCESS, 0)

    def test_worker_is_broken(self, bench, monkeypatch):
        """Whatever goes wrong in the Worker, a job that it has claimed has an end."""
        monkeypatch.setattr("cicd_system.worker.attempt.script_of", lambda _: 1 / 0)
        job = bench.job("true")
        bench.attempt(job)
        assert bench.end(job) == (FAILED, None)
        assert bench.log(job).endswith("[cicd] the Worker cannot run it: ZeroDivisionError\n")

    def test_artifacts_are_strange(self, bench):
        """Files and patterns that cannot be told of do not change how a job ends; thousands of files are no trouble."""
        job = bench.job("for i in $(seq 2001); do : > f$i; done; : > 'a\\b'", artifacts=("*", "**x", "../*"))
        bench.attempt(job)
        assert bench.end(job) == (SUCCESS, 0)
        first = bench.store.artifacts(job.job_execution_id, limit=1000)
        second = bench.store.artifacts(job.job_execution_id, limit=1000, after=first[-1].path)
        third = bench.store.artifacts(job.job_execution_id, limit=1000, after=second[-1].path)
        assert {file.path for file in (*first, *second, *third)} == {f"f{number}" for number in range(1, 2002)}
        assert first[0].sha256 == sha256(b"").hexdigest()


class TestStop:
    def test_canceled_before(self, bench):
        """It never runs."""
        job = bench.job(bench.note("ran"))
        bench.cancel(job)
        bench.attempt(job)
        assert bench.end(job) == (CANCELED, None)
        assert not (bench.side / "ran").exists()

    def test_canceled_at_the_claim(self, bench):
        """What is canceled between the question and the claim never runs either."""
        job = bench.job(bench.note("ran"))

        def plan(request):
            if request.method == "POST":
                bench.cancel(job)
            return Fault.NONE

        bench.proxy.plan = plan
        bench.attempt(job)
        assert bench.end(job) == (CANCELED, None)
        assert not (bench.side / "ran").exists()

    def test_canceled_while_it_runs(self, bench):
        """It is stopped with all that it started, and its output is told to the end."""
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

    def test_time_is_up(self, bench):
        job = bench.job("printf 'no end of line'; sleep 1000")
        bench.attempt(job, job_timeout=0.3)
        assert bench.end(job) == (FAILED, 143)
        assert bench.log(job).endswith("no end of line\n[cicd] stopped: it ran for longer than 0.3 seconds\n")

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
    def test_while_git_waits(self, bench, reason):
        """A repository that does not answer keeps no job from its end, and git does not stay."""
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
        assert isinstance(error, GivenUpError if reason == "Worker ends" else NoneType)
        status = {"canceled": CANCELED, "time is up": FAILED, "Worker ends": RUNNING}[reason]
        assert bench.end(job) == (status, None)
        assert not (bench.side / "ran").exists()

    def test_worker_ends(self, bench):
        """The job is stopped; nothing more is told, so that it can be delivered again."""
        job = bench.job(bench.note("pid"), "sleep 1000")
        attempt = bench.begin(job)
        pid = bench.pid("pid")
        bench.ending.set()
        with pytest.raises(GivenUpError):
            attempt.result()
        assert not is_alive(pid)
        assert bench.end(job) == (RUNNING, None)


class TestDelivered:
    def test_twice_while_it_runs(self, bench):
        """The copy of a message ends without a trace."""
        job = bench.job(f"echo ran >> {bench.side}/count", bench.gate("go"))
        attempt = bench.begin(job)
        until((bench.side / "count").exists, "the job to run")
        bench.attempt(job)
        bench.let_go("go")
        attempt.result()
        assert bench.end(job) == (SUCCESS, 0)
        assert (bench.side / "count").read_text() == "ran\n"
        assert bench.log(job).count("attempt") == 1

    def test_twice_at_once(self, bench):
        """However many look at once, one runs it."""
        job = bench.job(f"echo ran >> {bench.side}/count")
        for attempt in [bench.begin(job) for _ in range(6)]:
            attempt.result()
        assert bench.end(job) == (SUCCESS, 0)
        assert (bench.side / "count").read_text() == "ran\n"
        assert bench.log(job).count("attempt") == 1

    @pytest.mark.parametrize("redelivered", [False, True])
    def test_when_it_has_ended(self, bench, redelivered):
        """Nothing is changed, whether or not it is the first time."""
        job = bench.job("echo once")
        bench.attempt(job)
        before = bench.log(job)
        bench.attempt(job, redelivered=redelivered)
        assert (bench.end(job), bench.log(job)) == ((SUCCESS, 0), before)

    @pytest.mark.parametrize("end", [SUCCESS, FAILED])
    def test_again_just_when_it_ends(self, bench, end):
        """What has ended between the question and the claim is not run again, nor said to be canceled."""
        job = bench.job(bench.note("ran"))

        def plan(request):
            if request.method == "POST":
                bench.store.apply(ended(job, 1, end))
            return Fault.NONE

        bench.proxy.plan = plan
        bench.attempt(job, redelivered=True)
        assert bench.end(job)[0] is end
        assert matches("of the other\n" + AGAIN, bench.log(job))
        assert not (bench.side / "ran").exists()

    def test_ended_by_another_while_it_runs(self, bench):
        """An attempt that has missed being superseded stops at the other's end, and says nothing of it."""
        job = bench.job(bench.note("pid"), "sleep 1000")
        attempt = bench.begin(job)
        pid = bench.pid("pid")
        until(lambda: bench.log(job).endswith("$ sleep 1000\n"), "all that it ever prints")
        bench.store.apply(ended(job, 1000, SUCCESS))
        attempt.result(timeout=DEADLINE)
        assert not is_alive(pid)
        assert bench.end(job)[0] is SUCCESS
        assert "canceled" not in bench.store.logs(job.job_execution_id).text

    def test_again_before_anybody_had_it(self, bench):
        """A message that got lost on its way to a Worker makes one run."""
        job = bench.job("echo once")
        bench.attempt(job, redelivered=True)
        assert matches(AGAIN + re.escape("$ echo once\nonce\n"), bench.log(job))

    def test_again_takes_over(self, bench):
        """The attempt before is seen in the log; if it lives, it stops and tells nothing more."""
        job = bench.job("while [ ! -e go ]; do echo $$; sleep 0.02; done", bench.gate("go"), "echo last")
        first = bench.begin(job)
        until(lambda: bench.log(job).count("\n") > 5, "its output")
        pid = int(bench.log(job).splitlines()[2])
        second = bench.begin(job, redelivered=True)
        first.result()
        assert not is_alive(pid)
        (bench.repository / "go").touch()
        bench.let_go("go")
        until(lambda: "delivered again" in bench.log(job), "the second claim")
        bench.cancel(job)
        second.result()
        before, after = re.split(AGAIN, bench.log(job))
        assert re.match(CLAIM, before)
        assert before.count("attempt") == 1
        numbers = set(re.findall(r"^\d+$", after, re.MULTILINE))
        assert str(pid) not in numbers
        assert bench.end(job)[0] is CANCELED

    def test_again_takes_over_in_silence(self, bench):
        """A job that prints nothing is stopped, too, when another attempt has taken it over."""
        job = bench.job(bench.note("pid"), "sleep 1000")
        first = bench.begin(job)
        pid = bench.pid("pid")
        until(lambda: bench.log(job).endswith("$ sleep 1000\n"), "all that it ever prints")
        (bench.side / "pid").unlink()
        second = bench.begin(job, redelivered=True)
        first.result(timeout=DEADLINE)
        assert not is_alive(pid)
        assert is_alive(bench.pid("pid"))
        bench.cancel(job)
        second.result()
        assert bench.end(job)[0] is CANCELED

    def test_another_reports_on_it(self, bench):
        """A job on which somebody else reports is given up, at the latest when there is something to tell."""
        job = bench.job(bench.note("pid"), bench.gate("go"), "echo mine", "sleep 1000")
        attempt = bench.begin(job, poll_interval=1000)
        pid = bench.pid("pid")
        last = until(lambda: bench.store.job_execution(job.job_execution_id).last_sequence, "the claim")
        at = bench.store.job_status(job.job_execution_id)
        assert at.status is RUNNING
        for sequence in range(last + 1, last + 4):
            bench.store.apply(
                JobStatusUpdate(
                    job_execution_id=job.job_execution_id,
                    sequence=sequence,
                    status=RUNNING,
                    occurred_at=datetime.now(UTC),
                    logs=f"other {sequence}\n",
                )
            )
        bench.let_go("go")
        attempt.result()
        assert not is_alive(pid)
        assert "mine" not in bench.log(job).partition("other")[2]
        assert bench.end(job) == (RUNNING, None)

    def test_another_ended_it(self, bench):
        """Of two ends the first stands."""
        job = bench.job(bench.note("pid"), "sleep 1000")
        attempt = bench.begin(job)
        bench.pid("pid")
        end = JobStatusUpdate(
            job_execution_id=job.job_execution_id,
            sequence=1000,
            status=SUCCESS,
            occurred_at=datetime.now(UTC),
            exit_code=0,
        )
        bench.store.apply(end)
        attempt.result()
        assert bench.end(job) == (SUCCESS, 0)


class TestNetwork:
    @pytest.mark.parametrize(
        "fault", [Fault.CUT, Fault.TRUNCATED, Fault.LOST, Fault.REPEATED, Fault.REPLAYED, Fault.DELAYED]
    )
    @pytest.mark.parametrize("redelivered", [False, True])
    def test_fails_at_each_request(self, bench, fault, redelivered):
        """The job runs once, and its log is whole, whatever happens to each request the first time."""
        bench.proxy.plan = once(fault)
        bench.proxy.delay = 0.05
        lines = "i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo line $i; sleep 0.01; done"
        job = bench.job(f"echo ran >> {bench.side}/count", lines, ": > file", artifacts=("file",))
        bench.attempt(job, redelivered=redelivered)
        assert bench.end(job) == (SUCCESS, 0)
        assert (bench.side / "count").read_text() == "ran\n"
        assert bench.proxy.faults[fault] >= 4
        found = [line for line in bench.log(job).splitlines() if line.startswith("line ")]
        assert found == [f"line {number}" for number in range(1, 61)]
        assert bench.log(job).count("attempt") == 1
        assert len(bench.store.artifacts(job.job_execution_id)) == 1

    def test_is_gone_for_a_while(self, bench):
        """What a job prints meanwhile is told afterwards, and that it has ended."""
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
        """A job that the Backend does not know is not run; that is an error in the Worker's own log."""
        job = evolve(bench.job(bench.note("ran")), job_execution_id=bench.job("true").job_id)
        bench.attempt(job)
        assert not (bench.side / "ran").exists()
        assert [record.levelname for record in caplog.records if "does not take" in record.message] == ["ERROR"]
