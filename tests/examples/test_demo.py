"""The demo: it shows a run, ends with its result, and leaves nothing behind, however it ends."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.support.examples.programs import marked_processes
from tests.support.examples.settings import SETTINGS, waiting
from tests.support.examples.system_checks import rows_of
from tests.support.examples.waiting import DEADLINE, until

DEFINITION = """\
name: shown
repo_url: .
stages:
  - name: one
    jobs:
"""
JOB = """      - name: {name}
        script: ["echo made > made.txt", "{command}"]
        artifacts: ["*.txt"]
"""


class Demo:
    """The demo as a process, with a place for its temporary files and a mark in the environment of all it starts."""

    def __init__(self, directory: Path, command: str, *flags: str, jobs: Iterable[str] = ("works",)) -> None:
        (directory / "source").mkdir()
        (directory / "temporary").mkdir()
        file = directory / "source" / "pipeline.yaml"
        file.write_text(DEFINITION + "".join(JOB.format(name=name, command=command) for name in jobs))
        self.directory = directory
        self._mark = f"DEMO_UNDER_TEST={uuid4().hex}"
        name, _, value = self._mark.partition("=")
        others = {name: value for name, value in os.environ.items() if not name.startswith("CICD_")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "cicd_system.demo", *flags, str(file)],
            env={**others, "CICD_LEASE": "wrong", name: value, "TMPDIR": str(directory / "temporary")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def queue(self) -> str:
        """The name of its queue, which the CLI has in its environment; an empty string before the CLI runs."""
        for pid, _ in marked_processes(self._mark):
            with contextlib.suppress(OSError):  # It has ended.
                if found := re.search(rb"\0CICD_QUEUE=([^\0]+)", Path(f"/proc/{pid}/environ").read_bytes()):
                    return found[1].decode()
        return ""

    def end(self) -> tuple[int, str]:
        """Its exit code and its output, once all its processes and files are gone."""
        said, _ = self.process.communicate(timeout=2 * DEADLINE)
        assert list((self.directory / "temporary").iterdir()) == []
        until(lambda: not list(marked_processes(self._mark)), "the end of all processes")
        return self.process.returncode, said


def test_stay(tmp_path):
    """It shows the run, its reports and its artifacts, and serves its pages until Ctrl-C; it ends as the run did."""
    demo = Demo(tmp_path, "echo why; exit 4", "--stay")
    told = ""
    while "Ctrl-C ends all." not in told:
        line = demo.process.stdout.readline()
        assert line, told
        told += line
    introduction, _, shown = told.partition("\n$ scripts/cicd run ")
    assert introduction.startswith("This starts a CI/CD system: a Backend and 2 Workers, on SQLite and a file")
    assert "They run the pipeline shown from" in introduction
    assert "\nwhy\n" in shown
    assert "$ scripts/cicd report shown --stage one\n" in shown
    assert re.search(r"works\t5\t[0-9a-f]{64}\tmade\.txt\n", shown)
    url = re.search(r"The pages are at (\S+)", told)[1]
    token = re.search(r"The token to sign in: (\S+)", told)[1]
    page = httpx.get(url, cookies={"cicd_token": token}, timeout=DEADLINE)
    assert (page.status_code, "<h2>shown</h2>" in page.text) == (200, True)
    os.killpg(demo.process.pid, signal.SIGINT)
    code, _ = demo.end()
    assert code == 1


@pytest.mark.parametrize("broker", ["rabbitmq", "redis"])
def test_servers(tmp_path, broker):
    """SIGTERM ends all programs and the jobs. On servers the queue is deleted, and the runs stay."""
    with SETTINGS[broker](tmp_path) as setting:
        flags = ("--postgres", setting.store, "--broker", setting.broker)
        # Two Workers leave a third job in the queue.
        demo = Demo(tmp_path, f"touch {tmp_path}/began; sleep 1000", *flags, jobs="abc")
        until((tmp_path / "began").exists, "a job to begin")
        queue = until(demo.queue, "the CLI to run")
        until(lambda: waiting(setting, queue), "a job in the queue")
        demo.process.terminate()
        code, said = demo.end()
        assert code == 128 + signal.SIGTERM, said
        assert waiting(setting, queue) is None
        assert any("shown" in row for row in rows_of(setting.store))


def test_signal_at_the_start(tmp_path):
    """A terminal that is closed while programs start ends them."""
    demo = Demo(tmp_path, "sleep 1000")  # If the signal comes late, it ends the job.
    assert demo.process.stdout.readline()
    demo.process.send_signal(signal.SIGHUP)
    code, said = demo.end()
    assert code == 128 + signal.SIGHUP, said


def test_no_start(tmp_path):
    """If a program does not start, it is named, with the end of its log."""
    code, said = Demo(tmp_path, "true", "--postgres", "postgresql://nobody@127.0.0.1:9/x").end()
    assert code == 1
    assert re.search("the backend did not start; its log ends:\n.*the Backend cannot start", said, re.DOTALL)
