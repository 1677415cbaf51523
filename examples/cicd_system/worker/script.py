"""The commands of a job as one shell script, and the command line that runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from shlex import quote

__all__ = ["docker_command", "docker_is_there", "script_of"]

# The end of each command decides: `set -e` alone lets some go on that have failed, such as `false && true`.
_HEAD = """set -e
_cicd_ended() { [ "$1" -eq 0 ] || exit "$1"; }
"""
_COMMAND = """printf '%s\\n' {shown}
eval {command}
_cicd_ended $?
"""


def script_of(commands: Iterable[str]) -> str:
    """A script that shows and runs commands one after the other, in one shell, up to the first that fails.

    Args:
        commands: The commands, each of any number of lines.
    """
    return _HEAD + "".join(_COMMAND.format(shown=quote(f"$ {command}"), command=quote(command)) for command in commands)


def docker_command(
    image: str, *, name: str, copy: Path, script: Path, directory: str, variables: Iterable[str]
) -> Sequence[str]:
    """The command line that runs a script in a container, with the working copy as ``/work``.

    Args:
        image: The image.
        name: The container's name, by which it can be stopped.
        copy: The working copy.
        script: The script.
        directory: Where it runs, in the working copy.
        variables: The names of the variables to hand on; their values stay out of the command line.
    """
    user = f"{os.getuid()}:{os.getgid()}"  # What it leaves is then the Worker's.
    options = ["--rm", "--init", "--name", name, "--user", user, "--workdir", f"/work/{directory}"]
    mounts = ["--volume", f"{copy}:/work", "--volume", f"{script}:/cicd-script:ro"]
    environment = [option for variable in variables for option in ("--env", variable)]
    return ["docker", "run", *options, *mounts, *environment, "--entrypoint", "/bin/sh", "--", image, "/cicd-script"]


@cache
def docker_is_there() -> bool:
    """Whether docker is installed and has an engine that answers. It is asked once."""
    if shutil.which("docker") is None:
        return False
    asked = subprocess.run(
        ["docker", "version"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=30,
        check=False,
    )
    return asked.returncode == 0
