"""Download the artifacts of a job's dependencies into its working copy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from uuid import UUID

from .backend_client import RefusedError
from .reporting import Backend

__all__ = ["InputError", "bring"]


class InputError(Exception):
    """An artifact of a dependency cannot be downloaded. The text says which, and why."""


def bring(backend: Backend, jobs: Iterable[UUID], root: Path, go_on: Callable[[], None]) -> None:
    """Write the artifacts of jobs into a working copy. If two have the same path, that of the later job is kept.

    Args:
        backend: The Backend with the artifacts.
        jobs: The executions of the jobs.
        root: The working copy.
        go_on: Called before each chunk; it raises if the job is halted.

    Raises:
        InputError: An artifact cannot be downloaded.
        DeniedError: The Backend refuses this Worker.
        GivenUpError: The Worker ends.
        HaltedError: The job is halted.
    """
    base = root.resolve()
    for job in jobs:
        for artifact in backend.artifacts(job).artifacts:
            target = base / artifact.path
            try:
                # A link in the repository may lead out of it.
                if not target.parent.resolve().is_relative_to(base) or target.is_symlink():
                    raise InputError(f"the artifact {artifact.path!r} leads out of the working copy")
                target.parent.mkdir(parents=True, exist_ok=True)
                backend.fetch(artifact, target, go_on)
            except RefusedError:
                raise InputError(f"the content of the artifact {artifact.path!r} is not kept") from None
            except OSError as error:
                raise InputError(f"the artifact {artifact.path!r} cannot be written: {error.strerror}") from None
