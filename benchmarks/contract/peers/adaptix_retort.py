"""The messages as dataclasses with a retort of adaptix.

The set-up follows its documentation: strict coercion, validators for the rules, loaders and dumpers taken from the
retort once, and no error locations (``DebugTrail.DISABLE``), which is fastest. The standard library reads and writes
the JSON, as in the examples of adaptix. Longer validators are in `rules`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from adaptix import DebugTrail, P, Provider, Retort, validator

from . import dataclass_models as models
from .contender import Contender
from .rules import check_environment, check_job, check_json_object, check_name, check_stages, check_update

__all__ = ["CONTENDERS"]

_MAX = 2**63 - 1
_CONTROL = r"\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_match_name = re.compile(rf"(?!\s)[^{_CONTROL}]{{1,255}}(?<!\s)").fullmatch
_match_kind = re.compile(r"[a-z][a-z0-9]*([.-][a-z0-9]+)*").fullmatch


def _rule(field: Any, check: Callable[[Any], Any]) -> Provider:
    """Make a validator of a field from a function that raises a ValueError."""

    def holds(value: Any) -> bool:
        try:
            check(value)
        except ValueError:
            return False
        return True

    return validator(field, holds, "expected another value")


def _is_name(text: str) -> bool:
    return _match_name(text) is not None and bool(check_name(text))


def _names() -> list[Provider]:
    fields = [
        P[models.JobDTO].name,
        P[models.StageReportSummary].stage_name,
        P[models.PipelineExecutionRecord].branch,
        P[models.PipelineReportResponse].pipeline_name,
        P[models.JobStatusUpdate].worker,
        P[models.Job].name,
        P[models.Stage].name,
        P[models.Pipeline].name,
        P[models.Pipeline].branch,
    ]
    return [
        *(validator(field, _is_name, "expected a name") for field in fields),
        validator(
            P[models.JobExecutionDTO].worker, lambda text: text is None or _is_name(text), "expected a name or null"
        ),
        validator(P[models.Job].dependencies, lambda names: all(map(_is_name, names)), "expected names"),
        *(
            validator(field, lambda text: len(text) < 64 and _match_kind(text) is not None, "expected a kind")
            for field in (P[models.JobDTO].kind, P[models.Job].kind, P[models.Pipeline].kind)
        ),
    ]


def _integers() -> list[Provider]:
    bounds = [
        (P[models.JobStatusUpdate].sequence, 1, _MAX),
        (P[models.JobStatusUpdate].attempt, 1, _MAX),
        (P[models.PipelineExecutionRecord].run_number, 1, _MAX),
        (P[models.JobExecutionDTO].last_sequence, 0, _MAX),
        (P[models.JobExecutionDTO].attempt, 1, _MAX),
        (P[models.JobDTO].retries, 0, 10),
        (P[models.Job].retries, 0, 10),
    ]
    limits = [P[models.JobDTO].timeout_seconds, P[models.Job].timeout_seconds]
    return [
        *(
            validator(field, lambda value, low=low, high=high: low <= value <= high, "expected another integer")
            for field, low, high in bounds
        ),
        *(
            validator(field, lambda value: value is None or 1 <= value <= _MAX, "expected 1 or more, or null")
            for field in limits
        ),
        validator(P[int], lambda value: -_MAX - 1 <= value <= _MAX, "expected 64 bits"),
    ]


def _some() -> list[Provider]:
    fields = [P[models.Stage].jobs, P[models.Pipeline].stages]
    return [validator(field, lambda items: len(items) > 0, "expected at least one element") for field in fields]


def _times() -> list[Provider]:
    return [validator(P[datetime], lambda time: time.tzinfo is not None, "expected a time with an offset")]


def _checked() -> list[Provider]:
    with_objects = (models.JobDTO, models.Job, models.Pipeline)
    return [
        *(_rule(P[cls].parameters, check_json_object) for cls in with_objects),
        *(_rule(P[cls].environment, check_environment) for cls in with_objects),
        _rule(models.JobStatusUpdate, check_update),
        _rule(models.Job, check_job),
        _rule(P[models.Pipeline].stages, check_stages),
    ]


_retort = Retort(
    recipe=[*_names(), *_integers(), *_some(), *_times(), *_checked()],
    strict_coercion=True,
    debug_trail=DebugTrail.DISABLE,
)


def _prepare(name: str) -> dict[str, Any]:
    cls = getattr(models, name)
    return {
        "loads": json.loads,
        "dumps": json.dumps,
        "load": _retort.get_loader(cls),
        "dump": _retort.get_dumper(cls),
    }


CONTENDERS = [Contender("adaptix, json", _prepare, read="load(loads(text))", write="dumps(dump(obj)).encode()")]
