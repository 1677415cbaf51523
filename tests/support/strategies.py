"""Strategies that only the tests of this package need. All others are in `cicd_common.testing`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import UUID

import attrs
from hypothesis import strategies as st

from cicd_common.api.request import JobStatusUpdate
from cicd_common.enums import ExecutionStatus
from cicd_common.model import Job, Pipeline, PipelineExecution, Stage
from cicd_common.testing.strategies import executions, pipelines


def deep_pipeline(length: int) -> Pipeline:
    """A pipeline with `length` stages of one job. Each job depends on the job of the stage before."""
    return Pipeline(
        id=UUID(int=0),
        name="deep",
        repo_url="",
        stages=tuple(
            Stage(
                id=UUID(int=at),
                name=f"stage {at}",
                jobs=(
                    Job(
                        id=UUID(int=at),
                        name=f"job {at}",
                        script=("true",),
                        dependencies=(f"job {at - 1}",) if at else (),
                    ),
                ),
            )
            for at in range(length)
        ),
    )


def statuses() -> st.SearchStrategy[ExecutionStatus]:
    """Every status."""
    return st.sampled_from(ExecutionStatus)


def shortest_history(job_execution_id: UUID) -> list[JobStatusUpdate]:
    """The history of a job with a single update, SUCCESS."""
    update = JobStatusUpdate(
        job_execution_id=job_execution_id,
        sequence=1,
        status=ExecutionStatus.SUCCESS,
        occurred_at=datetime(2026, 1, 31, tzinfo=UTC),
        worker="worker",
    )
    return [update]


@st.composite
def past_executions(draw: st.DrawFn) -> list[PipelineExecution]:
    """Runs of three pipelines, two of them with the same name, in any order. Run numbers count from 1 for each name."""
    runs = []
    numbers = {"shared": count(1), "other": count(1)}
    for name in ("shared", "shared", "other"):
        pipeline = attrs.evolve(draw(pipelines(max_stages=2, max_jobs=3)), name=name, id=draw(st.uuids()))
        for _ in range(draw(st.integers(0, 6))):
            moved = draw(executions(st.just(pipeline)))
            runs.append(attrs.evolve(moved, run_number=next(numbers[name])))
    return draw(st.permutations(runs))


@st.composite
def _place(draw: st.DrawFn, plain: Any) -> tuple[Any, Any]:
    """A place in plain data, at any depth: the container, and the key or index in it."""
    holder = plain
    while True:
        key = draw(st.sampled_from(list(holder) if isinstance(holder, dict) else range(len(holder))))
        inner = holder[key]
        if not (isinstance(inner, dict | list) and inner) or draw(st.integers(0, 3)) == 0:
            return holder, key
        holder = inner


@st.composite
def with_secret(draw: st.DrawFn, plain: Any, secret: str) -> Any:
    """Plain data with a secret in place of some values, except in names and dependencies."""
    plain = json.loads(json.dumps(plain))
    for _ in range(3):
        holder, key = draw(_place(plain))
        if key not in ("name", "dependencies") and not (isinstance(holder, list) and isinstance(holder[key], str)):
            holder[key] = draw(st.sampled_from([secret, [secret], {"key": secret}, secret + "\x00"]))
    return plain
