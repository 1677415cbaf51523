"""The rules that the constraints of the peers cannot say, as validators: each returns its value or raises a ValueError.

Where a rule takes more than a line, it asks the same function as this package does.
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
    if job.kind == "script" and not job.script:  # type: ignore[attr-defined]  # each peer has a class for it
        raise ValueError("expected at least one command")
    return job


def check_stages(stages: Any) -> Any:
    """Expect the stages of a pipeline to fit together."""
    if not _is_in_order(stages):
        raise ValueError("expected jobs that fit together")
    return stages


def check_update(update: T) -> T:
    """Expect an update whose reason and release go with its status."""
    status: ExecutionStatus = update.status  # type: ignore[attr-defined]
    if update.reason is not None and not status.is_terminal:  # type: ignore[attr-defined]
        raise ValueError("expected a reason only with a terminal status")
    if update.is_released and status is not ExecutionStatus.RUNNING:  # type: ignore[attr-defined]
        raise ValueError("expected a release only of a running job")
    return update
