"""Processes of jobs: how they end, and that nothing is left of them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cicd_system.worker.process import JobProcess

from tests.support.examples.programs import is_alive
from tests.support.examples.waiting import until

ENVIRONMENT = {"PATH": os.environ["PATH"]}
WORKER = """
import sys, time
from pathlib import Path
from cicd_system.worker.process import JobProcess
job = JobProcess(["/bin/sh", "-c", sys.argv[1]], directory=Path(), environment={"PATH": sys.argv[2]}, grace=1)
print("started", flush=True)
time.sleep(1000)
"""


def start(script, directory=Path(), grace=5.0):
    return JobProcess(["/bin/sh", "-c", script], directory=directory, environment=ENVIRONMENT, grace=grace)


def everything(descriptor):
    """All that can be read from a pipe."""
    pieces = []
    while data := os.read(descriptor, 65536):
        pieces.append(data)
    return b"".join(pieces).decode()


def line_of(descriptor):
    """One line of a pipe, and nothing of the next."""
    line = ""
    while not line.endswith("\n"):
        line += os.read(descriptor, 1).decode()
    return line.rstrip("\n")


def pipes():
    """The pipes that are open in this process."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # Others of this process come and go.
            found.add(os.readlink(entry))
    return {name for name in found if name.startswith("pipe:")}


class TestEnd:
    @pytest.mark.parametrize(
        ("script", "code"),
        [
            ("true", 0),
            ("exit 7", 7),
            ("kill -KILL $$", 137),
            ("kill -TERM $$", 143),
            ("sh -c 'kill -KILL $$'; exit", 137),
        ],
    )
    def test_exit_code(self, script, code):
        """It is the command's; 128 and the number of a signal that ended it."""
        with start(script) as process:
            assert process.wait() == code

    def test_nothing_stays_open(self, tmp_path):
        """A process that has ended, or cannot be started, leaves no file descriptor open. To stop it does nothing."""
        before = pipes()
        with start("true") as process:
            process.wait()
            process.stop()
            process.stop()
        with pytest.raises(FileNotFoundError):
            start("true", tmp_path / "missing")
        assert pipes() <= before


class TestSurroundings:
    def test_what_it_has(self, tmp_path):
        """No input, one pipe for all output, its own environment and directory, and nothing else that is open."""
        with start("cat; echo out; echo err >&2; pwd; env; echo; ls -m /proc/self/fd", tmp_path) as process:
            text = everything(process.output)
            assert process.wait() == 0
        out, err, directory, *variables, blank, files = text.splitlines()
        assert (out, err, directory, blank) == ("out", "err", str(tmp_path), "")
        assert {line.partition("=")[0] for line in variables} <= {"PATH", "PWD", "OLDPWD", "_", "SHLVL"}
        assert files == "0, 1, 2, 3"  # The last is that of `ls` itself.


class TestStop:
    def test_takes_all(self):
        """A job that ignores SIGTERM is killed after the grace, with all processes that it has started."""
        with start("trap '' TERM HUP; sleep 1000 & echo $!; echo $$; sleep 1000", grace=0.2) as process:
            pids = [int(line_of(process.output)) for _ in range(2)]
            assert all(map(is_alive, pids))
            until(lambda: process.stop() or process.has_ended(), "its end")
            assert process.wait() == 137
            until(lambda: not any(map(is_alive, pids)), "the end of all")

    def test_what_it_left(self):
        """Processes that are left when the command has ended are killed, so that the output ends."""
        with start("sleep 1000 & echo $!") as process:
            child = int(line_of(process.output))
            until(process.has_ended, "the end of the command")
            assert everything(process.output) == ""
            until(lambda: not is_alive(child), "the end of what it left")
            assert process.wait() == 0

    def test_end_of_the_block(self):
        """As long as the command runs, so does what it has started. An error in the block ends the job."""
        with contextlib.suppress(ZeroDivisionError), start("sleep 1000 & echo $!; echo $$; sleep 1000") as process:
            pids = [int(line_of(process.output)) for _ in range(2)]
            assert not process.has_ended()
            assert all(map(is_alive, pids))
            raise ZeroDivisionError
        until(lambda: not any(map(is_alive, pids)), "the end of all")


class TestWorkerKilled:
    def test_takes_the_job_along(self, tmp_path):
        """When the Worker is killed, its job ends, with all that it has started and whatever it ignores."""
        noted = f"echo $$ $! > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pids"
        script = f"trap '' TERM HUP INT; kill -TERM 0; sleep 1000 & {noted}; sleep 1000"
        worker = subprocess.Popen([sys.executable, "-c", WORKER, script, os.environ["PATH"]], stdout=subprocess.PIPE)
        with worker:
            until((tmp_path / "pids").exists, "the job to begin")
            pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
            assert all(map(is_alive, pids))
            os.kill(worker.pid, signal.SIGKILL)
        until(lambda: not any(map(is_alive, pids)), "the end of the job")
