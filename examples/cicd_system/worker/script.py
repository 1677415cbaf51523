"""The commands of a job as one shell script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from shlex import quote

from cicd_common import ContractError
from cicd_common.api.request import JobExecutionRequest
from cicd_common.kinds import Kinds, ScriptParameters
from cicd_common.model.definition import SCRIPT

__all__ = ["ScriptError", "command_of", "parameters_of", "script_of"]

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


def parameters_of(request: JobExecutionRequest) -> ScriptParameters:
    """The parameters of a job that runs a script.

    Args:
        request: The job.

    Raises:
        ScriptError: The job is of another kind, or has parameters that the kind does not know.
    """
    if request.kind != SCRIPT:
        raise ScriptError(f"this Worker runs jobs of the kind {SCRIPT} alone")
    try:
        parameters: ScriptParameters = Kinds().parameters_of(request, strict=True)
    except ContractError as error:
        raise ScriptError("; ".join(f"{each.pointer}: {each.message}" for each in error.problems)) from None
    return parameters


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
