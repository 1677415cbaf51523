"""The scripts and the CI files, also on machines without servers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.support.servers import SERVERS

ROOT = Path(__file__).parents[1]
SCRIPTS = [*sorted((ROOT / "scripts").glob("*")), ROOT / ".ci" / "run", *(ROOT / "examples" / "pipelines").glob("*")]
VARIABLES = ["CICD_TEST_POSTGRES_URL", "CICD_TEST_RABBITMQ_URL", "CICD_TEST_REDIS_URL"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_name_only_files_that_are_there(script):
    """Each path in a script or in its comments exists, except the output of the documentation."""
    paths = re.findall(r"(?<![\w./-])(?:\.ci|benchmarks|docs|examples|scripts|tests)/[\w./-]*\w", script.read_text())
    assert [path for path in paths if not (ROOT / path).exists() and not path.startswith("docs/_build")] == []


def test_all_extras_are_installed():
    """`scripts/venv` installs every extra of the package."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = ",".join(setup["options.extras_require"])
    assert f"\nextras={extras}\n" in (ROOT / "scripts" / "venv").read_text()


@pytest.fixture
def without_servers(monkeypatch):
    """Set URLs at which no server answers: no program listens on port 1."""
    for name, scheme in zip(VARIABLES, ("postgresql+psycopg", "amqp", "redis"), strict=True):
        monkeypatch.setenv(name, f"{scheme}://127.0.0.1:1/0")
    monkeypatch.delenv("CI", raising=False)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.usefixtures("without_servers")
class TestWithoutServers:
    TESTS = ("-m", "pytest", "-p", "no:cacheprovider", "tests/integrations/test_celery.py")

    def test_the_missing_servers_are_listed(self):
        """Each line names a server and the variable for its URL."""
        lines = run("-m", "tests.support.servers").stdout.splitlines()
        assert lines == [server.reason for server in SERVERS]
        assert all(variable in line for variable, line in zip(VARIABLES, lines, strict=True))

    def test_tests_are_skipped_with_the_reason(self):
        """Without servers the tests pass, and the summary names the missing servers."""
        done = run(*self.TESTS)
        assert done.returncode == 0, done.stdout
        for variable in VARIABLES[1:]:
            assert f"answers at the URL in {variable}, or at the default one" in done.stdout

    def test_tests_fail_under_ci(self, monkeypatch):
        """With ``CI`` set, tests without their servers fail."""
        monkeypatch.setenv("CI", "true")
        done = run(*self.TESTS)
        assert done.returncode == 1
        assert "2 failed" in done.stdout


def test_the_servers_that_answer_are_not_listed():
    """Only servers that do not answer are listed, and with ``CI`` set all servers must answer."""
    listed = run("-m", "tests.support.servers").stdout.splitlines()
    assert listed == [server.reason for server in SERVERS if not server.answers()]
    assert os.environ.get("CI") is None or listed == []


@pytest.mark.parametrize("command", ["python -m cicd_system.backend", "python -m cicd_system.worker", "cicd"])
def test_help_names_a_command_that_exists(command):
    """The usage of each example program begins with the command that runs it."""
    path = os.pathsep.join([str(Path(sys.executable).parent), str(ROOT / "scripts"), os.environ["PATH"]])
    environment = os.environ | {"PYTHONPATH": str(ROOT / "examples"), "PATH": path}
    done = subprocess.run(
        ["/bin/sh", "-c", f"{command} --help"], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"Usage: {command} [OPTIONS]")


CI_FILES = [ROOT / ".github" / "workflows" / "ci.yml", ROOT / ".gitlab-ci.yml"]


@pytest.mark.parametrize("file", CI_FILES, ids=lambda file: file.name)
def test_ci_calls_every_step_of_the_gate(file):
    """Each CI file calls every step of `.ci/run`, and tests the wheel."""
    gate, text = (ROOT / ".ci" / "run").read_text(), file.read_text()
    [steps] = re.findall(r"one step: (.*)$", gate, re.MULTILINE)
    called = {step for found in re.findall(r"(?:step|STEP): \[(.*)\]", text) for step in found.split(", ")}
    assert called == set(steps.split(", "))
    assert "run wheel" in text


def test_hooks_run_what_the_check_runs():
    """The hooks for a commit are tools of `scripts/check`, and the hook for a push is `scripts/check` itself."""
    hooks = re.findall(r"entry: (?:\.venv/bin/)?(\S+)", (ROOT / ".pre-commit-config.yaml").read_text())
    check = (ROOT / "scripts" / "check").read_text()
    assert [hook for hook in hooks if hook != "scripts/check" and hook not in check] == []
    assert "scripts/check" in hooks
