"""The settings of a Worker."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex

from attrs import Factory, field, frozen

from cicd_common.logging import SecretMasker

from ..environment import OURS
from .clones import Clones

__all__ = ["Settings", "job_environment", "secrets_in", "unmaskable_in"]

_SECRET = "CICD_SECRET_"


@frozen(kw_only=True)
class Settings:
    """The settings of a Worker.

    Attributes:
        name: The name of the Worker, in the log of each job.
        worker: The name with which it claims jobs. A restarted Worker has another one.
        directory: Where working copies are made.
        job_timeout: The time limit of a job, in seconds.
        grace: The seconds that a job may take to stop.
        allow_host: Whether a job with an image runs on this machine if there is no docker.
        kinds: Shell commands that run jobs of other kinds than ``script``, by the kind.
        environment: Variables of all jobs on this machine, in addition to their own.
        secrets: The secrets for jobs, by their names.
        poll_interval: The seconds between two requests whether to stop.
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
    """The secrets for jobs, by name: the variables ``CICD_SECRET_NAME`` of the Worker.

    Args:
        environment: The environment of the Worker.
    """
    return {name[len(_SECRET) :]: value for name, value in environment.items() if name.startswith(_SECRET)}


def unmaskable_in(environment: Mapping[str, str]) -> list[str]:
    """The variables of secrets that are too short to be masked, and would be visible in logs.

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
    """The environment of jobs on this machine: that of the Worker, without the Worker's own variables.

    Args:
        environment: The environment of the Worker.
    """
    return {name: value for name, value in environment.items() if not name.startswith(OURS)}
