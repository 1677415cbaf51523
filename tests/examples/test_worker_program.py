"""The Worker as a program, with a broker and a Backend."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal

import pytest
from cicd_system.worker.directory import worker_directory

from cicd_common import ExecutionStatus
from tests.support.examples.programs import Program, is_alive
from tests.support.examples.settings import embedded
from tests.support.examples.system import System
from tests.support.examples.system_api import Api
from tests.support.examples.system_jobs import Side, attempts, pipeline
from tests.support.examples.waiting import until

SUCCESS = ExecutionStatus.SUCCESS


@contextlib.contextmanager
def one_worker(directory, **settings):
    with embedded(directory) as setting, System.on(setting, directory, workers=1, lease=4, **settings) as system:
        until(lambda: ready(system), "the Worker to be ready")
        yield system


@pytest.fixture
def system(tmp_path):
    """One Worker that is ready."""
    with one_worker(tmp_path) as system:
        yield system


@pytest.fixture
def started(tmp_path):
    """One that was started by its command line."""
    with one_worker(tmp_path, are_forked=False) as system:
        yield system


@pytest.fixture
def side(tmp_path):
    return Side(tmp_path / "side")


def lines_of(program):
    return [json.loads(line) for line in program.log.read_text().splitlines()]


def ready(system):
    return [line for line in lines_of(system.workers[0]) if line["message"] == "ready"]


def has_ended(worker):
    until(lambda: not worker.runs, "the end of the Worker")
    return worker.exit_code == 0


class TestSignals:
    def test_idle(self, started):
        """A Worker says that it is ready, and who; told to end, it does."""
        assert [line["worker"] for line in ready(started)] == ["worker-0"]
        (worker,) = started.workers
        worker.send(signal.SIGTERM)
        assert has_ended(worker)
        assert list((started.directory / "work-0").iterdir()) == []

    def test_warm(self, system, side):
        """After Ctrl-C the job that runs comes to its end; the next one is for another Worker."""
        api, (worker,) = system.api, system.workers
        jobs = [side.job("runs", side.gate("go")), side.job("next", dependencies=("runs",))]
        run = api.execute(definition := pipeline(system.repository, {"one": jobs}))
        until(lambda: side.began("runs"), "the job to begin")
        worker.send(signal.SIGINT)
        assert worker.runs
        side.let_go("go")
        assert has_ended(worker)
        assert api.job(definition, "runs").status is SUCCESS
        assert side.began("next") == []
        system.add_workers(1)
        assert api.end_of(run) is SUCCESS
        assert (side.done("runs"), side.done("next")) == (1, 1)
        (attempt,) = attempts(api.job(definition, "runs").logs)
        assert attempt.number == 1

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_at_once(self, system, side, number):
        """SIGTERM, or Ctrl-C twice, stops the job, which then is another Worker's; the log shows both."""
        api, (worker,) = system.api, system.workers
        run = api.execute(definition := pipeline(system.repository, {"one": [side.job("runs", side.gate("go"))]}))
        (pid,) = until(lambda: side.began("runs"), "the job to begin")
        worker.send(number)
        # Two signals that come close one upon the other are one.
        until(lambda: not worker.runs or (number is signal.SIGINT and worker.send(number)), "its end", pause=0.2)
        assert worker.exit_code == 0
        assert not is_alive(pid)
        assert list((system.directory / "work-0").iterdir()) == []
        side.let_go("go")
        system.add_workers(1)
        assert api.end_of(run) is SUCCESS
        first, second = attempts(api.job(definition, "runs").logs)
        assert (first.number, second.number) == (1, 2)
        assert side.done("runs") == 1


class TestKilled:
    def test_nothing_stays(self, system, side):
        """What a killed Worker leaves is cleared away by the next one, but not what one that lives works in."""
        api, (worker,) = system.api, system.workers
        run = api.execute(definition := pipeline(system.repository, {"one": [side.job("runs", side.gate("go"))]}))
        (pid,) = until(lambda: side.began("runs"), "the job to begin")
        worker.kill()
        until(lambda: not is_alive(pid), "the end of the job")
        work = system.directory / "work-0"
        (left,) = work.iterdir()
        assert (left / next(left.iterdir()).name / "copy" / "README").exists()
        worker.start()
        until(lambda: len(side.began("runs")) == 2, "the second attempt")
        (directory,) = work.iterdir()
        assert directory != left
        with worker_directory(work) as other:
            assert set(work.iterdir()) == {directory, other}
        side.let_go("go")
        assert api.end_of(run) is SUCCESS
        assert [attempt.number for attempt in attempts(api.job(definition, "runs").logs)] == [1, 2]


class TestDenied:
    def test_wrong_token(self, system, side):
        """A Worker that is not let in ends and says why, and its job is another's."""
        api, (worker,) = system.api, system.workers
        worker.kill()
        worker.environment["CICD_TOKEN"] = "wrong-" + system.token[:8]
        worker.start()
        run = api.execute(definition := pipeline(system.repository, {"one": [side.job("runs")]}))
        until(lambda: not worker.runs, "the end of the Worker")
        assert worker.exit_code == 1
        (said,) = [line for line in lines_of(worker) if line["level"] == "CRITICAL"]
        assert "answers 401" in said["reason"]
        system.add_workers(1)
        assert api.end_of(run) is SUCCESS
        assert [attempt.number for attempt in attempts(api.job(definition, "runs").logs)] == [1]

    @pytest.mark.parametrize("is_silent", [False, True])
    def test_token_changed(self, tmp_path, side, is_silent):
        """A Backend that comes back with another token in the middle of a job: the Worker ends, and the run can be."""
        wait = side.gate("never") if is_silent else side.lines_until("never")
        with embedded(tmp_path) as setting, System.on(setting, tmp_path, workers=1, lease=2) as system:
            run = system.api.execute(pipeline(system.repository, {"one": [side.job("runs", wait)]}))
            until(lambda: side.began("runs") and (is_silent or side.count("never") > 10), "the job to run")
            system.backends[0].kill()
            system.backends[0].environment["CICD_TOKEN"] = changed = "another-" + system.token
            system.restart_backend()
            until(lambda: not system.workers[0].runs, "the end of the Worker")
            assert system.workers[0].exit_code == 1
            system.api.close()
            system.api = Api(changed)
            system.api.add(system.urls[0])
            system.api.cancel(run)
            assert system.api.end_of(run) is ExecutionStatus.CANCELED


class TestUnfit:
    def test_directory_is_gone(self, system, side):
        """A Worker that cannot write files takes no job from others, ends, and says why."""
        (worker,) = system.workers
        shutil.rmtree(system.directory / "work-0")
        run = system.api.execute(definition := pipeline(system.repository, {"one": [side.job("runs")]}))
        until(lambda: not worker.runs, "the end of the Worker")
        assert worker.exit_code == 1
        (said,) = [line for line in lines_of(worker) if line["level"] == "CRITICAL"]
        assert said["reason"].endswith(": No such file or directory")
        system.add_workers(1)
        assert system.api.end_of(run) is SUCCESS
        assert [attempt.number for attempt in attempts(system.api.job(definition, "runs").logs)] == [1]


class TestLog:
    def test_says_which_job(self, system, side):
        """What is logged of a job has its ids, and nothing of its commands."""
        definition = pipeline(system.repository, {"one": [side.job("runs", "echo unheard-of")]})
        assert system.api.end_of(system.api.execute(definition)) is SUCCESS
        record = system.api.job(definition, "runs")
        (end,) = [line for line in lines_of(system.workers[0]) if line["message"] == "the job has ended"]
        assert end["cicd.pipeline.task.run.id"] == str(record.execution_id)
        assert (end["cicd.pipeline.task.name"], end["worker"], end["status"]) == ("runs", "worker-0", "SUCCESS")
        assert "stage_execution_id" in end
        assert "unheard-of" not in system.workers[0].log.read_text()
        assert "unheard-of" in record.logs


class TestEnvironment:
    def test_is_out_of_reach(self, started, side):
        """A job has no variable of its Worker, and finds none of it or of a Backend, and no file of the Worker."""
        pids = ("$PPID", started.backends[0].pid)
        look = "; ".join(f"cat /proc/{pid}/environ >> {side.directory}/environ" for pid in pids)
        look += f"; env >> {side.directory}/environ; ls -l /proc/$PPID/fd > {side.directory}/files"
        definition = pipeline(started.repository, {"one": [side.job("runs", look)]})
        assert started.api.end_of(started.api.execute(definition)) is SUCCESS
        found = (side.directory / "environ").read_bytes()
        assert (b"\0" + found).count(b"\0PATH=") == len(pids)
        for secret in (started.token, *started.secrets.values(), started.store):
            assert secret.encode() not in found
        assert "memfd" not in (side.directory / "files").read_text()


class TestSettings:
    @pytest.mark.parametrize(
        ("flags", "said"),
        [
            (["--workdir", "missing"], "Error: Invalid value for '--workdir': Directory 'missing' does not exist.\n"),
            (
                ["--backend", "localhost:80"],
                "Error: expected the Backend's URL to begin with http:// or https:// and a host\n",
            ),
            (["--name", "two\nlines"], "no blank at either end\n"),
            (["--grace", "-1"], "'--grace': -1 is not in the range x>=0.\n"),
            (["--kind", "acme.show"], "'--kind': expected KIND=COMMAND, once for each kind but script\n"),
        ],
    )
    def test_wrong_option(self, tmp_path, flags, said):
        """It is told in one clear error."""
        done = Program("worker", "cicd_system.worker", flags, os.environ, tmp_path).run()
        assert done.returncode == 2
        assert done.stderr.endswith(said)

    @pytest.mark.parametrize(
        ("environment", "word"),
        [
            ({"CICD_BROKER": "ftp://x"}, "broker"),
            ({"CICD_SECRET_KEY": "x"}, "CICD_SECRET_KEY"),
        ],
    )
    def test_wrong(self, tmp_path, environment, word):
        """It does not start, and says why in one line."""
        done = Program("worker", "cicd_system.worker", [], {**os.environ, **environment}, tmp_path).run()
        assert done.returncode not in {0, -signal.SIGTERM}
        assert word in done.stderr
        assert "Traceback" not in done.stderr
