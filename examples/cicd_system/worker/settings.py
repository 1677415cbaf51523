"""What a Worker is told when it starts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from attrs import field, frozen

from cicd_common.logging import SecretMasker

__all__ = ["Settings", "job_environment", "secrets_in", "unmaskable_in"]

_OURS = "CICD_"
_SECRET = "CICD_SECRET_"


@frozen(kw_only=True)
class Settings:
    """What a Worker is told when it starts.

    Attributes:
        name: Its name, in the log of each job.
        directory: Where working copies are made.
        job_timeout: For how many seconds a job may run.
        grace: For how many seconds a job may go on after it was told to stop.
        allow_host: Whether a job with an image runs on this machine where there is no docker.
        environment: What jobs are given in their environment.
        variables: The names of those of them that jobs are given in containers, too.
        poll_interval: How many seconds there are between two questions whether to stop.
    """

    name: str
    directory: Path
    job_timeout: float = 3600
    grace: float = 5
    allow_host: bool = False
    environment: Mapping[str, str] = field(factory=dict, repr=False)
    variables: tuple[str, ...] = ()
    poll_interval: float = 1.0


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
    """The environment of jobs: that of the Worker without what is for the Worker alone, and with the secrets for jobs.

    Args:
        environment: The environment of the Worker.
    """
    others = {name: value for name, value in environment.items() if not name.startswith(_OURS)}
    return {**others, "CI": "true", **secrets_in(environment)}
