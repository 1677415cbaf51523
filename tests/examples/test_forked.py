"""Programs that the tests fork are as those that are started by their command lines."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.examples.programs import Program, is_alive, parent_of
from tests.support.examples.waiting import until

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ["PYTHONPATH"]])}
SURROUNDINGS = "tests.support.examples.surroundings"
CLIENT = """
import sys, time
from pathlib import Path
from tests.support.examples.forked import Forked
here = Path(sys.argv[1])
print(Forked("http.server", ["--bind", "127.0.0.1", "0"], {}, here, here / "o", here / "e").pid, flush=True)
time.sleep(1000)
"""


def waiting(directory):
    """A program that runs until it is ended."""
    program = Program("waits", "http.server", ["--bind", "127.0.0.1", "0"], ENVIRONMENT, directory)
    program.start()
    return program


def test_surroundings(tmp_path):
    """Arguments, directory, environment, files, signals, session and exit code are the same."""
    found = []
    # Python changes its environment and the encoding of its output where the locale is C.
    locale = {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "utf-8:strict"}
    variables = {name: ENVIRONMENT[name] for name in ("PATH", "PYTHONPATH")} | locale | {"MINE": "ü"}
    for is_forked in (True, False):
        program = Program("shows", SURROUNDINGS, ["--a", "b c"], variables, tmp_path, is_forked=is_forked)
        done = program.run()
        assert done.returncode == 7, done.stderr
        shown = json.loads(done.stdout)
        assert Path(shown["files"].pop("1")).name == "output"
        assert Path(shown["files"].pop("2")).name == "errors"
        found.append((shown, done.stderr))
    forked, started = found
    assert forked == started
    assert (started[0]["files"], started[1]) == ({"0": os.devnull}, "to the errors\n")


def test_signals(tmp_path):
    """It is forked from a process with one thread, since a lock that another one holds would stay held.

    A signal ends it as it ends any program, and it may be started again.
    """
    program = waiting(tmp_path)
    assert len(list(Path(f"/proc/{parent_of(program.pid)}/task").iterdir())) == 1
    first = program.pid
    program.send(signal.SIGTERM)
    until(lambda: not program.runs, "its end")
    assert (program.exit_code, is_alive(first)) == (-signal.SIGTERM, False)
    program.start()
    assert program.pid != first
    program.kill()
    assert (program.exit_code, program.runs) == (-signal.SIGKILL, False)


def test_ends_with_the_tests(tmp_path):
    """Where the process of the tests is killed, its programs are, and what they were forked from ends."""
    with subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(tmp_path)], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    ) as client:
        pid = int(client.stdout.readline())
        server = parent_of(pid)
        client.kill()
    until(lambda: not is_alive(pid) and not is_alive(server), "the end of both")
