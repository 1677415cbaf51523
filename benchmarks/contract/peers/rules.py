"""Validators for the rules that the constraints of the peers cannot express.

Each returns its value or raises a ValueError. Rules of more than a line call the same functions as this package.
"""

from __future__ import annotations

from typing import Any, TypeVar
from unicodedata import is_normalized

from cicd_common import ExecutionStatus
from cicd_common.fields.types import find_seen
from cicd_common.model.definition import _is_in_order
from cicd_common.values import Environment, JsonObject

__all__ = [
    "check_environment",
    "check_job",
    "check_json_object",
    "check_name",
    "check_stages",
    "check_update",
]

T = TypeVar("T")


def check_name(name: str) -> str:
    """Expect a name in Unicode's form NFC with a character that can be seen."""
    if not name.isascii() and (not is_normalized("NFC", name) or find_seen(name) is None):
        raise ValueError("expected a name in the form NFC that can be seen")
    return name


def check_json_object(value: dict[str, Any]) -> dict[str, Any]:
    """Expect an object whose size, levels and numbers are within the bounds of a `JsonObject`."""
    if value:
        JsonObject(value)
    return value


def check_environment(value: dict[str, str]) -> dict[str, str]:
    """Expect the variables of an `Environment`."""
    if value:
        Environment(value)
    return value


def check_job(job: T) -> T:
    """Expect a job of the kind ``script`` to have commands."""
    if job.kind == "script" and not job.script:  # type: ignore[attr-defined]  # each peer has its own class
        raise ValueError("expected at least one command")
    return job


def check_stages(stages: Any) -> Any:
    """Expect stages whose jobs have different names and depend only on jobs before them."""
    if not _is_in_order(stages):
        raise ValueError("expected jobs that fit together")
    return stages


def check_update(update: T) -> T:
    """Expect a reason only with a terminal status, and a release only of a running job."""
    status: ExecutionStatus = update.status  # type: ignore[attr-defined]
    if update.reason is not None and not status.is_terminal:  # type: ignore[attr-defined]
        raise ValueError("expected a reason only with a terminal status")
    if update.is_released and status is not ExecutionStatus.RUNNING:  # type: ignore[attr-defined]
        raise ValueError("expected a release only of a running job")
    return update
