"""The messages as dataclasses with a retort of adaptix.

As its documentation advises: strict coercion, validators for the rules, loaders and dumpers taken from the retort once,
and no trail of where an error was (``DebugTrail.DISABLE``), which is its fastest way. JSON is left to the standard
library, as in its examples. That jobs fit together, it asks the same function as this package does.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from adaptix import DebugTrail, P, Provider, Retort, validator

from cicd_common.model.definition import _is_in_order as fit_together

from . import dataclass_models as models
from .contender import Contender

__all__ = ["CONTENDERS"]

_MAX = 2**63 - 1
_is_name = re.compile(r"(?!\s)[^\x00-\x1f\x7f-\x9f]{1,255}(?<!\s)").fullmatch


def _names() -> list[Provider]:
    fields = [
        P[models.JobDTO].name,
        P[models.StageReportSummary].stage_name,
        P[models.PipelineReportResponse].pipeline_name,
        P[models.Job].name,
        P[models.Stage].name,
        P[models.Pipeline].name,
        P[models.Pipeline].branch,
    ]
    return [
        *(validator(field, lambda text: _is_name(text) is not None, "expected a name") for field in fields),
        validator(P[models.Job].dependencies, lambda names: all(map(_is_name, names)), "expected names"),
    ]


def _integers() -> list[Provider]:
    bounds = [
        (P[models.JobStatusUpdate].sequence, 1),
        (P[models.PipelineExecutionRecord].run_number, 1),
        (P[models.JobExecutionDTO].last_sequence, 0),
        (P[int], -_MAX - 1),
    ]
    return [
        validator(field, lambda value, low=low: low <= value <= _MAX, "expected another integer")
        for field, low in bounds
    ]


def _some() -> list[Provider]:
    fields = [P[models.Stage].jobs, P[models.Pipeline].stages]
    return [validator(field, lambda items: len(items) > 0, "expected at least one element") for field in fields]


def _times() -> list[Provider]:
    return [validator(P[datetime], lambda time: time.tzinfo is not None, "expected a time with an offset")]


def _fitting() -> list[Provider]:
    stages = P[models.Pipeline].stages
    return [validator(stages, fit_together, "expected jobs that fit together")]


_retort = Retort(
    recipe=[*_names(), *_integers(), *_some(), *_times(), *_fitting()],
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
