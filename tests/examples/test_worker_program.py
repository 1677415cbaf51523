"""The Worker as a program, with a broker and a Backend."""

from __future__ import annotations

import json
import os
import shutil
import signal

import pytest

from cicd_common import ExecutionStatus
from tests.support.examples.programs import Program, is_alive, stop
from tests.support.examples.settings import embedded
from tests.support.examples.system import System
from tests.support.examples.system_api import Api
from tests.support.examples.system_jobs import Side, attempts, pipeline
from tests.support.examples.waiting import until

SUCCESS = ExecutionStatus.SUCCESS


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    """A system to which each test adds its Workers. Its lease is longer than a busy machine lets a Worker wait."""
    directory = tmp_path_factory.mktemp("system")
    with embedded(directory) as setting, System.on(setting, directory, workers=0) as system:
        yield system


@pytest.fixture
def worker(system):
    """The only Worker, which is ready."""
    yield add_worker(system)
    assert stop(system.workers) == []


@pytest.fixture
def side(tmp_path):
    return Side(tmp_path / "side")


def add_worker(system):
    system.add_workers(1)
    until(lambda: lines_of(system.workers[-1], "ready"), "the Worker to be ready")
    return system.workers[-1]


def lines_of(program, message):
    """The log entries of a program with a message."""
    *lines, _ = program.log.read_text().split("\n")  # The last one may be incomplete.
    entries = [json.loads(line) for line in lines]
    return [entry for entry in entries if entry["message"] == message]


def directory_of(system, worker):
    return system.directory / worker.name.replace("worker", "work")


def start(system, *jobs):
    """Start a run, and return it with its definition."""
    definition = pipeline(system.repository, {"one": jobs})
    return system.api.execute(definition), definition


def check_next_worker(system, run, definition, *numbers):
    """Another Worker ends the run; its first job has had attempts with these numbers."""
    system.add_workers(1)
    assert system.api.end_of(run) is SUCCESS
    job = system.api.job(definition, definition.stages[0].jobs[0].name)
    assert [attempt.number for attempt in attempts(job.logs)] == list(numbers)


class TestSignals:
    def test_warm(self, system, worker, side):
        """After Ctrl-C the job that runs comes to its end, and the log says so; the next one is for another Worker."""
        jobs = [side.job("runs", "echo unheard-of", side.gate("go")), side.job("next", dependencies=("runs",))]
        run, definition = start(system, *jobs)
        until(lambda: side.began("runs"), "the job to begin")
        worker.send(signal.SIGINT)
        until(lambda: lines_of(worker, "told to end"), "the signal to be handled")
        assert worker.runs
        side.let_go("go")
        until(lambda: not worker.runs, "the end of the Worker")
        assert worker.exit_code == 0
        record = system.api.job(definition, "runs")
        assert record.status is SUCCESS
        assert side.began("next") == []
        (end,) = lines_of(worker, "the job has ended")
        assert end["cicd.pipeline.task.run.id"] == str(record.execution_id)
        assert (end["cicd.pipeline.task.name"], end["worker"], end["status"]) == ("runs", worker.name, "SUCCESS")
        assert "stage_execution_id" in end
        assert "unheard-of" not in worker.log.read_text()
        check_next_worker(system, run, definition, 1)
        assert (side.done("runs"), side.done("next")) == (1, 1)

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_at_once(self, system, worker, side, number):
        """SIGTERM, or Ctrl-C twice, stops the job, which then is another Worker's; the log shows both."""
        run, definition = start(system, side.job("runs", side.gate("go")))
        (pid,) = until(lambda: side.began("runs"), "the job to begin")
        worker.send(number)
        # Two signals that come close one upon the other are one, or the second one interrupts the handler of the first.
        until(lambda: not worker.runs or (number is signal.SIGINT and worker.send(number)), "its end", pause=0.001)
        assert worker.exit_code == 0
        assert not is_alive(pid)
        assert list(directory_of(system, worker).iterdir()) == []
        side.let_go("go")
        check_next_worker(system, run, definition, 1, 2)
        assert side.done("runs") == 1


class TestTakesNoMoreJobs:
    def check_it_ends(self, system, worker, side, reason):
        """A Worker for which all jobs would fail says why, and leaves its job to others."""
        run, definition = start(system, side.job("runs"))
        until(lambda: not worker.runs, "the end of the Worker")
        assert worker.exit_code == 1
        (said,) = lines_of(worker, "this Worker takes no more jobs, since all would fail")
        assert reason in said["reason"]
        check_next_worker(system, run, definition, 1)

    def test_wrong_token(self, system, worker, side):
        worker.kill()
        worker.environment["CICD_TOKEN"] = "wrong-" + system.token[:8]
        worker.start()
        self.check_it_ends(system, worker, side, "answers 401")

    def test_directory_is_gone(self, system, worker, side):
        shutil.rmtree(directory_of(system, worker))
        self.check_it_ends(system, worker, side, ": No such file or directory")

    def test_token_changed(self, tmp_path, side):
        """A Backend that comes back with another token in the middle of a silent job: Worker and run can end."""
        with embedded(tmp_path) as setting, System.on(setting, tmp_path, workers=1, lease=2) as system:
            run, _ = start(system, side.job("runs", side.gate("never")))
            until(lambda: side.began("runs"), "the job to begin")
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


class TestCommandLine:
    def test_environment_is_out_of_reach(self, tmp_path, side):
        """A job has no variable of its Worker, and finds none of it or of a Backend, and no file of the Worker.

        The Worker without a job ends when it is told to.
        """
        with embedded(tmp_path) as setting, System.on(setting, tmp_path, workers=1, are_forked=False) as system:
            pids = ("$PPID", system.backends[0].pid)
            look = "; ".join(f"cat /proc/{pid}/environ >> {side.directory}/environ" for pid in pids)
            look += f"; env >> {side.directory}/environ; ls -l /proc/$PPID/fd > {side.directory}/files || :"
            run, _ = start(system, side.job("runs", look))
            assert system.api.end_of(run) is SUCCESS
            found = (side.directory / "environ").read_bytes()
            assert (b"\0" + found).count(b"\0PATH=") == len(pids)
            for secret in (system.token, *system.secrets.values(), system.store):
                assert secret.encode() not in found
            files = (side.directory / "files").read_text()  # Some may be closed while they are listed.
            assert "pipe:" in files
            assert "memfd" not in files
            (worker,) = system.workers
            worker.send(signal.SIGTERM)
            until(lambda: not worker.runs, "the end of the Worker")
            assert worker.exit_code == 0
            assert list(directory_of(system, worker).iterdir()) == []

    @pytest.mark.parametrize(
        ("flags", "environment", "said"),
        [
            (["--workdir", "missing"], {}, "Invalid value for '--workdir': Directory 'missing' does not exist.\n"),
            (["--backend", "localhost:80"], {}, "expected the Backend's URL to begin with http:// or https://"),
            (["--name", "two\nlines"], {}, "no blank at either end\n"),
            (["--grace", "-1"], {}, "'--grace': -1 is not in the range x>=0.\n"),
            (["--kind", "acme.show"], {}, "'--kind': expected KIND=COMMAND, once for each kind but script\n"),
            ([], {"CICD_BROKER": "ftp://x"}, "Error: expected the URL of a broker"),
            ([], {"CICD_SECRET_KEY": "x"}, "too short to be masked, expected 8 characters or more: CICD_SECRET_KEY\n"),
        ],
    )
    def test_wrong_option(self, tmp_path, flags, environment, said):
        """It is told in one clear error."""
        done = Program("worker", "cicd_system.worker", flags, {**os.environ, **environment}, tmp_path).run()
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr
