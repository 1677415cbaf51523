"""The artifacts of jobs: download those of dependencies, find and upload those of the job."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from uuid import UUID

from cicd_common import ContractError
from cicd_common.api.request import Artifact, ArtifactUploadRequest
from cicd_common.logging import get_logger

from ..connection import RefusedError
from .backend_client import BackendClient
from .process import GoOn, run
from .reporting import NotRunnableError, masked

__all__ = ["download_inputs", "find_artifacts", "upload_artifacts"]

log = get_logger(__name__)

_FILES = 1000  # Files in one request.
_SHOWN = 20  # How many files that were left out are named in the job's log.
# A separate process can be killed: a large file or a complex pattern may take long.
_COLLECT = (sys.executable, "-P", "-X", "utf8", str(Path(__file__).with_name("collect.py")))


def download_inputs(client: BackendClient, jobs: Iterable[UUID], root: Path, go_on: GoOn) -> None:
    """Write the artifacts of jobs into a working copy. If two have the same path, that of the later job is kept.

    Args:
        root: The working copy, as a path without links.

    Raises:
        NotRunnableError: An artifact cannot be downloaded.
    """
    for job in jobs:
        for artifact in client.artifacts(job).artifacts:
            target = root / artifact.path
            try:
                # A link in the repository may lead out of it.
                if not target.parent.resolve().is_relative_to(root) or target.is_symlink():
                    raise NotRunnableError(f"the artifact {artifact.path!r} leads out of the working copy")
                target.parent.mkdir(parents=True, exist_ok=True)
                client.fetch(artifact, target, go_on)
            except RefusedError:
                raise NotRunnableError(f"the content of the artifact {artifact.path!r} is lost or damaged") from None
            except OSError as error:
                raise NotRunnableError(f"the artifact {artifact.path!r} cannot be written: {error.strerror}") from None


def find_artifacts(root: Path, patterns: Sequence[str], go_on: GoOn) -> tuple[list[Artifact], list[str]]:
    """Find the regular files in the working copy that match patterns. Links to files elsewhere are left out.

    ``*``, ``?`` and ``[...]`` match within one name, and ``**`` matches any number of folders. A pattern that is the
    name of a folder, or ends with ``/``, takes all that is in the folder. Nothing in a ``.git`` is taken.

    Args:
        root: The working copy, as a path without links.
        patterns: Patterns of paths in it. A pattern that leads out of it matches nothing.

    Returns:
        The files, and lines for the job's log about patterns that match nothing and files that are left out.
    """
    order = json.dumps({"directory": str(root), "patterns": patterns})
    done = run(_COLLECT, go_on, text=order.encode())
    if done.returncode:
        log.error("artifacts cannot be collected", errors=os.fsdecode(done.stderr)[-1000:])
        return [], ["the artifacts cannot be collected"]
    found = json.loads(done.stdout)
    artifacts, unnamable = [], []
    for file in found["files"]:
        try:
            artifacts.append(Artifact(**file))
        except ContractError:
            unnamable.append(file["path"])
    notes = [f"no file matches the artifact pattern {pattern!r}" for pattern in found["unmatched"]]
    notes += _left_out("it cannot be read", found["unreadable"])
    notes += _left_out("its name is not allowed", unnamable)
    return artifacts, notes


def upload_artifacts(
    client: BackendClient, job: UUID, root: Path, artifacts: Iterable[Artifact], go_on: GoOn
) -> list[str]:
    """Upload the artifacts of a job, except those whose names contain a secret. Contents are not masked.

    Returns:
        Lines for the job's log about files that are left out.
    """
    kept, lost, secret = [], [], []
    for artifact in artifacts:
        if (name := masked(artifact.path)) != artifact.path:
            secret.append(name)
            continue
        try:
            client.put(artifact, root / artifact.path, go_on)
            kept.append(artifact)
        except (RefusedError, OSError):
            lost.append(artifact.path)
    for first in range(0, len(kept), _FILES):
        go_on()
        client.upload(ArtifactUploadRequest(job_execution_id=job, artifacts=tuple(kept[first : first + _FILES])))
    return [*_left_out("its name holds a secret", secret), *_left_out("the Backend does not keep it", lost)]


def _left_out(reason: str, names: Sequence[str]) -> list[str]:
    lines = [f"artifact left out, {reason}: {name!r}" for name in names[:_SHOWN]]
    return lines + [f"{len(names) - _SHOWN} more artifacts left out, {reason}"] * (len(names) > _SHOWN)
