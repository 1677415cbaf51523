"""The run that its events tell of."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NoReturn

import attrs

from ...converter import converter
from ...enums import ExecutionStatus
from ...errors import ContractError, Problem
from ...model import JobExecution, PipelineExecution, StageExecution
from .event import CDEvent

__all__ = ["execution_of"]


def execution_of(events: Iterable[CDEvent]) -> PipelineExecution:
    """Rebuild a run from its events.

    With the event of its end, the run is as it ended. Without it, the run is as it was queued, and each job is as its
    newest event tells: what changed since then without an event, such as when a job was queued, is not known.

    Args:
        events: The events of one run, as `cicd_common.integrations.cdevents.events` makes them: in any order, with
            repeats. That it was queued or that it ended is among them. Other events of its chain are ignored.

    Raises:
        ContractError: The events tell of no run, or of several, or their custom data is not of this package.
    """
    runs: list[PipelineExecution] = []
    jobs: dict[Any, JobExecution] = {}
    for event in events:
        told = _told(event)
        if isinstance(told, PipelineExecution):
            runs.append(told)
        elif told is not None:
            jobs[told.id] = max(jobs.get(told.id, told), told, key=_progress)
    if len({run.id for run in runs}) != 1:
        _refuse("expected the events of one run, with that of its queueing or of its end")
    newest = max(runs, key=lambda run: run.status.is_terminal)
    return newest if newest.status.is_terminal else _with_jobs(newest, jobs)


def _with_jobs(run: PipelineExecution, jobs: dict[Any, JobExecution]) -> PipelineExecution:
    def newest(stage: StageExecution) -> StageExecution:
        return attrs.evolve(stage, jobs=tuple(max(job, jobs.get(job.id, job), key=_progress) for job in stage.jobs))

    return attrs.evolve(run, stages=tuple(map(newest, run.stages)))


def _told(event: CDEvent) -> PipelineExecution | JobExecution | None:
    """The run or the job that an event carries."""
    match json.loads(event.custom_data or "null"):
        case {"PipelineExecution": run}:
            return converter.structure(run, PipelineExecution)
        case {"JobExecution": job}:
            return converter.structure(job, JobExecution)
    return None


def _progress(job: JobExecution) -> tuple[bool, bool, int, int]:
    """How far a job has come: of two states of it, the newer one is greater."""
    return job.status.is_terminal, job.status is ExecutionStatus.RUNNING, job.attempt, job.last_sequence


def _refuse(message: str) -> NoReturn:
    raise ContractError(PipelineExecution, [Problem("", "value", message)])
