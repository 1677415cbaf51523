"""Write how far jobs, stages and runs have come."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from attrs import fields
from sqlalchemy import Table, bindparam, update

from ..model import Span
from ..model.update import JobState
from .hot import Call, Hot
from .progress import PROGRESS, SPAN, run_values, span_values
from .tables import job_executions, pipeline_executions, stage_executions

__all__ = ["JOB_STATE", "move_job", "move_run", "move_stage", "span_columns"]

JOB_STATE = tuple(field.name for field in fields(JobState))
"""The columns of a job that updates move."""


def _change(table: Table, columns: Sequence[str]) -> Hot:
    return Hot(update(table).where(table.c.id == bindparam("key")), sets=columns)


_MOVE_JOB = _change(job_executions, JOB_STATE)
_MOVE_STAGE = _change(stage_executions, PROGRESS)
_MOVE_RUN = _change(pipeline_executions, (*PROGRESS, "canceled_at"))


def span_columns(table: Table, prefix: str = "") -> list[Any]:
    """The columns that the span of a parent is read from.

    Args:
        table: The table of the parent.
        prefix: What their names are to begin with.
    """
    return [table.c[name].label(prefix + name) for name in SPAN]


def move_job(job_execution_id: UUID, job: JobState) -> Call:
    """Write how a job stands.

    Args:
        job_execution_id: The job execution. It is locked.
        job: How it stands.
    """
    return _MOVE_JOB(key=job_execution_id, **{name: getattr(job, name) for name in JOB_STATE})


def move_stage(stage_id: UUID, span: Span) -> Call:
    """Write the span of a stage.

    Args:
        stage_id: The stage execution. It is locked.
        span: Its span.
    """
    return _MOVE_STAGE(key=stage_id, **span_values(span))


def move_run(run_id: UUID, span: Span, canceled_at: datetime | None) -> Call:
    """Write the span of a run.

    Args:
        run_id: The pipeline execution. It is locked.
        span: Its span.
        canceled_at: When canceling was asked for; none if it was not.
    """
    return _MOVE_RUN(key=run_id, canceled_at=canceled_at, **run_values(span, canceled_at))
