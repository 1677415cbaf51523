"""The commands of a job as one shell script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from shlex import quote

from cicd_common.api.request import JobExecutionRequest
from cicd_common.model.definition import SCRIPT

__all__ = ["ScriptError", "command_of", "script_of", "shell_of"]

_SHELLS = ("sh", "bash")

# The end of each command decides: `set -e` alone lets some go on that have failed, such as `false && true`.
_HEAD = """set -e
set --
_cicd_ended() { [ "$1" -eq 0 ] || exit "$1"; }
"""
_COMMAND = """printf '%s\\n' {shown}
eval {command}
_cicd_ended $?
"""
# A shell that is given a file names it in each of its errors. `.` is no better in bash, and dash has no `$(<file)`.
_LAUNCH = 'if [ -n "${BASH_VERSION-}" ]; then eval "$(<"$1")"; else . "$1"; fi'


class ScriptError(Exception):
    """A job is none that this Worker can run. The text says why, for the job's log."""


def shell_of(request: JobExecutionRequest) -> str:
    """The shell that a job's commands are for: its parameter ``shell``, ``sh`` by default.

    Args:
        request: The job.

    Raises:
        ScriptError: The job is of another kind, or has parameters that the kind does not know.
    """
    if request.kind != SCRIPT:
        raise ScriptError(f"this Worker runs jobs of the kind {SCRIPT} alone")
    shell = request.parameters.get("shell", _SHELLS[0])
    if shell not in _SHELLS or set(request.parameters) - {"shell"}:
        raise ScriptError(f"expected no parameter but shell, with one of the values {', '.join(_SHELLS)}")
    return str(shell)


def command_of(shell: str, script: str) -> Sequence[str]:
    """The program with its arguments that runs a script, and does not show in errors where the script is.

    Args:
        shell: The name of the shell.
        script: The path of the script.
    """
    return [f"/bin/{shell}", "-c", _LAUNCH, shell, script]


def script_of(commands: Iterable[str]) -> str:
    """A script that shows and runs commands one after the other, in one shell, up to the first that fails.

    Args:
        commands: The commands, each of any number of lines.
    """
    return _HEAD + "".join(_COMMAND.format(shown=quote(f"$ {command}"), command=quote(command)) for command in commands)
