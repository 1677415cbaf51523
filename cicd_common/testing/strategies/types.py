"""Strategies for the types of the contract, and for attrs classes with annotations like theirs.

The strategies of most types follow from the annotations. A type with rules about several fields has its own function in
the table at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from functools import cache
from itertools import pairwise
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints
from uuid import UUID

import attrs
from hypothesis import strategies as st

from ...api.request import JobExecutionRequest, JobStatusUpdate, PipelineExecutionRequest, ReportRequest
from ...enums import ExecutionStatus
from ...fields import (
    INTEGER,
    SOME,
    TIME,
    Between,
    Count,
    Kind,
    Name,
    Ordinal,
    PageSize,
    RelativePath,
    Retries,
    Rule,
    Sha256,
    split,
)
from ...model import ExecutionLog, Job, JobExecution, Pipeline, PipelineExecution, Stage, StageExecution
from ...values import Environment, JsonObject
from . import json, leaves

__all__ = ["RULES", "fields", "from_type", "pipelines", "values"]

T = TypeVar("T")

# --- annotations ------------------------------------------------------------------------------------------------

_LEAVES: dict[Any, Callable[[], st.SearchStrategy[Any]]] = {
    str: leaves.texts,
    int: leaves.integers,
    bool: st.booleans,
    float: lambda: st.floats(allow_nan=False, allow_infinity=False),
    UUID: leaves.uuids,
    datetime: leaves.times,
    JsonObject: json.json_objects,
    Environment: json.environments,
}


def _rule(hint: Any) -> Rule:
    return split(hint)[1][0]


RULES: dict[Rule, Callable[[], st.SearchStrategy[Any]]] = {
    INTEGER: leaves.integers,
    TIME: leaves.times,
    _rule(Name): leaves.names,
    _rule(Count): lambda: leaves.integers(low=0),
    _rule(Ordinal): lambda: leaves.integers(low=1),
    _rule(PageSize): lambda: leaves.integers(1, 1000),
    _rule(Retries): lambda: leaves.integers(0, 10),
    _rule(Kind): leaves.kinds,
    _rule(Sha256): leaves.sha256s,
    _rule(RelativePath): leaves.relative_paths,
}
"""The strategy for each rule of the contract. It keeps the other rules of the rule's annotation, too."""


@cache
def values(hint: Any) -> st.SearchStrategy[Any]:
    """Draw the values of a field.

    Args:
        hint: The annotation of the field, with its rules. Values that a user's own rule refuses are filtered out.
    """
    base, rules, optional = split(hint)
    strategy = _values_of(base, rules)
    return st.none() | strategy if optional else strategy


def _values_of(base: Any, rules: tuple[Rule, ...]) -> st.SearchStrategy[Any]:
    if get_origin(base) is tuple:
        items = get_args(base)
        if items[-1:] != (...,):
            return st.tuples(*map(values, items))
        least = 1 if SOME in rules else 0
        return st.lists(values(items[0]), min_size=least, max_size=least + 2).map(tuple)
    if attrs.has(base):
        # Deferred, since a class may contain instances of itself.
        return st.deferred(lambda: from_type(base))
    for rule in rules:
        if rule in RULES:
            return RULES[rule]()
    strategy = _LEAVES[base]() if base in _LEAVES else st.from_type(base)
    for rule in rules:
        if base is int and isinstance(rule.accepts, Between):
            strategy = leaves.integers(rule.accepts.low, rule.accepts.high)
        else:
            strategy = strategy.filter(rule.accepts)
    return strategy


@cache
def fields(cls: Any, *without: str) -> st.SearchStrategy[dict[str, Any]]:
    """Draw the arguments of a class by its annotations.

    Args:
        cls: An attrs class.
        without: The names of fields to leave out.
    """
    hints = get_type_hints(cls, include_extras=True)
    wanted = [field for field in attrs.fields(cls) if field.init and field.name not in without]
    return st.fixed_dictionaries({field.alias: values(hints[field.name]) for field in wanted})


# --- types ------------------------------------------------------------------------------------------------------


def from_type(cls: type[T]) -> st.SearchStrategy[T]:
    """Draw instances of a class with values for every field, edge values and small ones.

    Plain ``st.from_type`` draws the same for a class of your own once you register it:
    ``st.register_type_strategy(Deployment, from_type(Deployment))``.

    Args:
        cls: A type of the contract, or an attrs class with annotations like those of the contract. Only for types of
            the contract the strategy knows rules about several fields.
    """
    any_class: Any = cls
    return cast("st.SearchStrategy[T]", _instances(any_class))


@cache
def _instances(cls: Any) -> st.SearchStrategy[Any]:
    special = _SPECIAL.get(cls)
    return special() if special else fields(cls).map(lambda values: cls(**values))


def _some_given(cls: Any, *names: str) -> st.SearchStrategy[Any]:
    """Draw instances of a class that requires at least one of some optional fields."""
    given = fields(cls).filter(lambda values: any(values[name] is not None for name in names))
    return given.map(lambda values: cls(**values))


def _with_commands(values: dict[str, Any], name: str) -> dict[str, Any]:
    """Give a job of the kind ``script`` a command if it has none."""
    return values if values[name] or values["kind"] != "script" else {**values, name: ("true",)}


def _job_status_updates() -> st.SearchStrategy[JobStatusUpdate]:
    """Draw updates that have a reason only at the end, and are released only while running."""

    def build(values: dict[str, Any]) -> JobStatusUpdate:
        status = values["status"]
        values = values if status.is_terminal else {**values, "reason": None}
        is_released = values["is_released"] and status is ExecutionStatus.RUNNING
        return JobStatusUpdate(**{**values, "is_released": is_released})

    return fields(JobStatusUpdate).map(build)


def _report_requests() -> st.SearchStrategy[ReportRequest]:
    """Draw requests at each level. One that names a job names its stage, too."""
    given = fields(ReportRequest).filter(lambda values: values["stage_name"] or not values["job_name"])
    return given.map(lambda values: ReportRequest(**values))


@st.composite
def pipelines(
    draw: st.DrawFn,
    *,
    min_jobs: int = 1,
    max_jobs: int = 7,
    max_stages: int = 3,
    kinds: Collection[str] | None = None,
) -> Pipeline:
    """Draw pipelines whose jobs depend on jobs of earlier stages and on any job of their own stage, without cycles.

    Args:
        draw: Given by hypothesis.
        min_jobs: How many jobs a pipeline has at least, in all its stages, from 1.
        max_jobs: How many jobs it has at most.
        max_stages: How many stages it has at most, from 1. It has no more stages than jobs.
        kinds: The kinds of jobs; any kind by default.
    """
    count = draw(st.integers(min_jobs, max_jobs))
    cuts = draw(st.sets(st.integers(1, count - 1), max_size=max_stages - 1)) if count > 1 else set()
    sizes = [high - low for low, high in pairwise([0, *sorted(cuts), count])]
    stage_names, stage_ids = draw(leaves.distinct_names(len(sizes))), draw(leaves.distinct_uuids(len(sizes)))
    job_names, job_ids = draw(leaves.distinct_names(count)), draw(leaves.distinct_uuids(count))
    ids = dict(zip(job_names, job_ids, strict=True))
    stages = []
    earlier: list[str] = []
    for stage_name, stage_id, size in zip(stage_names, stage_ids, sizes, strict=True):
        here, job_names = job_names[:size], job_names[size:]
        jobs = {}
        for name in draw(st.permutations(here)):
            needed = tuple(draw(st.lists(st.sampled_from(earlier), max_size=3))) if earlier else ()
            rest = draw(fields(Job, "id", "name", "dependencies"))
            kind = rest["kind"] if kinds is None else draw(st.sampled_from(sorted(kinds)))
            rest = _with_commands({**rest, "kind": kind}, "script")
            jobs[name] = Job(id=ids[name], name=name, dependencies=needed, **rest)
            earlier.append(name)
        stages.append(Stage(id=stage_id, name=stage_name, jobs=tuple(jobs[name] for name in here)))
    return Pipeline(**draw(fields(Pipeline, "stages")), stages=tuple(stages))


@st.composite
def _pipeline_executions(draw: st.DrawFn) -> PipelineExecution:
    """Draw executions of a pipeline with all its jobs, in any state, also one that no execution can reach."""
    pipeline = draw(pipelines())
    stage_ids = draw(leaves.distinct_uuids(len(pipeline.stages)))
    job_ids = iter(draw(leaves.distinct_uuids(sum(len(stage.jobs) for stage in pipeline.stages))))
    stages = tuple(
        StageExecution(
            id=stage_id,
            name=stage.name,
            jobs=tuple(
                JobExecution(id=next(job_ids), job=job, **draw(fields(JobExecution, "id", "job"))) for job in stage.jobs
            ),
        )
        for stage, stage_id in zip(pipeline.stages, stage_ids, strict=True)
    )
    return PipelineExecution(**draw(fields(PipelineExecution, "pipeline", "stages")), pipeline=pipeline, stages=stages)


_SPECIAL: dict[Any, Callable[[], st.SearchStrategy[Any]]] = {
    ExecutionLog: lambda: _some_given(ExecutionLog, "pipeline_execution_id", "stage_execution_id", "job_execution_id"),
    Job: lambda: fields(Job).map(lambda values: Job(**_with_commands(values, "script"))),
    JobExecutionRequest: lambda: fields(JobExecutionRequest).map(
        lambda values: JobExecutionRequest(**_with_commands(values, "commands"))
    ),
    JobStatusUpdate: _job_status_updates,
    Pipeline: pipelines,
    PipelineExecution: _pipeline_executions,
    PipelineExecutionRequest: lambda: _some_given(PipelineExecutionRequest, "pipeline_id", "file_path", "pipeline"),
    ReportRequest: _report_requests,
}
