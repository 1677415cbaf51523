"""Rebuild a run from its events."""

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

    With the event of its end, the run is complete. Without it, the run is that of its queueing, with each job of its
    newest event: changes without an event, such as the queueing of a job, are missing.

    Args:
        events: The events of one run, as `cicd_common.integrations.cdevents.events` makes them, in any order and with
            repeats, with that of its queueing or of its end. Other events of the chain are ignored.

    Raises:
        ContractError: The events are of no run or of several, or their custom data is not of this package.
    """
    runs: list[PipelineExecution] = []
    jobs: dict[Any, JobExecution] = {}
    for event in events:
        subject = _subject_of(event)
        if isinstance(subject, PipelineExecution):
            runs.append(subject)
        elif subject is not None:
            jobs[subject.id] = max(jobs.get(subject.id, subject), subject, key=_progress)
    if len({run.id for run in runs}) != 1:
        _refuse("expected the events of one run, with that of its queueing or of its end")
    newest = max(runs, key=lambda run: run.status.is_terminal)
    return newest if newest.status.is_terminal else _with_jobs(newest, jobs)


def _with_jobs(run: PipelineExecution, jobs: dict[Any, JobExecution]) -> PipelineExecution:
    def newest(stage: StageExecution) -> StageExecution:
        return attrs.evolve(stage, jobs=tuple(max(job, jobs.get(job.id, job), key=_progress) for job in stage.jobs))

    return attrs.evolve(run, stages=tuple(map(newest, run.stages)))


def _subject_of(event: CDEvent) -> PipelineExecution | JobExecution | None:
    """Return the run or the job in the custom data of an event."""
    match json.loads(event.custom_data or "null"):
        case {"PipelineExecution": run}:
            return converter.structure(run, PipelineExecution)
        case {"JobExecution": job}:
            return converter.structure(job, JobExecution)
    return None


def _progress(job: JobExecution) -> tuple[bool, bool, int, int]:
    """Return a key of a job's state: the newer of two states has the greater key."""
    return job.status.is_terminal, job.status is ExecutionStatus.RUNNING, job.attempt, job.last_sequence


def _refuse(message: str) -> NoReturn:
    raise ContractError(PipelineExecution, [Problem("", "value", message)])
