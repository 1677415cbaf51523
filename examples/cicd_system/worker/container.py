"""Jobs in containers: the command lines of docker."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from .script import command_of

__all__ = ["docker_command", "docker_is_there", "removal_command", "remove_container"]

_PATIENCE = 30  # Seconds in which docker has to answer.


def docker_command(
    image: str, *, name: str, copy: Path, script: Path, shell: str, directory: str, variables: Iterable[str]
) -> Sequence[str]:
    """The command line that runs a script in a container, with the working copy as ``/workspace``.

    Args:
        image: The image.
        name: The name of the container.
        copy: The working copy.
        script: The script.
        shell: The name of the shell that runs it.
        directory: Where it runs, in the working copy.
        variables: The names of the variables to pass; their values are not in the command line.
    """
    user = f"{os.getuid()}:{os.getgid()}"  # Its files then belong to the Worker's user.
    options = ["--rm", "--init", "--name", name, "--user", user, "--workdir", f"/workspace/{directory}"]
    mounts = ["--volume", f"{copy}:/workspace", "--volume", f"{script}:/cicd-script:ro"]
    environment = [option for variable in variables for option in ("--env", variable)]
    program, *arguments = command_of(shell, "/cicd-script")
    command = ["--entrypoint", program, "--", image, *arguments]
    return [_client(), "run", *options, *mounts, *environment, *command]


def _client() -> str:
    """The path of docker. The variable ``PATH`` of a job is for its container."""
    return shutil.which("docker") or "docker"


def docker_is_there() -> bool:
    """Whether docker is installed and its engine answers."""
    return shutil.which("docker") is not None and _docker("version")


def removal_command(name: str) -> Sequence[str]:
    """The command line that stops and removes a container.

    Args:
        name: Its name.
    """
    return [_client(), "rm", "--force", "--volumes", "--", name]


def remove_container(name: str) -> None:
    """Stop and remove a container, if it exists. It does not end with the ``docker run`` that started it.

    Args:
        name: Its name.
    """
    _docker(*removal_command(name)[1:])


def _docker(*arguments: str) -> bool:
    quiet = subprocess.DEVNULL
    try:
        done = subprocess.run(
            ["docker", *arguments], stdin=quiet, stdout=quiet, stderr=quiet, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
