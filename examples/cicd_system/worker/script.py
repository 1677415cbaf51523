"""The program of a job: its commands as one shell script, or the command for its kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from shlex import quote

from attrs import field, frozen

from cicd_common import ContractError, converter
from cicd_common.api.request import JobExecutionRequest
from cicd_common.kinds import Kinds, ScriptParameters
from cicd_common.model.definition import SCRIPT

__all__ = ["Program", "ScriptError", "command_of", "program_of", "script_of"]

# The exit code of each command is checked: `set -e` alone ignores failures such as `false && true`.
_HEAD = """set -e
set --
_cicd_ended() { [ "$1" -eq 0 ] || exit "$1"; }
"""
_COMMAND = """printf '%s\\n' {shown}
eval {command}
_cicd_ended $?
"""
# A shell that runs a file names it in its errors. So does bash with `.`, and dash has no `$(<file)`.
_LAUNCH = 'if [ -n "${BASH_VERSION-}" ]; then eval "$(<"$1")"; else . "$1"; fi'


class ScriptError(Exception):
    """This Worker cannot run the job. The text says why, for the job's log."""


@frozen
class Program:
    """The program of a job.

    Attributes:
        command: The program with its arguments, on this machine.
        file: The file that it reads: the script, or the request of another kind.
        parameters: The parameters of a script.
    """

    command: Sequence[str]
    file: Path
    parameters: ScriptParameters = field(factory=ScriptParameters)


def program_of(request: JobExecutionRequest, directory: Path, kinds: Mapping[str, str]) -> Program:
    """Write the file of a job and return its program.

    Args:
        request: The job.
        directory: The directory for the file.
        kinds: Shell commands that run jobs of other kinds than ``script``, by the kind. They read the request from
            their standard input.

    Raises:
        ScriptError: The kind is unknown, or its parameters are wrong.
    """
    if request.kind != SCRIPT:
        return _program_of_kind(request, directory / "request.json", kinds)
    try:
        parameters: ScriptParameters = Kinds().parameters_of(request, strict=True)
    except ContractError as error:
        raise ScriptError("; ".join(f"{each.pointer}: {each.message}" for each in error.problems)) from None
    file = directory / "script.sh"
    file.write_text(script_of(request.commands), encoding="utf-8")
    return Program(command_of(parameters.shell, str(file)), file, parameters)


def _program_of_kind(request: JobExecutionRequest, file: Path, kinds: Mapping[str, str]) -> Program:
    if request.kind not in kinds:
        raise ScriptError(f"expected a job of a kind that this Worker runs: {', '.join([SCRIPT, *kinds])}")
    if request.docker_image is not None:
        raise ScriptError(f"expected no image: jobs of the kind {request.kind} run on the Worker's machine")
    file.write_bytes(converter.dumps(request))
    return Program(["/bin/sh", "-c", f'exec {kinds[request.kind]} <"$1"', "sh", str(file)], file)


def command_of(shell: str, script: str) -> Sequence[str]:
    """The program with its arguments that runs a script. Errors of the shell do not contain the path of the script.

    Args:
        shell: The name of the shell.
        script: The path of the script.
    """
    return [f"/bin/{shell}", "-c", _LAUNCH, shell, script]


def script_of(commands: Iterable[str]) -> str:
    """A script that prints and runs commands one after the other in one shell, up to the first failure.

    Args:
        commands: The commands, each of any number of lines.
    """
    return _HEAD + "".join(_COMMAND.format(shown=quote(f"$ {command}"), command=quote(command)) for command in commands)
