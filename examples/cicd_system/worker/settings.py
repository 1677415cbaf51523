"""What a Worker is told when it starts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex

from attrs import Factory, field, frozen

from cicd_common.logging import SecretMasker

from .clones import Clones
from .environment import OURS

__all__ = ["Settings", "job_environment", "secrets_in", "unmaskable_in"]

_SECRET = "CICD_SECRET_"


@frozen(kw_only=True)
class Settings:
    """What a Worker is told when it starts.

    Attributes:
        name: Its name, in the log of each job.
        worker: The name by which it claims jobs: that of one process, so a restarted Worker has another.
        directory: Where working copies are made.
        job_timeout: For how many seconds a job may run.
        grace: For how many seconds a job may go on after it was told to stop.
        allow_host: Whether a job with an image runs on this machine where there is no docker.
        kinds: Shell commands that run jobs of other kinds than ``script``, by the kind.
        environment: What jobs on this machine are given in their environment beside their own variables.
        secrets: The secrets that it holds, by the names by which jobs ask for them.
        poll_interval: How many seconds there are between two questions whether to stop.
        clones: Clones of repositories, of which working copies are made.
    """

    name: str
    directory: Path
    job_timeout: float = 3600
    grace: float = 5
    allow_host: bool = False
    kinds: Mapping[str, str] = field(factory=dict)
    environment: Mapping[str, str] = field(factory=dict, repr=False)
    secrets: Mapping[str, str] = field(factory=dict, repr=False)
    poll_interval: float = 1.0
    worker: str = Factory(lambda self: f"{self.name[:240]}-{token_hex(4)}", takes_self=True)
    clones: Clones = field(init=False, default=Factory(lambda self: Clones(self.directory), takes_self=True))


def secrets_in(environment: Mapping[str, str]) -> dict[str, str]:
    """The secrets for jobs: what is in the Worker's environment as ``CICD_SECRET_NAME``, by ``NAME``.

    Args:
        environment: The environment of the Worker.
    """
    return {name[len(_SECRET) :]: value for name, value in environment.items() if name.startswith(_SECRET)}


def unmaskable_in(environment: Mapping[str, str]) -> list[str]:
    """The names of the variables with secrets for jobs that are too short to be masked, and would show in logs.

    Args:
        environment: The environment of the Worker.
    """
    masker = SecretMasker()
    return [f"{_SECRET}{name}" for name, secret in secrets_in(environment).items() if not _is_taken(masker, secret)]


def _is_taken(masker: SecretMasker, secret: str) -> bool:
    try:
        masker.add(secret)
    except ValueError:
        return False
    return True


def job_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of jobs on this machine: that of the Worker, without what is for the Worker alone.

    Args:
        environment: The environment of the Worker.
    """
    return {name: value for name, value in environment.items() if not name.startswith(OURS)}
