"""The commands of jobs as scripts, and in containers."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from cicd_system.worker.script import _command_of, container_commands, find_docker, program_of, script_of

from cicd_common.values import JsonObject
from tests.support.examples.attempts import request_of


def run(tmp_path, *commands, shell="sh"):
    """The exit code and the output of commands."""
    script = tmp_path / "script.sh"
    script.write_text(script_of(commands))
    done = subprocess.run(
        _command_of(shell, str(script)),
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


class TestScript:
    def test_shows_what_it_runs(self, tmp_path):
        """Each command stands before its output, letter by letter."""
        commands = ["echo one", "printf '%s\\n' \"$(echo 'a  b')\"", "# %s \\n 'quoted'", "echo 1\necho 2"]
        expected = f"$ {commands[0]}\none\n$ {commands[1]}\na  b\n$ {commands[2]}\n$ {commands[3]}\n1\n2\n"
        assert run(tmp_path, *commands) == (0, expected)

    def test_one_shell(self, tmp_path):
        """Directories, variables, functions and options stay for the commands that follow."""
        commands = ["mkdir sub; cd sub", "export WORD=kept; f() { echo $WORD; }", "f; pwd", "set -u", "echo $none"]
        code, text = run(tmp_path, *commands)
        assert code == 2
        assert f"$ f; pwd\nkept\n{tmp_path}/sub\n" in text

    @pytest.mark.parametrize(
        ("command", "code"),
        [
            ("false", 1),
            ("exit 7", 7),
            ("(exit 9)", 9),
            ("false; true", 1),
            ("true && false", 1),
            ("false && true", 1),
            ("if true; then false; fi", 1),
            ("no-such-command-here", 127),
            ("sh -c 'kill -TERM $$'", 143),
            ("kill -KILL $$", -9),
            ("case", 2),
            ("echo 'open", 2),
            ("exit 0", 0),
            ("false || true", None),
            ("! false", None),
            ("if false; then :; fi", None),
            ("", None),
        ],
    )
    def test_stops_at_the_first_that_fails(self, tmp_path, command, code):
        """Or at one that exits; without a code here the next one is run."""
        found, text = run(tmp_path, "true", command, "exit 42 # is reached")
        assert found == (42 if code is None else code)
        assert ("is reached" in text) == (code is None)

    @pytest.mark.parametrize("shell", ["sh", "bash"])
    @pytest.mark.parametrize(
        "command",
        ["no-such-command-here", "echo 'open", "case", "cd /no/such", "echo ${x:?gone}", ". ./none"],
    )
    def test_errors_of_the_shell(self, tmp_path, shell, command):
        """They do not show where the script is."""
        code, text = run(tmp_path, command, shell=shell)
        assert code
        assert "script" not in text
        assert str(tmp_path) not in text

    @pytest.mark.parametrize("shell", ["sh", "bash"])
    def test_big_script(self, tmp_path, shell):
        """It may be longer than an argument may be, and has no arguments."""
        code, text = run(tmp_path, *["echo $#$*" + " " * 1000] * 300, shell=shell)
        assert code == 0
        assert [line for line in text.splitlines() if line[0] != "$"] == ["0"] * 300


class TestContainer:
    def test_command_line(self, tmp_path):
        """The image is no option, whatever it is; values of variables are not in the command line."""
        job = request_of("true", docker_image="--privileged", parameters=JsonObject({"shell": "bash"}), attempt=2)
        program = program_of(job, tmp_path, {})
        copy, variables = Path("/w/copy"), ["CI", "DEPLOY_KEY"]
        command, removal = container_commands("/bin/docker", job, program, copy, copy / "sub", variables)
        name = f"cicd-{job.job_execution_id}-2"
        assert removal == ["/bin/docker", "rm", "--force", "--volumes", "--", name]
        end = command.index("--")
        assert command[:4] == ["/bin/docker", "run", "--rm", "--init"]
        assert command[end : end + 3] == ["--", "--privileged", "-c"]
        assert command[-1] == "/cicd-script"
        options = dict(zip(command[4:end:2], command[5:end:2], strict=True))
        assert options == {
            "--name": name,
            "--user": f"{os.getuid()}:{os.getgid()}",
            "--workdir": "/workspace/sub",
            "--volume": f"{tmp_path}/script.sh:/cicd-script:ro",  # The second; the first is below.
            "--env": "DEPLOY_KEY",
            "--entrypoint": "/bin/bash",
        }
        assert "/w/copy:/workspace" in command[:end]
        assert "CI" in command[:end]

    def test_is_found(self, tmp_path, monkeypatch):
        """Only if it is installed and its engine answers."""
        monkeypatch.setenv("PATH", str(tmp_path))
        assert find_docker() is None
        (tmp_path / "docker").write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "docker").chmod(0o755)
        assert find_docker() is None
        (tmp_path / "docker").write_text("#!/bin/sh\nexit 0\n")
        assert find_docker() == str(tmp_path / "docker")
