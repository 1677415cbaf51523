"""The program of a job: its commands as a shell script, or the command for its kind; on this machine or in docker."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from shlex import quote

from attrs import field, frozen

from cicd_common import ContractError, dumps
from cicd_common.api.request import JobExecutionRequest
from cicd_common.kinds import Kinds, ScriptParameters
from cicd_common.model import SCRIPT

from .reporting import NotRunnableError

__all__ = ["Program", "container_commands", "find_docker", "program_of", "script_of", "variables_of"]

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
_PATIENCE = 30  # Seconds in which docker has to answer.


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
    """Write the file of a job into a directory, and return its program.

    Args:
        kinds: The shell command for each kind other than ``script``. It reads the request from its standard input.

    Raises:
        NotRunnableError: The kind is unknown, or its parameters are wrong.
    """
    if request.kind != SCRIPT:
        return _program_of_kind(request, directory / "request.json", kinds)
    try:
        parameters: ScriptParameters = Kinds().parameters_of(request, strict=True)
    except ContractError as error:
        raise NotRunnableError("; ".join(f"{each.pointer}: {each.message}" for each in error.problems)) from None
    file = directory / "script.sh"
    file.write_text(script_of(request.commands), encoding="utf-8")
    return Program(_command_of(parameters.shell, str(file)), file, parameters)


def _program_of_kind(request: JobExecutionRequest, file: Path, kinds: Mapping[str, str]) -> Program:
    if request.kind not in kinds:
        raise NotRunnableError(f"expected a job of a kind that this Worker runs: {', '.join([SCRIPT, *kinds])}")
    if request.docker_image is not None:
        raise NotRunnableError(f"expected no image: jobs of the kind {request.kind} run on the Worker's machine")
    file.write_bytes(dumps(request))
    return Program(["/bin/sh", "-c", f'exec {kinds[request.kind]} <"$1"', "sh", str(file)], file)


def script_of(commands: Iterable[str]) -> str:
    """A script that prints and runs commands one after the other in one shell, up to the first failure."""
    return _HEAD + "".join(_COMMAND.format(shown=quote(f"$ {command}"), command=quote(command)) for command in commands)


def _command_of(shell: str, script: str) -> Sequence[str]:
    return [f"/bin/{shell}", "-c", _LAUNCH, shell, script]


def variables_of(request: JobExecutionRequest, secrets: Mapping[str, str]) -> dict[str, str]:
    """The variables of a job: its own, its secrets, and those that describe its run.

    Raises:
        NotRunnableError: The Worker does not have a secret of the job.
    """
    if missing := [name for name in request.secrets if name not in secrets]:
        raise NotRunnableError(f"this Worker does not hold the secrets {', '.join(missing)}")
    return {
        **request.environment,
        **{name: secrets[name] for name in request.secrets},
        "CI": "true",
        "CICD_PIPELINE": request.pipeline_name,
        "CICD_STAGE": request.stage_name,
        "CICD_JOB": request.job_name,
        "CICD_RUN_NUMBER": str(request.run_number),
        "CICD_BRANCH": request.branch,
        "CICD_COMMIT": request.commit_hash or "",
        "CICD_JOB_EXECUTION_ID": str(request.job_execution_id),
    }


def find_docker() -> str | None:
    """The path of docker; None if it is not installed or its engine does not answer."""
    # A path, because the variable `PATH` of a job is for its container.
    docker = shutil.which("docker")
    if docker is None:
        return None
    try:
        done = subprocess.run([docker, "version"], capture_output=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return docker if done.returncode == 0 else None


def container_commands(
    docker: str,
    request: JobExecutionRequest,
    program: Program,
    copy: Path,
    directory: Path,
    variables: Iterable[str],
) -> tuple[Sequence[str], Sequence[str]]:
    """The command lines that run a script in a container and that remove the container.

    Args:
        copy: The working copy, which is ``/workspace`` in the container.
        directory: The directory in the working copy where the script runs.
        variables: The names of the variables to pass. Their values are not in the command line.
    """
    name = f"cicd-{request.job_execution_id}-{request.attempt}"
    user = f"{os.getuid()}:{os.getgid()}"  # Its files then belong to the Worker's user.
    workdir = f"/workspace/{directory.relative_to(copy).as_posix()}"
    options = ["--rm", "--init", "--name", name, "--user", user, "--workdir", workdir]
    mounts = ["--volume", f"{copy}:/workspace", "--volume", f"{program.file}:/cicd-script:ro"]
    environment = [option for variable in variables for option in ("--env", variable)]
    entry, *arguments = _command_of(program.parameters.shell, "/cicd-script")
    image = ["--entrypoint", entry, "--", str(request.docker_image)]
    run = [docker, "run", *options, *mounts, *environment, *image, *arguments]
    return run, [docker, "rm", "--force", "--volumes", "--", name]
