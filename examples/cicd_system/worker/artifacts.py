"""Find and hash the artifacts of a job, in a separate process that is killed if the job is halted."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from cicd_common import ContractError
from cicd_common.api.request import Artifact
from cicd_common.logging import get_logger

from .settings import job_environment
from .tools import Tools

__all__ = ["Collected", "collect", "left_out"]

log = get_logger(__name__)

_PROGRAM = (sys.executable, "-P", "-X", "utf8", str(Path(__file__).with_name("collect.py")))
_SHOWN = 20  # How many files that were left out are named in the job's log.


@frozen
class Collected:
    """The artifacts of a job.

    Attributes:
        artifacts: The files.
        notes: Lines for the job's log: which patterns match nothing, and which files are left out.
    """

    artifacts: tuple[Artifact, ...] = ()
    notes: tuple[str, ...] = ()


def collect(tools: Tools, root: Path, patterns: Iterable[str]) -> Collected:
    """Find the regular files in the working copy that match patterns. Links to files elsewhere are left out.

    ``*``, ``?`` and ``[...]`` match within one name, and ``**`` matches any number of folders. A pattern that is the
    name of a folder, or ends with ``/``, takes all that is in the folder. Nothing in a ``.git`` is taken.

    Args:
        tools: Runs the process.
        root: The working copy, as a path without links.
        patterns: Patterns of paths in it. A pattern that leads out of it matches nothing.

    Raises:
        HaltedError: The job is halted.
    """
    order = {"directory": str(root), "patterns": list(patterns)}
    if not order["patterns"]:
        return Collected()
    done = tools.run(_PROGRAM, job_environment(), json.dumps(order).encode())
    if done.returncode:
        log.error("artifacts cannot be collected", errors=done.stderr.decode(errors="replace")[-1000:])
        return Collected(notes=("the artifacts cannot be collected",))
    *files, last = map(json.loads, done.stdout.splitlines())
    return _collected(files, last["unmatched"])


def _collected(files: Iterable[dict[str, Any]], unmatched: Iterable[str]) -> Collected:
    artifacts, unreadable, unnamable = [], [], []
    for file in files:
        if "error" in file:
            unreadable.append(file["path"])
            continue
        try:
            artifacts.append(Artifact(**file))
        except ContractError:
            unnamable.append(file["path"])
    notes = [f"no file matches the artifact pattern {pattern!r}" for pattern in unmatched]
    notes += left_out("it cannot be read", unreadable)
    notes += left_out("its name cannot be told", unnamable)
    return Collected(tuple(artifacts), tuple(notes))


def left_out(reason: str, names: Sequence[str]) -> tuple[str, ...]:
    """Lines for a job's log about files that are left out. If there are many, only some are named.

    Args:
        reason: Why they are left out.
        names: The files.
    """
    lines = [f"artifact left out, {reason}: {name!r}" for name in names[:_SHOWN]]
    more = [f"{len(names) - _SHOWN} more artifacts left out, {reason}"] if len(names) > _SHOWN else []
    return (*lines, *more)
