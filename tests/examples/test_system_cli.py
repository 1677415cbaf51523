"""The CLI with a whole system behind it, as a process of its own."""

from __future__ import annotations

import re
import signal
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from cicd_common import ExecutionStatus, converter
from cicd_common.api.response import PipelineExecutionResponse, PipelineReportResponse
from tests.support.examples.proxy import Fault, HttpProxy
from tests.support.examples.system_checks import checked_entry
from tests.support.examples.system_jobs import pipeline
from tests.support.examples.waiting import DEADLINE, until

PIPELINES = Path(__file__).parents[2] / "examples" / "pipelines"
SUCCESS, FAILED, CANCELED = ExecutionStatus.SUCCESS, ExecutionStatus.FAILED, ExecutionStatus.CANCELED
ON_FILES = pytest.mark.parametrize("kind", ["embedded"], indirect=True, scope="session")
# Before what is indented as a job.
JOBS = "name: n\nstages:\n- name: s\n  jobs:\n"
UUID_FORM = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def run(system, name, *, deadline=DEADLINE):
    """Run a pipeline of the examples in a repository without git; what was said, and the id of the run."""
    done = system.cli("run", str(PIPELINES / f"{name}.yaml"), "--repo", str(system.repository), deadline=deadline)
    (execution_id, *_) = UUID_FORM.findall(done.stdout)
    return done, execution_id


@ON_FILES
class TestRun:
    def test_failure(self, system):
        """The exit code says so, and the end of the log that says why is shown."""
        done, execution_id = run(system, "failing")
        assert done.returncode == 1
        assert "test_addition expected 4 and found 5" in done.stdout
        assert "never" not in done.stdout
        assert system.cli("status", execution_id).stdout.split()[-1] == "FAILED"
        told = system.cli("report", "failing", "--format", "json")
        report = converter.loads(told.stdout.encode(), PipelineReportResponse, strict=True)
        stages = [(stage.stage_name, stage.status) for stage in report.executions[0].stages]
        assert stages == [("build", SUCCESS), ("test", FAILED), ("deploy", CANCELED)]

    def test_cancel(self, system, side):
        """A run that was started elsewhere is canceled by its id."""
        definition = pipeline(system.repository, {"one": [side.job("sleeps", "sleep 1000")]})
        begun = system.api.execute(definition)
        until(lambda: side.began("sleeps"), "the job to begin")
        assert system.cli("cancel", str(begun.execution_id)).returncode == 0
        assert system.api.end_of(begun) == CANCELED

    def test_interrupted(self, system, waiting):
        """Where nobody can be asked the run goes on without the CLI."""
        file, gate = waiting
        with following(system, file) as (program, begun):
            program.send(signal.SIGINT)
            until(lambda: not program.runs, "the end of the CLI")
            assert program.exit_code == 130
            assert not system.api.status(begun).is_terminal
            gate.touch()
            assert system.api.end_of(begun) == SUCCESS

    def test_backend_restarted(self, system, waiting):
        """The CLI goes on following once the Backend is back, and what it logs meanwhile are lines of CicdLogger."""
        file, gate = waiting
        backend = urlsplit(system.urls[0])
        with (
            HttpProxy((backend.hostname, backend.port)) as proxy,
            following(system, file, CICD_BACKEND=f"http://127.0.0.1:{proxy.port}") as (program, _),
        ):
            system.backends[0].kill()
            before = proxy.faults[Fault.NONE]
            until(lambda: proxy.faults[Fault.NONE] > before + 1, "the CLI to ask again")
            system.restart_backend(0)
            gate.touch()
            until(lambda: not program.runs, "the end of the CLI")
            assert program.exit_code == 0
        lines = program.log.read_text().splitlines()
        for line in lines:
            assert not line.startswith("{") or checked_entry(line, program.log)
        assert any("SUCCESS" in line for line in lines)


@pytest.fixture
def waiting(tmp_path):
    """A definition whose job waits for a file, and that file."""
    file, gate = tmp_path / "waits.yaml", tmp_path / "gate"
    file.write_text(JOBS + f"  - {{name: waits, script: ['until [ -e {gate} ]; do sleep 0.02; done']}}\n")
    return file, gate


@contextmanager
def following(system, file, **environment):
    """Start a run by the CLI, and wait until it follows; the CLI, and the run."""
    program = system.cli_program("run", str(file), "--repo", str(system.repository), **environment)
    program.start()
    try:
        found = until(lambda: UUID_FORM.findall(program.log.read_text()), "the id of the run")
        until(lambda: "RUNNING" in program.log.read_text(), "the CLI to follow")
        yield (
            program,
            PipelineExecutionResponse(execution_id=UUID(found[0]), run_number=1, status=ExecutionStatus.RUNNING),
        )
    finally:
        program.kill()
